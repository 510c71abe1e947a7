"""Training in two processes on this machine's processor, through keras.distribution on JAX."""

import csv
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from captioner.config import dump_yaml, to_settings
from captioner.training.environment import ADDRESSES, COUNT, NUMBER
from tests.training.project import make_project

pytest.importorskip("jax")
pytestmark = pytest.mark.slow

WITHIN = 60  # seconds in which a process that dies ends the others
PATIENCE = 600
# Dropout depends on how a batch is laid out, so it is off where one process is compared with two.
MODEL = {"architecture": "merge", "units": 24, "embedding_size": 12, "feature_dropout": 0.0, "word_dropout": 0.0}
TRAIN = {"epochs": 3, "batch_size": 8, "least_steps": 4, "checkpoint_steps": 1, "patience": None, "ema": 0.9}


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    """A recipe file whose training pictures go unevenly into the batches, and the batches into two processes."""
    folder = tmp_path_factory.mktemp("project")
    recipe = make_project(folder, pictures=47)
    recipe = replace(recipe, model=MODEL, train=replace(recipe.train, **TRAIN))
    (folder / "recipe.yaml").write_text(dump_yaml(to_settings(recipe)))
    return folder / "recipe.yaml"


def start(recipe, run, *options, **variables):
    return subprocess.Popen(
        [sys.executable, "-m", "captioner", "train", "-c", recipe, "-o", run, *options],
        env={**os.environ, "KERAS_BACKEND": "jax", **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def said_by(process, within=PATIENCE):
    """Return what a process has printed until it ended, without what libraries print."""
    out, err = process.communicate(timeout=within)
    ours = [line for line in err.splitlines() if not line.startswith(("I0000", "E0000", "W0000", "WARNING: All log"))]
    return out, ours


def train(recipe, run, *options, **variables):
    process = start(recipe, run, *options, **variables)
    out, lines = said_by(process)
    assert process.returncode == 0, lines
    assert out == f"{run}\n"
    return lines


def history(run):
    rows = csv.DictReader((run / "history.csv").read_text().splitlines())
    return [{name: float(value) for name, value in row.items() if name != "seconds"} for row in rows]


def weights(run):
    with np.load(run / "checkpoints" / "best.npz") as file:
        return [file[name] for name in file.files if name != "header"]


def assert_equal(one, other):
    for row, row_of_other in zip(history(one), history(other), strict=True):
        # The loss of training is a mean over pictures, and a batch that is filled up counts with what fills it.
        compared = row.keys() - {"loss"}
        assert {name: row[name] for name in compared} == pytest.approx(
            {name: row_of_other[name] for name in compared}, abs=1e-4
        )
        assert row["loss"] == pytest.approx(row_of_other["loss"], rel=0.05)
    for weight, weight_of_other in zip(weights(one), weights(other), strict=True):
        np.testing.assert_allclose(weight, weight_of_other, atol=1e-5)


@pytest.fixture(scope="module")
def alone(recipe):
    """The run folder of one process with one device."""
    run = recipe.parent / "alone"
    train(recipe, run)
    return run


def test_two_processes_equal_one(recipe, alone, tmp_path):
    lines = train(recipe, tmp_path / "two", "--processes", "2")
    assert sum(line.startswith("epoch 3/3: loss") for line in lines) == 1
    assert "in 2 processes with 1 device each" in lines
    assert_equal(tmp_path / "two", alone)


def test_two_devices_of_one_process_equal_one(recipe, alone, tmp_path):
    lines = train(recipe, tmp_path / "two", XLA_FLAGS="--xla_force_host_platform_device_count=2")
    assert "on 2 devices" in lines
    assert_equal(tmp_path / "two", alone)


def has_come_to(run, epochs, process):
    """Wait until a run has a checkpoint of `epochs` epochs and some batches."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and process.poll() is None:
        for path in (run / "checkpoints").glob("checkpoint*.npz"):
            try:
                with np.load(path) as file:
                    header = str(file["header"])
            except (OSError, ValueError, KeyError, EOFError):
                continue
            if f'"epoch": {epochs}, ' in header:
                return
        time.sleep(0.05)
    pytest.fail(f"no epoch {epochs}: {said_by(process)}")


def children_of(process):
    """Return the children of a process by the number that they have among those that train together."""
    found = {}
    for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
        variables = dict(item.split("=", 1) for item in Path(f"/proc/{pid}/environ").read_text().split("\0") if item)
        found[int(variables[NUMBER])] = int(pid)
    return found


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs Linux' /proc")
@pytest.mark.parametrize("number", [0, 1])
def test_a_process_that_dies_ends_the_others_and_the_run_can_be_resumed(recipe, alone, tmp_path, number):
    run = tmp_path / "run"
    process = start(recipe, run, "--processes", "2")
    has_come_to(run, 1, process)
    children = children_of(process)
    os.kill(children[number], signal.SIGKILL)
    _, lines = said_by(process, WITHIN)
    assert process.returncode == 1
    what = f"process {number} of 2 was ended by SIGKILL, so the other process was ended, too"
    ours = [line for line in lines if line.startswith("captioner:")]
    assert ours == [f"captioner: {what}; to continue, run captioner train --resume"]
    assert not any(Path(f"/proc/{pid}").exists() for pid in children.values())
    if number:
        train(recipe, run, "--processes", "2", "--resume")
        assert_equal(run, alone)


def test_on_several_machines_each_process_says_that_another_one_has_ended(recipe, tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        variables = {ADDRESSES: f"127.0.0.1:{probe.getsockname()[1]}", COUNT: "2"}
    first, second = (start(recipe, tmp_path / "run", **variables, **{NUMBER: str(number)}) for number in (0, 1))
    has_come_to(tmp_path / "run", 1, first)
    second.kill()
    second.communicate()
    _, lines = said_by(first, WITHIN)
    assert first.returncode == 1
    assert lines[-1] == (
        "captioner: process 0 of 2: another process has ended, so this one ends, too; "
        "to continue, run captioner train --resume in all of them"
    )


def test_what_one_process_must_do_is_refused_in_one_line(recipe, tmp_path):
    process = start(recipe, tmp_path / "run", "--processes", "2", "--set", "train.views=[other.pkl]")
    out, lines = said_by(process)
    assert (process.returncode, out) == (2, "")
    assert lines == ["captioner: train.views: not supported in several processes or on several devices; leave it out"]
