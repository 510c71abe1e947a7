"""Drawings: attention over pictures, captions under them, curves."""
