"""Readers: one for each form of caption file."""
