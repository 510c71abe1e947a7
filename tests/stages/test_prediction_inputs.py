import io
import json
import os
import threading

import numpy as np
import pytest

from captioner.config import ConfigError
from captioner.images.picture_list import PictureFiles
from captioner.stages.prediction_inputs import Arriving, batches_of, find_pictures
from captioner.storage import DataError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("f/b.jpg", "f/a.png", "f/a.jpg", "f/deep/c.jpg", "f/notes.txt", "x.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


def names(files):
    return [files.name(place) for place in range(len(files))]


def test_files_and_folders_in_the_order_in_which_they_were_named(folder):
    files = find_pictures(["x.jpg", "f", "./x.jpg", "-", "f/a.png"])
    assert names(files) == ["x.jpg", "f/a.jpg", "f/a.png", "f/b.jpg", "f/deep/c.jpg"]
    assert files.bytes[1] == 1 and files.modified[1] > 0 and not files.named_alone
    assert find_pictures(["x.jpg"]).named_alone and not find_pictures(["f/deep"]).named_alone
    assert len(find_pictures(["-"])) == 0


def test_what_is_not_there_is_named(folder):
    with pytest.raises(DataError, match=r"y\.jpg: no such picture or folder"):
        find_pictures(["x.jpg", "y.jpg"])
    (folder / "empty").mkdir()
    with pytest.raises(DataError, match="empty: no picture in it"):
        find_pictures(["empty"])
    with pytest.raises(ConfigError, match=r"https://example\.org/a\.jpg: addresses are fetched only with --allow-urls"):
        find_pictures(["https://example.org/a.jpg"])
    assert names(find_pictures(["https://example.org/a.jpg"], allow_urls=True)) == ["https://example.org/a.jpg"]


def test_an_empty_name_is_not_the_folder_one_is_in(folder):
    with pytest.raises(ConfigError, match="a picture's name is empty"):
        find_pictures(["x.jpg", ""])
    assert len(find_pictures(["."])) == 5


def test_what_an_earlier_run_drew_is_no_picture_to_caption(folder):
    mine = folder / "f/deep"
    found = ["f/a.jpg", "f/a.png", "f/b.jpg"]
    assert names(find_pictures(["f"], outputs=[mine])) == [*found, "f/deep/c.jpg"]  # photographs
    for mark in (".results.job.json", ".attention.json"):
        (mine / mark).write_text("{}")
        assert names(find_pictures(["f"], outputs=[mine])) == found
        assert names(find_pictures(["f"], outputs=[folder / "f/dee"])) == [*found, "f/deep/c.jpg"]
        assert names(find_pictures(["f/deep"], outputs=[mine])) == ["f/deep/c.jpg"]  # asked for by its name
        files = PictureFiles()
        list(Arriving(io.BytesIO(b"f"), outputs=[mine]).batches(files, 9))
        assert names(files) == found
        (mine / mark).unlink()


def test_cocos_list(folder):
    listed = {"images": [{"id": 1, "file_name": "b.jpg"}, {"id": 2, "file_name": "a.png"}]}
    (folder / "f/info.json").write_text(json.dumps(listed))
    assert names(find_pictures(["f/info.json"])) == ["f/b.jpg", "f/a.png"]


def test_what_arrives_comes_after_what_is_known(folder):
    files = find_pictures(["x.jpg"])
    arriving = Arriving(io.BytesIO(b"f/b.jpg\0f\0nope.jpg"))
    batches = list(batches_of(files, np.ones(1, bool), arriving, 2))
    assert np.concatenate(batches).tolist() == list(range(len(files))) and max(map(len, batches)) == 2
    assert names(files) == ["x.jpg", "f/b.jpg", "f/a.jpg", "f/a.png", "f/b.jpg", "f/deep/c.jpg", "nope.jpg"]


def test_a_batch_does_not_wait_for_paths_that_have_not_come(folder):
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as stream:
        files = PictureFiles()
        batches = Arriving(stream).batches(files, 4)
        os.write(writing, b"x.jpg\nf/b.j")
        places = next(batch for batch in batches if len(batch))
        assert places.tolist() == [0] and names(files) == ["x.jpg"]
        assert len(next(batches)) == 0  # nothing more for now: what is known can be handed out
        threading.Timer(0.05, lambda: (os.write(writing, b"pg\n"), os.close(writing))).start()
        assert np.concatenate(list(batches)).tolist() == [1] and names(files)[1] == "f/b.jpg"
