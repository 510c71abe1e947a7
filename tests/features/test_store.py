import hashlib
import os
import pickle
import pickletools

import h5py
import numpy as np
import pytest

from captioner.features.store import open_features, write_features
from captioner.storage import DataError, manifest_path, read_manifest, write_json

DESCRIPTION = {"backbone": "vgg16", "layer": "pool"}


def vectors(count=3, shape=(4,)):
    generator = np.random.default_rng(0)
    return {f"p{index}": generator.standard_normal(shape).astype(np.float32) for index in range(count)}


def dump(path, content, protocol=4):
    path.write_bytes(pickle.dumps(content, protocol))
    return path


@pytest.mark.parametrize("suffix", [".pkl", ".h5"])
@pytest.mark.parametrize("shape", [(4,), (6, 4)])
def test_what_is_written_is_read(tmp_path, suffix, shape):
    path, features = tmp_path / f"features{suffix}", vectors(5, shape)
    write_features(path, features, DESCRIPTION)
    store = open_features(path)
    assert list(store) == list(features)
    assert len(store) == 5
    assert (store.shape, store.description, store.path) == (shape, DESCRIPTION, path)
    assert store.digest == hashlib.sha256(path.read_bytes()).hexdigest()
    np.testing.assert_array_equal(store["p3"], features["p3"])
    asked = ["p4", "p0", "p4"]
    gathered = store.gather(asked)
    assert gathered.dtype == np.float32
    np.testing.assert_array_equal(gathered, np.stack([features[name] for name in asked]))
    assert store.gather([]).shape == (0, *shape)
    with pytest.raises(KeyError):
        store["p9"]
    with pytest.raises(DataError, match=rf"features\{suffix}: no features for 2 of 3 pictures \(first: 'x'\)"):
        store.gather(["p1", "x", "y"])


@pytest.mark.parametrize("suffix", [".pkl", ".h5"])
def test_equal_features_give_equal_bytes(tmp_path, suffix):
    first, second = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    write_features(first, vectors(), DESCRIPTION)
    write_features(second, {name: row.copy() for name, row in vectors().items()}, dict(DESCRIPTION))
    assert first.read_bytes() == second.read_bytes()


def test_the_pickle_is_the_tutorials(tmp_path):
    write_features(tmp_path / "f.pkl", vectors(), DESCRIPTION)
    content = pickle.loads((tmp_path / "f.pkl").read_bytes())
    assert type(content) is dict
    assert content["p0"].shape == (1, 4)
    assert content["p0"].dtype == np.float32


def test_float16_halves_the_file_and_is_read_as_float32(tmp_path):
    features = vectors(20, (49, 64))
    write_features(tmp_path / "full.h5", features, None)
    write_features(tmp_path / "half.h5", features, None, dtype="float16")
    assert (tmp_path / "half.h5").stat().st_size < 0.6 * (tmp_path / "full.h5").stat().st_size
    store = open_features(tmp_path / "half.h5")
    assert store["p7"].dtype == np.float32
    np.testing.assert_allclose(store["p7"], features["p7"], atol=2e-3)
    with pytest.raises(DataError, match="not finite in float16; store them in float32"):
        write_features(tmp_path / "large.h5", {"a": np.float32([1e6])}, None, dtype="float16")


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("core", ["core", "_core"])
def test_pickles_of_every_protocol_and_either_numpy(tmp_path, protocol, core):
    row = np.float32([[1, 2, 3]])
    data = pickle.dumps({"b.jpg": row, "a": row[0]}, protocol)
    if core == "core" and protocol < 4:  # names are lines
        data = data.replace(b"numpy._core.", b"numpy.core.")
    elif core == "core":  # names carry their length, and the frame that of all
        module = next(text for _, text, _ in pickletools.genops(data) if str(text).startswith("numpy._core"))
        sized = [b"\x8c" + bytes([len(name)]) + name.encode() for name in (module, module.replace("_core", "core"))]
        data = data[:2] + data[11:].replace(*sized)
    (tmp_path / "f.pkl").write_bytes(data)
    store = open_features(tmp_path / "f.pkl")
    assert store.description is None
    np.testing.assert_array_equal(store.gather(["a", "b"]), [[1, 2, 3], [1, 2, 3]])


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((5,), (5,)), ((1, 5), (5,)), ((9, 5), (9, 5)), ((1, 9, 5), (9, 5)), ((1, 3, 3, 5), (9, 5)), ((3, 3, 5), (9, 5))],
)
def test_shapes_that_tutorials_store(tmp_path, shape, expected):
    dump(tmp_path / "f.pkl", {"a": np.arange(np.prod(shape), dtype=np.float64).reshape(shape)})
    store = open_features(tmp_path / "f.pkl")
    assert store.shape == expected
    np.testing.assert_array_equal(store["a"].ravel(), np.arange(np.prod(shape)))


def test_ids_are_normalised(tmp_path):
    row = np.zeros((1, 2), np.float32)
    dump(tmp_path / "f.pkl", {"a b.jpg": row, "COCO_val2014_000000000042.jpg": row, 7: row})
    assert set(open_features(tmp_path / "f.pkl")) == {"a%20b", "42", "7"}
    dump(tmp_path / "f.pkl", {"a.jpg": row, "a": row})
    with pytest.raises(DataError, match="both mean the picture 'a'"):
        open_features(tmp_path / "f.pkl")


