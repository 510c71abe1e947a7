import os
from pathlib import Path

import pytest

from captioner.images.listing import SHARD_STEP, find_pictures, list_images
from captioner.images.walk import walk_images
from captioner.storage import DataError, digest_json

NAMES = ["z.jpg", "b/a.PNG", "b/deep/er.gif", "a.tiff", "my dog.jpg", "caf\u00e9.webp"]


@pytest.fixture
def folder(tmp_path):
    for index, name in enumerate(NAMES):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x" * index)
    (tmp_path / ".hidden.jpg").touch()
    (tmp_path / "notes.txt").touch()
    return tmp_path


def test_they_are_those_of_list_images(folder):
    Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.jpg")).touch()
    pictures = find_pictures(folder)
    assert {pictures.ids[place]: pictures.path(place) for place in range(len(pictures))} == list_images(folder)
    assert list(pictures.ids) == sorted(pictures.ids)
    for place in range(len(pictures)):
        status = pictures.path(place).stat()
        assert (pictures.bytes[place], pictures.modified[place]) == (status.st_size, status.st_mtime_ns)


def test_the_digest_is_that_of_ids_paths_and_sizes(folder, monkeypatch):
    expected = digest_json(
        [
            (name, ascii(path.relative_to(folder).as_posix()), path.stat().st_size)
            for name, path in list_images(folder).items()
        ]
    )
    assert find_pictures(folder).digest() == expected
    monkeypatch.chdir(folder)
    assert find_pictures(".").digest() == find_pictures(f"{folder}/").digest() == expected
    (folder / "z.jpg").write_bytes(b"longer")
    assert find_pictures(folder).digest() != expected


def test_folders_that_cannot_be_used(tmp_path):
    for name, fault in (("missing", "no such folder"), ("file", "not a folder"), ("empty", "no picture in it")):
        if name == "file":
            (tmp_path / name).touch()
        elif name == "empty":
            (tmp_path / name).mkdir()
        with pytest.raises(DataError, match=fault):
            find_pictures(tmp_path / name)
    (tmp_path / "a.jpg").touch()
    (tmp_path / "a.png").touch()
    with pytest.raises(DataError, match=r"a\.jpg and .*a\.png are both the picture 'a'; rename or remove one"):
        find_pictures(tmp_path)


@pytest.mark.parametrize(("count", "shards"), [(7, 3), (SHARD_STEP * 5 + 9, 3), (SHARD_STEP * 3, 3), (2, 2)])
def test_shards_are_the_whole_in_order(tmp_path, count, shards):
    for index in range(count):
        (tmp_path / f"p{index:04}.jpg").write_bytes(b"x" * index)
    whole = find_pictures(tmp_path)
    parts = [whole.shard(index, shards) for index in range(1, shards + 1)]
    assert [name for part in parts for name in part.ids] == list(whole.ids)
    for part in parts:
        for place, name in enumerate(part.ids):
            assert part.path(place).name == f"{name}.jpg"
            assert part.bytes[place] == part.path(place).stat().st_size
    if count > SHARD_STEP * shards:
        assert all(len(part) % SHARD_STEP == 0 for part in parts[:-1]), "the batches of the whole"
    with pytest.raises(DataError, match=rf"of {count} pictures is empty; make fewer shards"):
        for index in range(1, 10 * count):
            whole.shard(index, 10 * count)


def test_a_link_to_itself_is_passed_over(tmp_path):
    (tmp_path / "a.jpg").touch()
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    (tmp_path / "nowhere.jpg").symlink_to("none.jpg")
    assert [entry.name for entry in walk_images(tmp_path)] == ["a.jpg"]
