"""Stages: one module each for what it reads, what it writes and when it is up to date."""
