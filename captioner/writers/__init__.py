"""Captions out: what a captioned picture leaves on standard output, in files beside it, or in its own metadata."""
