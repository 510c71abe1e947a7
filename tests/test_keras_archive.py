"""A `.keras` file that claims far more than its weights are for is refused before Keras builds it."""

import io
import json
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from captioner.keras_archive import FREE_BYTES, FREE_OBJECTS, MAX_FILES, MAX_SEQUENTIAL, require_captioner
from captioner.pretrained.box import the_box
from captioner.storage import DataError

CASES = Path(__file__).parents[1] / "../shared/cases/hostile"
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


def hdf5(**datasets):
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        file.create_group("decoder/vars")["0"] = np.zeros((2, 3), "float32")
        for name, (values, options) in datasets.items():
            file.create_dataset(name, data=values, **options)
    return content.getvalue()


def write(path, content, weights=None, others=()):
    weights = hdf5() if weights is None else weights
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
        (" " * (2 * FREE_BYTES), "unpacks from"),
        ("[" * 100_000, "nested too deep"),
        ("null", "cannot be loaded"),
        (json.dumps(captioner()).replace("20", "2" * 5000), "cannot be loaded"),
        (
            {**captioner(), "registered_name": None, "class_name": "Functional"},
            "contains a Functional, not a captioner",
        ),
        (decoder(units=10**9), "far larger than its weights"),
        (decoder(embedding_size=10**5), "far larger than its weights"),
        (decoder(vocabulary_size=10**9), "far larger than its weights"),
        (decoder(feature_shape=[10**9]), "far larger than its weights"),
        (decoder(feature_shape=[10**8, 5]), "far larger than its weights"),
        (decoder(layers=10**5), "has a decoder of 100,000 layers, too many for its weights"),
        (decoder(layers=90), "has a decoder of 90 layers, too many for its weights"),
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
    with pytest.raises(DataError, match=r"model\.weights.h5' unpacks from"):
        require_captioner(write(tmp_path / "a.keras", captioner(), weights=big))
    with pytest.raises(DataError, match="assets/a' unpacks from"):
        require_captioner(write(tmp_path / "b.keras", captioner(), others=[("assets/a", big)]))
    with pytest.raises(DataError, match="files, far more"):
        require_captioner(
            write(tmp_path / "c.keras", captioner(), others=[(f"assets/{number}", b"") for number in range(MAX_FILES)])
        )


@pytest.mark.parametrize(
    "options", [{}, {"chunks": (1, 3), "compression": "gzip", "shuffle": True}, {"dtype": "float16"}]
)
def test_weights_however_they_are_stored(tmp_path, options):
    require_captioner(write(tmp_path / "a.keras", captioner(), hdf5(other=(np.zeros((4, 3)), options))))


def linked(link):
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        file["decoder"] = link
    return content.getvalue()


def outside():
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        file.create_dataset("a", (4,), "f4", external=[("/etc/hostname", 0, 16)])
    return content.getvalue()


def cut(data):
    return data[: len(data) // 2]


@pytest.mark.parametrize(
    ("weights", "fault"),
    [
        (b"", "broken, truncated or not HDF5"),
        (b"hello", "not HDF5"),
        (cut(hdf5()), "truncated"),
        (linked(h5py.ExternalLink("/etc/passwd", "a")), "decoder is a link"),
        (linked(h5py.SoftLink("/a")), "decoder is a link"),
        (outside(), "/a is stored outside the file"),
        (hdf5(a=(["text"], {"dtype": h5py.string_dtype()})), "/a contains no numbers"),
    ],
)
def test_weights_that_are_not_sound_are_refused_in_one_line(tmp_path, weights, fault):
    path = write(tmp_path / "a.keras", captioner(), weights)
    with pytest.raises(DataError, match=fault) as refusal:
        require_captioner(path)
    assert "\n" not in str(refusal.value) and str(refusal.value).startswith(f"{path}")


def claiming():
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        file.create_dataset("a", (10**9, 10), "f4", chunks=(1000, 10))  # nothing of it is stored
    return content.getvalue()


def test_small_weights_that_claim_much_are_refused(tmp_path):
    with pytest.raises(DataError, match="claim far more than the file holds"):
        require_captioner(write(tmp_path / "a.keras", captioner(), claiming()))


@pytest.mark.skipif(not CASES.is_dir(), reason="the hostile cases are not beside the checkout")
def test_forged_weights_end_another_process_only(tmp_path):
    path = write(tmp_path / "a.keras", captioner(), (CASES / "hang.h5").read_bytes())
    with pytest.raises(DataError, match=r"a\.keras/model\.weights\.h5: "):
        require_captioner(path)


@pytest.mark.parametrize("data", [b"", b"hello", b"PK\x03\x04"])
def test_other_files(tmp_path, data):
    (tmp_path / "a.keras").write_bytes(data)
    with pytest.raises(DataError, match=r"a\.keras: cannot be loaded as a captioner"):
        require_captioner(tmp_path / "a.keras")
