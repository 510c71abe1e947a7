import pytest

from tests.encoders.tiny import tiny_backbone  # noqa: F401


@pytest.fixture(autouse=True)
def with_tiny_backbone(tiny_backbone):  # noqa: F811
    """Every test here can name the backbone `tiny`."""
