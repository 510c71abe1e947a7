import json
import tarfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from captioner.config import ConfigError
from captioner.data.captions import Captions
from captioner.data.readers.detect import READERS, detect_format, digest_captions, find_sources, read_data
from captioner.images.listing import list_images
from captioner.storage import DataError, digest_file
from tests.shared import COCO_MINI, FLICKR8K, needs_coco_mini, needs_flickr8k

TEXTS = {
    "flickr": "a.jpg#0\tA dog, a cat\n",
    "csv": 'image,caption\na.jpg,"A dog, a cat"\n',
    "jsonl": '{"image": "a.jpg", "caption": "A dog, a cat"}\n',
    "json": '{"a.jpg": ["A dog, a cat"]}',
    "coco": '{"images": [], "annotations" : [{"image_id": "a", "caption": "A dog, a cat"}]}',
    "karpathy": json.dumps(
        {
            "images": [
                {"filename": "a.jpg", "split": "odd", "sentences": [{"raw": "A dog, a cat", "tokens": ["annotations"]}]}
            ]
        }
    ),
    "descriptions": "a A dog, a cat\n",
}


def make(folder: Path, name: str) -> Path:
    """Write the caption "A dog, a cat" of the picture a in the form `name`."""
    path = folder / f"{name}-data"
    if name in TEXTS:
        path.write_text(TEXTS[name], encoding="utf-8")
    elif name == "coco-images":
        path.write_text('{"images": [{"id": 1, "file_name": "a.jpg"}]}')
    elif name == "cs231n":
        with h5py.File(path, "w") as file:
            file["train_captions"] = np.array([[1, 3, 2]])
            file["train_image_idxs"] = np.array([0])
        vocabulary = ["<NULL>", "<START>", "<END>", "A dog, a cat"]
        (folder / "vocab.json").write_text(json.dumps({"idx_to_word": vocabulary}))
        (folder / "train_images.txt").write_text("a.jpg\n")
    else:
        path.mkdir()
        (path / "a.jpg").touch()
        (path / "a.txt").write_text("A dog, a cat\n")
        if name == "webdataset":
            with tarfile.open(folder / "webdataset.tar", "w") as archive:
                archive.add(path / "a.jpg", "a.jpg")
                archive.add(path / "a.txt", "a.txt")
            return folder / "webdataset.tar"
    return path


@pytest.mark.parametrize("name", READERS)
def test_every_form_is_told_by_its_content(tmp_path: Path, name: str) -> None:
    path = make(tmp_path, name)
    assert detect_format(path) == name
    assert read_data(path) == read_data(path, name)
    assert read_data(path).references == ({} if name == "coco-images" else {"a": ("A dog, a cat",)})


@pytest.mark.parametrize(
    ("content", "name"),
    [
        ("image_name| comment_number| comment\na.jpg| 0| A dog\n", "csv"),
        ("file_name\ttext\na.jpg\tA dog\n", "csv"),
        ("\n\na.jpg#0\tA dog\n", "flickr"),
        ('\ufeff{"file_name": "a.jpg", "text": "A dog"}', "jsonl"),
        ('[{"image_id": 1, "caption": "A dog"}]', "jsonl"),
        ('{\n "annotations": [{"image_id": 1,\n "caption": "a \\"images\\": one"}]\n}', "coco"),
        ('{"1": "A dog"}', "json"),
    ],
)
def test_variants_are_told_too(tmp_path: Path, content: str, name: str) -> None:
    path = tmp_path / "captions"
    path.write_text(content, encoding="utf-8")
    assert detect_format(path) == name


@pytest.mark.parametrize("content", ["", "\n \n", "\ufeff"])
@pytest.mark.parametrize("name", ["auto", *(name for name in READERS if name != "cs231n")])
def test_an_empty_file_is_refused(tmp_path: Path, content: str, name: str) -> None:
    path = tmp_path / "captions.txt"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=r"captions\.txt: "):
        read_data(path, name)


def test_what_holds_no_captions_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.txt: no such file"):
        read_data(tmp_path / "none.txt")
    with pytest.raises(ConfigError, match=r"'tsv' is not known .*auto, flickr, csv"):
        read_data(tmp_path / "none.txt", "tsv")
    (tmp_path / "a.zip").write_bytes(b"PK\x03\x04...")
    with pytest.raises(DataError, match=r"a\.zip: a zip archive; unpack it"):
        read_data(tmp_path / "a.zip")
    (tmp_path / "old.txt").write_bytes(b"a.jpg#0\tA dog\nb.jpg#0\tA caf\xe9\n")
    with pytest.raises(DataError, match=r"old\.txt: line 2 is not UTF-8"):
        read_data(tmp_path / "old.txt")


