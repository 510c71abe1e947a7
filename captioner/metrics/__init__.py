"""Metrics: scores of generated captions against references."""
