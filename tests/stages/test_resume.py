"""`--resume` on what is finished, with more epochs and with other settings."""

import logging
from dataclasses import replace

import pytest

from captioner.config import load_yaml
from captioner.run_folder import state_of
from captioner.stages.resume import differences, is_complete
from captioner.storage import DataError, read_manifest
from tests.stages.test_train import (  # noqa: F401 - fixtures
    finished,
    finished_once,
    project,
    stopped,
    stopped_after,
    stopped_once,
    train,
)

COSINE = {"schedule": "cosine", "epochs": 1, "patience": None}


def with_train(sections, **changes):
    return replace(sections, train=replace(sections.train, **changes))


def test_a_finished_run_is_left_with_one_line(project, finished, caplog):  # noqa: F811
    _, sections = project
    before = (finished / "captioner.keras").read_bytes()
    with caplog.at_level(logging.INFO):
        train(finished, with_train(sections, epochs=1), resume=True)
    assert [line.message for line in caplog.records if "is finished with 1 epochs" in line.message]
    assert (finished / "captioner.keras").read_bytes() == before


@pytest.mark.parametrize("changes", [{}, COSINE])
def test_a_finished_run_gets_more_epochs(project, finished, tmp_path, changes):  # noqa: F811
    _, sections = project
    run, sections = finished, with_train(sections, **{"epochs": 1, **changes})
    if changes:
        run = tmp_path / "changed"
        assert train(run, sections).epoch == sections.train.epochs
    epochs = sections.train.epochs + 1
    more = train(run, with_train(sections, epochs=epochs), resume=True)
    assert [row["epoch"] for row in more.history] == list(range(1, epochs + 1))
    assert state_of(run) == "finished" and load_yaml(run / "config.yaml")["train"]["epochs"] == epochs
    assert read_manifest(run) is not None and not (run / ".next").exists()


def test_an_interrupted_run_gets_more_epochs(project, tmp_path):  # noqa: F811
    _, sections = project
    sections = with_train(sections, **{**COSINE, "epochs": 3})
    with stopped_after(1):
        train(tmp_path / "run", sections)
    assert train(tmp_path / "run", with_train(sections, epochs=4), resume=True).epoch == 4


def test_what_differs_is_named(project, stopped):  # noqa: F811
    _, sections = project
    run = stopped
    other = with_train(sections, learning_rate=0.5, epochs=9)
    with pytest.raises(DataError, match=r"other settings or data: train\.learning_rate is 0\.5, was .*; captioner"):
        train(run, other, resume=True)
    train(run, sections, resume=True)
    assert differences(run, sections) == ""
    with pytest.raises(DataError, match=r"finished run with other settings: train\.learning_rate is 0\.5"):
        is_complete(run, other)
