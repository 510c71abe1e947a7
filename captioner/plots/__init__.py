"""Drawings: attention over pictures, captions under pictures, and curves."""
