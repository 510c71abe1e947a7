"""`--resume` on what is finished, with more epochs and with other settings."""

import logging
from dataclasses import replace

import pytest

from captioner.config import load_yaml
from captioner.run_folder import state_of
from captioner.stages.resume import add_epochs, differences, is_complete
from captioner.storage import DataError, read_manifest
from tests.speed import slow
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


@pytest.mark.parametrize("changes", [{}, slow(COSINE)])
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


@pytest.mark.slow
def test_an_interrupted_run_gets_more_epochs(project, tmp_path):  # noqa: F811
    _, sections = project
    sections = with_train(sections, **{**COSINE, "epochs": 3})
    with stopped_after(1):
        train(tmp_path / "run", sections)
    assert train(tmp_path / "run", with_train(sections, epochs=4), resume=True).epoch == 4


@pytest.mark.slow
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


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_refused_resume_leaves_a_finished_run_as_it_was(project, finished):  # noqa: F811
    _, sections = project
    (finished / "evaluations").mkdir()
    (finished / "evaluations" / "scores.json").write_text("{}")
    before = contents(finished)
    shorter = replace(sections, data=replace(sections.data, limit=30))
    with pytest.raises(DataError, match="its captions or its features"):
        train(finished, with_train(shorter, epochs=2), resume=True)
    assert contents(finished) == before


@pytest.mark.slow
def test_copied_checkpoints_with_which_nothing_has_begun_replace_no_run(project, finished):  # noqa: F811
    _, sections = project
    add_epochs(finished)
    before = contents(finished)
    train(finished, with_train(sections, epochs=1), resume=True)
    assert contents(finished) == before
    assert train(finished, with_train(sections, epochs=2), resume=True).epoch == 2
    assert not (finished / ".next").exists()


@pytest.mark.slow
def test_a_run_whose_minutes_were_up_goes_on_with_more(project, tmp_path, caplog):  # noqa: F811
    _, sections = project
    short = with_train(sections, epochs=3, patience=None, max_minutes=1e-6)
    assert train(tmp_path, short).epoch == 1
    with caplog.at_level(logging.INFO):
        train(tmp_path, short, resume=True)
    assert "stopped after epoch 1 of 3: train.max_minutes=1e-06 are over" in caplog.text
    assert train(tmp_path, with_train(sections, epochs=3, patience=None, max_minutes=9), resume=True).epoch == 3


@pytest.mark.slow
def test_a_run_that_waited_enough_goes_on_with_more_patience(project, tmp_path, caplog):  # noqa: F811
    _, sections = project
    sections = with_train(sections, epochs=9, patience=1, learning_rate=1e-9, monitor="val_loss", least_steps=1)
    sections = with_train(sections, optimizer="sgd", label_smoothing=0.9)
    done = train(tmp_path, sections).epoch
    assert done < 9
    before = contents(tmp_path)
    with caplog.at_level(logging.INFO):
        train(tmp_path, with_train(sections, epochs=20), resume=True)
    assert f"stopped after epoch {done} of 20: val_loss has not risen for train.patience=1 epochs" in caplog.text
    assert contents(tmp_path) == before
    assert train(tmp_path, with_train(sections, epochs=done + 1, patience=9), resume=True).epoch == done + 1


def test_the_curves_of_a_finished_run_go_on(tmp_path):
    run = tmp_path / "run"
    for name in ("checkpoints/checkpoint.npz", "tensorboard/events", "config.yaml"):
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).write_text(name)
    add_epochs(run)
    assert (run / ".next" / "tensorboard" / "events").read_text() == "tensorboard/events"
