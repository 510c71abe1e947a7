"""Marks of tests that take long."""

import pytest


def slow(*values):
    """Return a parameter set that runs with the slow tests: one of its kind is among the fast ones."""
    return pytest.param(*values, marks=pytest.mark.slow)
