"""Extraction: a folder of pictures to feature files."""
