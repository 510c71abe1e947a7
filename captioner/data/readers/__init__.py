"""Readers, one for each format of caption file."""
