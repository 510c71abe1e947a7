"""Marks of tests that take long."""

import pytest


def slow(*values):
    """Return a parameter set that runs with the slow tests: one of its kind is among the fast ones."""
    return pytest.param(*values, marks=pytest.mark.slow)


def slow_but(values, *fast):
    """Return parameters of which all but `fast` run with the slow tests."""
    return [value if value in fast else slow(value) for value in values]
