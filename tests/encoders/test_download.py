import pytest

from captioner.encoders.download import ALLOW_DOWNLOAD, require_allowed
from captioner.storage import DataError


def test_an_address_needs_a_yes(monkeypatch):
    monkeypatch.delenv(ALLOW_DOWNLOAD, raising=False)
    require_allowed("vgg16")
    require_allowed("hub:vit_base_patch16_224_imagenet")
    for backbone in ("hub:hf://somebody/model", "hub:kaggle://somebody/model", "hub:https://example.com/x"):
        with pytest.raises(DataError, match=r"would be downloaded; if you trust it, add --allow-download"):
            require_allowed(backbone)
    monkeypatch.setenv(ALLOW_DOWNLOAD, "1")
    require_allowed("hub:hf://somebody/model")
