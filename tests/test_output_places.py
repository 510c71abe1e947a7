"""Places for output are looked at before the work."""

import os
import shutil
from types import SimpleNamespace

import pytest

from captioner import output_places
from captioner.output_places import require_own, require_page, require_place, require_space
from captioner.storage import DataError, write_manifest


def test_a_place_that_can_be_made_is_let_through(tmp_path):
    require_place(tmp_path)
    require_place(tmp_path / "new" / "deeper" / "file.csv")
    assert not (tmp_path / "new").exists()


def test_a_place_that_cannot_be_written_to_is_named(tmp_path, monkeypatch):
    asked = []

    def access(place, wanted):  # root may write anywhere, so that the system is asked is what can be tested
        asked.append((place, wanted))
        return False

    monkeypatch.setattr(output_places.os, "access", access)
    with pytest.raises(DataError) as refusal:
        require_place(tmp_path / "new" / "results")
    assert str(refusal.value) == (
        f"{tmp_path}: cannot be written to; change its permissions, or name another place for {tmp_path}/new/results"
    )
    assert asked == [(tmp_path, os.W_OK | os.X_OK)]


def test_what_does_not_fit_on_the_disk_is_said_with_both_figures(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda place: SimpleNamespace(free=3 * 10**6))
    require_space(tmp_path / "new", 3 * 10**6, "training")
    with pytest.raises(
        DataError, match=r"new: training needs 12 MB, but only 3 MB are free; free disk space or name another"
    ):
        require_space(tmp_path / "new", 12 * 10**6, "training")


def test_only_a_page_is_replaced_by_a_page(tmp_path):
    path = tmp_path / "a.jpg"
    require_page(path)
    for content in (b"", b"\n<!DOCTYPE html>\n<p>", b"<html>"):
        path.write_bytes(content)
        require_page(path)
    path.write_bytes(b"\xff\xd8\xff")
    with pytest.raises(DataError, match=r"a\.jpg: already exists and is not an HTML page"):
        require_page(path)


def test_a_pipe_is_refused_before_the_work(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="pipe: is a device or a pipe and cannot be replaced"):
        require_own(tmp_path / "pipe", "clean")


def test_only_a_stages_own_file_is_replaced(tmp_path):
    path = tmp_path / "out.txt"
    require_own(path, "clean")
    path.write_text("")
    require_own(path, "clean")
    path.write_text("mine")
    with pytest.raises(DataError, match=r"out\.txt: already exists and was not written by captioner clean"):
        require_own(path, "clean")
    write_manifest(path, "clean")
    require_own(path, "clean")
