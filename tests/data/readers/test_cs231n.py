import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from captioner.data.readers.cs231n import import_features, read_cs231n
from captioner.features.store import open_features
from captioner.storage import DataError

WORDS = ["<NULL>", "<START>", "<END>", "<UNK>", "a", "dog", "cat", "runs"]


@pytest.fixture
def captions_file(tmp_path: Path) -> Path:
    """Files laid out as CS231n's coco_captioning.zip has them."""
    path = tmp_path / "coco2014_captions.h5"
    with h5py.File(path, "w") as file:
        file["train_captions"] = np.array([[1, 4, 5, 2, 0], [1, 4, 3, 7, 2], [1, 4, 6, 2, 0]], np.int32)
        file["train_image_idxs"] = np.array([1, 0, 1], np.int32)
        file["val_captions"] = np.array([[1, 6, 7, 2, 0], [1, 2, 0, 0, 0]], np.int32)
        file["val_image_idxs"] = np.array([0, 0], np.int32)
    vocabulary = {"idx_to_word": WORDS, "word_to_idx": {word: number for number, word in enumerate(WORDS)}}
    (tmp_path / "coco2014_vocab.json").write_text(json.dumps(vocabulary))
    urls = {
        "train": [f"http://farm4.staticflickr.com/3/{name}_z.jpg" for name in "xy"],
        "val": ["http://f.com/v_z.jpg"],
    }
    images = {"train": [f"/data/train2014/COCO_train2014_{number:012}.jpg" for number in (57870, 9)]}
    images["val"] = ["/data/val2014/COCO_val2014_000000000042.jpg"]
    for part in ("train", "val"):
        (tmp_path / f"{part}2014_urls.txt").write_text("\n".join(urls[part]) + "\n")
        (tmp_path / f"{part}2014_images.txt").write_text("\n".join(images[part]) + "\n")
    return path