def write_coco(folder: Path, part: str, *ids: int) -> Path:
    path = folder / f"captions_{part}.json"
    path.write_text(json.dumps({"annotations": [{"image_id": number, "caption": "A dog"} for number in ids]}))
    return path


def test_cocos_folder_of_annotations_is_train_and_dev(tmp_path: Path) -> None:
    files = [write_coco(tmp_path, "train2014", 1, 2), write_coco(tmp_path, "val2014", 3)]
    (tmp_path / "instances_train2014.json").write_text("{}")
    both = Captions(dict.fromkeys("123", ("A dog",)), splits={"train": ("1", "2"), "dev": ("3",)})
    assert read_data(tmp_path) == read_data(files) == read_data(str(tmp_path / "captions_*2014.json")) == both
    assert read_data(files[0]).splits == {"train": ("1", "2")}
    write_coco(tmp_path, "train2017", 3)
    with pytest.raises(DataError, match=r"splits 'train' and 'dev' share 1 pictures \(first: '3'\)"):
        read_data(tmp_path)


def test_sources_are_files_folders_and_patterns(tmp_path: Path) -> None:
    for name in ("1.tar", "0.tar", "x.txt"):
        (tmp_path / name).touch()
    assert find_sources(tmp_path) == [tmp_path / "0.tar", tmp_path / "1.tar"]
    assert find_sources([tmp_path / "x.txt", "none"]) == [tmp_path / "x.txt", Path("none")]
    with pytest.raises(DataError, match=r"\*\.json: matches no file"):
        find_sources(str(tmp_path / "*.json"))
    (tmp_path / "[odd].txt").touch()
    assert find_sources(str(tmp_path / "[odd].txt")) == [tmp_path / "[odd].txt"]
    with pytest.raises(DataError, match="no caption file"):
        find_sources(())


def test_a_folder_with_a_table_of_its_pictures_means_the_table(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    (tmp_path / "metadata.jsonl").write_text('{"file_name": "a.jpg", "text": "A dog"}\n')
    assert read_data(tmp_path).references == {"a": ("A dog",)}


def test_the_digest_is_that_of_everything_that_is_read(tmp_path: Path) -> None:
    one, two = write_coco(tmp_path, "train2014", 1), write_coco(tmp_path, "val2014", 2)
    assert digest_captions(one) == digest_captions(str(one)) == digest_file(one)
    both = digest_captions([one, two])
    assert both == digest_captions(tmp_path) and both != digest_captions(one)
    write_coco(tmp_path, "val2014", 3)
    assert digest_captions(tmp_path) != both
    folder = make(tmp_path, "folder")
    before = digest_captions(folder)
    (folder / "notes.txt").write_text("beside no picture")
    assert digest_captions(folder) == before
    (folder / "a.txt").write_text("A cat")
    assert digest_captions(folder) != before


@pytest.mark.slow
@needs_flickr8k
@needs_coco_mini
def test_every_real_file_is_read() -> None:
    flickr = read_data(FLICKR8K / "Flickr8k.token.txt")
    assert detect_format(FLICKR8K / "Flickr8k.token.txt") == "flickr"
    assert set(list_images(FLICKR8K / "Flicker8k_Dataset")) <= set(flickr.references)
    coco = read_data(COCO_MINI)
    assert coco == read_data(COCO_MINI / "captions_train2017_mini80.json")
    assert coco.splits["train"] == tuple(coco.references)
    assert set(list_images(COCO_MINI / "train2017")) == set(coco.references)


def test_a_file_that_is_named_twice_is_read_once(tmp_path, monkeypatch, said):
    monkeypatch.chdir(tmp_path)
    Path("a.txt").write_text("a.jpg#0\tA dog .\n")
    Path("b.txt").write_text("b.jpg#0\tA cat .\n")
    named = ["a.txt", "*.txt", "./b.txt"]
    assert find_sources(named) == [Path("a.txt"), Path("b.txt")]
    assert {name: len(texts) for name, texts in read_data(named).references.items()} == {"a": 1, "b": 1}
    assert said == ["note: 2 of the caption files are named a second time; each is read once"]