class Hostile:
    def __reduce__(self):
        return os.system, ("echo owned",)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ({"a": Hostile()}, r"refused, it asks for posix\.system"),
        ({}, "no features in it"),
        ([1], "expected a dict image_id -> array, found list"),
        ({"a": [1.0]}, "found list at 'a'"),
        ({(1, 2): np.zeros(2)}, r"at \(1, 2\)"),
        ({"a": np.array(["x"])}, "array of numbers"),
        ({"a": np.array([None])}, "array of numbers"),
        ({"a": np.zeros((1, 3)), "b": np.zeros((1, 4))}, r"\(4,\) at 'b', \(3,\) at 'a'"),
        ({"a": np.zeros((1, 0))}, "ragged or empty"),
        ({"a": np.float32(3)}, "found float at 'a'"),
        ({"a": np.array(3.0)}, "ragged or empty|vector"),
        ({"a": np.zeros(2), "b": np.array([np.nan, 1])}, "features of 'b' are not finite"),
    ],
)
def test_pickles_that_cannot_be_used(tmp_path, content, fault):
    with pytest.raises(DataError, match=rf"f\.pkl: .*({fault})") as caught:
        open_features(dump(tmp_path / "f.pkl", content))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", [".pkl", ".h5"])
@pytest.mark.parametrize("part", [0.0, 0.3, 0.9])
def test_truncated_files(tmp_path, suffix, part):
    path = tmp_path / f"f{suffix}"
    write_features(path, vectors(50, (64,)), None)
    manifest_path(path).unlink()
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * part)])
    with pytest.raises(DataError, match=rf"f\{suffix}: .*truncated"):
        open_features(path)


def test_h5_files_of_others(tmp_path):
    path = tmp_path / "f.h5"
    with h5py.File(path, "w") as file:
        file["x"] = np.zeros(3)
    with pytest.raises(DataError, match="no dataset 'features'"):
        open_features(path)
    with h5py.File(path, "w") as file:
        file["features"] = np.zeros((3, 2), np.float32)
        file["ids"] = np.array(["a", "a", "b"], dtype=h5py.string_dtype())
    with pytest.raises(DataError, match="2 ids and features"):
        open_features(path)
    secret = tmp_path / "secret.h5"
    write_features(secret, vectors(), None)
    with h5py.File(path, "w") as file:
        file["features"] = h5py.ExternalLink(str(secret), "features")
        file["ids"] = h5py.ExternalLink(str(secret), "ids")
    with pytest.raises(DataError, match="not written by captioner"):
        open_features(path)


def test_numbers_in_h5_that_are_not_finite(tmp_path):
    path = tmp_path / "f.h5"
    with h5py.File(path, "w") as file:
        file["features"] = np.float32([[1, 2], [np.nan, 2]])
        file["ids"] = np.array(["a", "b"], dtype=h5py.string_dtype())
    store = open_features(path)
    assert store["a"].tolist() == [1, 2]
    with pytest.raises(DataError, match="'b' are not finite"):
        store.gather(["a", "b"])


def test_the_manifest_must_fit_the_file(tmp_path):
    path = tmp_path / "f.pkl"
    write_features(path, vectors(), DESCRIPTION, batch_size=16)
    manifest = read_manifest(path)
    assert manifest["stage"] == "extract"
    assert manifest["encoder"] == DESCRIPTION
    assert (manifest["pictures"], manifest["shape"], manifest["batch_size"]) == (3, [4], 16)
    dump(path, {"a": np.zeros(4)})
    with pytest.raises(
        DataError, match=rf"{manifest['digest'][:12]}; extract the features again, or remove f\.pkl\.man"
    ):
        open_features(path)
    manifest_path(path).unlink()
    assert open_features(path).description is None


def test_h5_keeps_the_description_when_the_manifest_is_lost(tmp_path):
    write_features(tmp_path / "f.h5", vectors(), DESCRIPTION)
    manifest_path(tmp_path / "f.h5").unlink()
    assert open_features(tmp_path / "f.h5").description == DESCRIPTION


def test_writing_refuses_what_cannot_be_read(tmp_path, monkeypatch):
    for features, fault in [
        ({}, "no features to write"),
        ({"a": np.zeros(2), "b": np.zeros(3)}, r"'b' have the shape \(3,\), others \(2,\)"),
        ({"a": np.float32([np.inf])}, "'a' are not finite"),
    ]:
        for suffix in (".pkl", ".h5"):
            with pytest.raises(DataError, match=fault):
                write_features(tmp_path / f"f{suffix}", features, None)
    monkeypatch.setattr("captioner.features.store.MAX_PICKLE_BYTES", 40)
    with pytest.raises(DataError, match=r"too much for a pickle; write f\.h5 instead"):
        write_features(tmp_path / "f.pkl", vectors(), None)
    assert list(tmp_path.iterdir()) == [], "nothing half-written stays"


def test_paths_that_are_no_feature_file(tmp_path):
    with pytest.raises(DataError, match=r"f\.pkl: no such file; `captioner extract"):
        open_features(tmp_path / "f.pkl")
    with pytest.raises(DataError, match=r"ends in \.pkl or \.h5"):
        open_features(tmp_path / "f.npz")
    write_json(tmp_path / "f.pkl.manifest.json", [])
    dump(tmp_path / "f.pkl", {"a": np.zeros(4)})
    with pytest.raises(DataError, match="not a manifest"):
        open_features(tmp_path / "f.pkl")
