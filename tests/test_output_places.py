"""Places for output are looked at before the work."""

import os
import shutil
from types import SimpleNamespace

import pytest

from captioner import output_places
from captioner.output_places import require_place, require_space
from captioner.storage import DataError


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
