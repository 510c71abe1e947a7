"""A `.keras` file that claims far more than its weights are for is refused before Keras builds it."""

import json
import zipfile
from pathlib import Path

import pytest

from captioner.keras_archive import FREE_BYTES, FREE_OBJECTS, MAX_FILES, MAX_SEQUENTIAL, require_captioner
from captioner.pretrained.box import the_box
from captioner.storage import DataError

DECODER = {
    "class_name": "MergeDecoder",
    "config": {
        "vocabulary_size": 20,
        "feature_shape": [8],
        "config": {"units": 4, "embedding_size": 4, "layers": 1},
    },
}
DENSE = {"class_name": "Dense", "config": {"units": 4}}


def captioner(decoder=DECODER, network=None):
    config = {"decoder": decoder, "network": network}
    return {"class_name": "Captioner", "registered_name": "captioner>Captioner", "config": config}


def write(path, content, weights=b"weights", others=()):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", content if isinstance(content, str) else json.dumps(content))
        archive.writestr("model.weights.h5", weights)
        for name, data in others:
            archive.writestr(name, data)
    return path


def decoder(**changes):
    own = {key: value for key, value in changes.items() if key in DECODER["config"]}
    inner = {key: value for key, value in changes.items() if key not in own}
    config = {**DECODER["config"], **own, "config": {**DECODER["config"]["config"], **inner}}
    return captioner({**DECODER, "config": config})


def test_captioners_are_let_through(tmp_path):
    require_captioner(Path(the_box()))
    require_captioner(write(tmp_path / "a.keras", captioner()))


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (" " * (2 * FREE_BYTES), "unpacks to"),
        ("[" * 100_000, "nested too deep"),
        ("null", "cannot be loaded"),
        (json.dumps(captioner()).replace("20", "2" * 5000), "cannot be loaded"),
        ({**captioner(), "registered_name": None, "class_name": "Functional"}, "holds a Functional, not a captioner"),
        (decoder(units=10**9), "far larger than its weights"),
        (decoder(embedding_size=10**5), "far larger than its weights"),
        (decoder(vocabulary_size=10**9), "far larger than its weights"),
        (decoder(feature_shape=[10**9]), "far larger than its weights"),
        (decoder(layers=10**5), "layers"),
        (captioner(network=[DENSE] * (FREE_OBJECTS + 1)), "far more layers than weights"),
        (captioner(network=[{**DENSE, "config": {"units": 10**5}}] * 2), "far larger than its weights"),
        (captioner(network={"class_name": "Sequential", "config": {"layers": [DENSE] * (MAX_SEQUENTIAL + 1)}}), "11"),
    ],
)
def test_what_claims_too_much_is_refused_in_one_line(tmp_path, content, fault):
    path = write(tmp_path / "a.keras", content)
    with pytest.raises(DataError, match=fault) as refusal:
        require_captioner(path)
    assert "\n" not in str(refusal.value) and str(refusal.value).startswith(f"{path}: ")


def test_weights_and_assets_that_expand_are_refused(tmp_path):
    big = bytes(3 * FREE_BYTES)
    with pytest.raises(DataError, match=r"model\.weights.h5' in it unpacks to"):
        require_captioner(write(tmp_path / "a.keras", captioner(), weights=big))
    with pytest.raises(DataError, match="assets/a' in it unpacks to"):
        require_captioner(write(tmp_path / "b.keras", captioner(), others=[("assets/a", big)]))
    with pytest.raises(DataError, match="files, far more"):
        require_captioner(
            write(tmp_path / "c.keras", captioner(), others=[(f"assets/{number}", b"") for number in range(MAX_FILES)])
        )


@pytest.mark.parametrize("data", [b"", b"hello", b"PK\x03\x04"])
def test_other_files(tmp_path, data):
    (tmp_path / "a.keras").write_bytes(data)
    with pytest.raises(DataError, match=r"a\.keras: cannot be loaded as a captioner"):
        require_captioner(tmp_path / "a.keras")
