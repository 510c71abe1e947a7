"""What every test builds on: quiet TensorFlow, and the lines that the package logs."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # as captioner sets it

import pytest

from tests.messages import listening


@pytest.fixture
def said():
    """The lines that the package has logged since the test began."""
    lines = []
    with listening(lines.append):
        yield lines