def add_features(folder: Path, kind: str, channels: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(channels)
    rows = {"train": rng.normal(size=(2, channels)).astype("f"), "val": rng.normal(size=(1, channels)).astype("f")}
    for part, features in rows.items():
        with h5py.File(folder / f"{part}2014_vgg16_{kind}.h5", "w") as file:
            file["features"] = features
    return rows


def test_captions_are_words_again_and_pictures_have_cocos_numbers(captions_file: Path) -> None:
    captions = read_cs231n(captions_file)
    assert captions.references == {"9": ("a dog", "a cat"), "57870": ("a <UNK> runs",), "42": ("cat runs",)}
    assert captions.splits == {"train": ("9", "57870"), "dev": ("42",)}


def test_without_a_list_of_pictures_their_addresses_or_rows_name_them(captions_file: Path) -> None:
    for part in ("train", "val"):
        (captions_file.parent / f"{part}2014_images.txt").unlink()
    assert set(read_cs231n(captions_file).references) == {"x_z", "y_z", "v_z"}
    for part in ("train", "val"):
        (captions_file.parent / f"{part}2014_urls.txt").unlink()
    assert set(read_cs231n(captions_file).references) == {"train/0", "train/1", "val/0"}


def test_features_beside_it_are_written_as_ours(captions_file: Path) -> None:
    folder = captions_file.parent
    add_features(folder, "fc7", 40)
    rows = add_features(folder, "fc7_pca", 5)
    assert import_features(captions_file, folder / "features.h5") == folder / "val2014_vgg16_fc7_pca.h5"
    features = open_features(folder / "features.h5")
    assert features.shape == (5,) and len(features) == 3 and features.description is None
    np.testing.assert_array_equal(features.gather(["9", "57870"]), rows["train"][[1, 0]])
    assert set(features) == set(read_cs231n(captions_file).references)


def test_features_inside_it_come_first(captions_file: Path) -> None:
    folder = captions_file.parent
    add_features(folder, "fc7_pca", 5)
    own = np.arange(6, dtype="f").reshape(2, 3)
    with h5py.File(captions_file, "a") as file:
        file["train_features"], file["val_features"] = own, np.ones((1, 3), "f")
    import_features(captions_file, folder / "features.pkl")
    np.testing.assert_array_equal(open_features(folder / "features.pkl").gather(["57870", "9"]), own)


def test_a_file_of_features_that_is_cut_is_named(captions_file: Path) -> None:
    add_features(captions_file.parent, "fc7", 4096)
    cut = captions_file.parent / "train2014_vgg16_fc7.h5"
    cut.write_bytes(cut.read_bytes()[:-8192])
    with pytest.raises(DataError, match=r"train2014_vgg16_fc7\.h5: broken, truncated or not HDF5"):
        import_features(captions_file, captions_file.parent / "features.h5")
    assert not (captions_file.parent / "features.h5").exists()


def test_a_part_whose_rows_cannot_be_read_names_its_file(captions_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_features(captions_file.parent, "fc7", 8)

    def fail(rows: object, row: np.ndarray, place: int) -> None:
        raise OSError("it became shorter")

    monkeypatch.setattr("captioner.hdf5.StoredRows.read_into", fail)
    with pytest.raises(
        DataError,
        match=r"train2014_vgg16_fc7\.h5: its train features are broken or truncated \(it became",
    ):
        import_features(captions_file, captions_file.parent / "features.h5")


def test_no_features_at_all(captions_file: Path) -> None:
    with pytest.raises(DataError, match="has no train_features, and train2014_vgg16_fc7_pca"):
        import_features(captions_file, captions_file.parent / "features.h5")


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"train_captions": np.array([[1, 99, 2]] * 3)}, "numbers outside of the vocabulary of 8 words"),
        ({"train_captions": np.array([[1, 4, 2]])}, "1 train_captions do not match 3 train_image_idxs"),
        ({"train_captions": np.array([[1.0, 4.0, 2.0]] * 3)}, "do not match"),
        ({"train_captions": np.array([1, 4, 2])}, "has 1 dimensions, expected 2"),
        ({"train_image_idxs": np.array([0, 1, 2])}, r"lists 2 pictures, .* has 3"),
        ({"train_image_idxs": np.array([0, -1, 1])}, "a number below 0"),
    ],
)
def test_numbers_that_do_not_fit(captions_file: Path, change: dict[str, np.ndarray], fault: str) -> None:
    with h5py.File(captions_file, "a") as file:
        for name, values in change.items():
            del file[name]
            file[name] = values
    with pytest.raises(DataError, match=fault):
        read_cs231n(captions_file)


def test_a_link_to_another_file_is_not_followed(captions_file: Path) -> None:
    with h5py.File(captions_file, "a") as file:
        del file["train_captions"]
        file["train_captions"] = h5py.ExternalLink("elsewhere.h5", "secret")
    with pytest.raises(DataError, match="has no dataset 'train_captions'"):
        read_cs231n(captions_file)


def test_files_that_are_missing_or_broken(captions_file: Path) -> None:
    data = captions_file.read_bytes()
    captions_file.write_bytes(data[: len(data) // 2])
    with pytest.raises(DataError, match=r"coco2014_captions\.h5: broken"):
        read_cs231n(captions_file)
    with h5py.File(captions_file, "w") as file:
        file["features"] = np.zeros((2, 2))
    with pytest.raises(DataError, match="has no train_captions"):
        read_cs231n(captions_file)
    (captions_file.parent / "coco2014_vocab.json").write_text("[]")
    with pytest.raises(DataError, match=r"coco2014_vocab\.json: has no list idx_to_word"):
        read_cs231n(captions_file)
    (captions_file.parent / "coco2014_vocab.json").unlink()
    with pytest.raises(DataError, match="the vocabulary is not beside it"):
        read_cs231n(captions_file)
    with pytest.raises(DataError, match="the vocabulary is not beside it"):
        read_cs231n(captions_file.parent / "none.h5")
