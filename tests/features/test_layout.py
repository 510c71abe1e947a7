import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest

from captioner.features.layout import as_features, looks_channels_first
from captioner.features.store import open_features, write_features
from captioner.storage import DataError


@pytest.mark.parametrize("shape", [(512, 7, 7), (2048, 8, 8), (1280, 7, 10), (64, 14, 14), (512, 49), (2048, 196)])
def test_what_looks_like_channels_first(shape: tuple[int, ...]) -> None:
    assert looks_channels_first(shape)


@pytest.mark.parametrize(
    "shape", [(512,), (7, 7, 512), (14, 14, 8), (7, 10, 1280), (49, 512), (196, 64), (36, 2048), (5, 3), (8, 8, 8)]
)
def test_what_does_not(shape: tuple[int, ...]) -> None:
    assert not looks_channels_first(shape)


def test_shapes_as_features() -> None:
    assert as_features((512, 7, 7), "channels_first") == (49, 512)
    assert as_features((512, 49), "channels_first") == (49, 512)
    assert as_features((7, 7, 512), "auto") == as_features((49, 512), "channels_last") == (49, 512)
    assert as_features((512,), "channels_first") == (512,)


@pytest.mark.parametrize("shape", [(1, 64, 7, 7), (64, 7, 7), (1, 128, 49)])
def test_channels_first_is_refused_and_turned_on_request(tmp_path: Path, shape: tuple[int, ...]) -> None:
    path = tmp_path / "f.pkl"
    rows = {f"p{n}": np.random.default_rng(n).random(shape, np.float32) for n in range(3)}
    path.write_bytes(pickle.dumps(rows))
    with pytest.raises(DataError, match=r"look like channels first; set features_layout=channels_first"):
        open_features(path)
    store = open_features(path, "channels_first")
    assert store.shape[0] == 49
    np.testing.assert_array_equal(store["p1"], rows["p1"].reshape(-1, 49).T)
    assert open_features(path, "channels_last").shape[-1] in (7, 49)


def test_a_pickle_of_captioners_own_is_never_taken_for_channels_first(tmp_path: Path) -> None:
    write_features(tmp_path / "f.pkl", {"a": np.ones((64, 4), np.float32)}, {"backbone": "x"})
    assert open_features(tmp_path / "f.pkl").shape == (64, 4)


def test_ids_in_feature_files_are_paths_of_any_kind(tmp_path: Path) -> None:
    keys = ["C:\\data\\train\\a.jpg", "C:\\data\\train\\b c.jpg", "C:\\data\\x.jpg"]
    (tmp_path / "f.pkl").write_bytes(pickle.dumps({key: np.ones(3, np.float32) for key in keys}))
    assert list(open_features(tmp_path / "f.pkl")) == ["train/a", "train/b%20c", "x"]
    (tmp_path / "n.pkl").write_bytes(pickle.dumps({7: np.ones(3, np.float32), "9.jpg": np.ones(3, np.float32)}))
    assert set(open_features(tmp_path / "n.pkl")) == {"7", "9"}
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file["features"] = np.ones((2, 3), np.float32)
        file["ids"] = np.array([b"./train\\a.jpg", b"train/b.jpg"])
    assert list(open_features(tmp_path / "f.h5")) == ["train/a", "train/b"]


def test_channels_first_is_refused_and_turned_in_hdf5_of_others_too(tmp_path: Path) -> None:
    path = tmp_path / "f.h5"
    rows = np.random.default_rng(0).random((3, 128, 49)).astype(np.float32)
    with h5py.File(path, "w") as file:
        file["features"] = rows
        file["ids"] = np.array([b"a", b"b", b"c"])
    with pytest.raises(DataError, match=r"look like channels first; set features_layout=channels_first"):
        open_features(path)
    store = open_features(path, "channels_first")
    assert store.shape == (49, 128)
    np.testing.assert_array_equal(store.gather(["c", "a"]), rows[[2, 0]].transpose(0, 2, 1))
    assert open_features(path, "channels_last").shape == (128, 49)
    write_features(path, {"a": np.ones((128, 49), np.float32)}, {"backbone": "x"})
    assert open_features(path).shape == (128, 49)
