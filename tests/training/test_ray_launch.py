import csv
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from captioner.config import ConfigError, dump_yaml, to_settings
from captioner.storage import DataError
from captioner.training import ray_launch
from captioner.training.environment import NUMBER
from tests.ray_nodes import descendants, needs_ray, two_nodes, wait_until
from tests.training.project import make_project

PATIENCE = 1500
RESUME = "to continue, run captioner train --engine ray --resume"


def test_without_ray_the_way_out_is_said(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r"^engine: ray is not installed; pip install 'captioner\[ray\]'$"):
        ray_launch.launch_on_ray(["train"], tmp_path / "run", 2, "127.0.0.1:6379")
    assert not (tmp_path / "run").exists()


def cluster_of(*sizes, later=0):
    """Return what `ray` says of nodes with so many cores; when it is asked again, `later` others have come."""
    asked = []

    def nodes():
        asked.append(True)
        here = sizes if len(asked) <= 2 else [*sizes, *[1] * later]
        return [{"Alive": True, "Resources": {"CPU": size}} for size in here]

    return SimpleNamespace(nodes=nodes)


def test_without_a_count_there_is_a_process_a_node_or_a_gpu():
    assert ray_launch.room_for(cluster_of(4, 2), None, None) == (2, {"num_cpus": 2})
    gpus = SimpleNamespace(nodes=lambda: [{"Alive": True, "Resources": {"CPU": 8, "GPU": 2}}])
    assert ray_launch.room_for(gpus, None, None) == (2, {"num_gpus": 1, "num_cpus": 4})


def test_it_waits_for_the_nodes_that_are_asked_for(said, monkeypatch):
    monkeypatch.setattr(ray_launch, "POLL", 0)
    assert ray_launch.room_for(cluster_of(1, later=1), 2, None) == (2, {"num_cpus": 1})
    assert said == ["the Ray cluster has room for 1 of 2 processes; waiting for more nodes"]


def test_a_cluster_that_stays_too_small_is_refused(monkeypatch):
    monkeypatch.setattr(ray_launch, "ROOM_WITHIN", -1)
    with pytest.raises(
        DataError,
        match=r"^head:6379: the Ray cluster has room for 2 of 3 processes; add nodes, or ask for fewer --processes$",
    ):
        ray_launch.room_for(cluster_of(1, 1), 3, "head:6379")


@pytest.mark.parametrize(
    ("failures", "kind", "line"),
    [
        ({0: ray_launch.PeerEndedError("p"), 1: DataError("a.txt: no such file")}, DataError, "a.txt: no such file"),
        ({0: ConfigError("train.views: not here")}, ConfigError, "train.views: not here"),
        (
            {0: ray_launch.PeerEndedError("p"), 1: RuntimeError("The actor\n died")},
            DataError,
            "process 1 of 2, or its node, has ended (The actor died), so the other process was ended, too; " + RESUME,
        ),
        (
            {0: ray_launch.PeerEndedError("p")},
            DataError,
            f"a process has ended, so the other process was ended, too; {RESUME}",
        ),
        (None, DataError, f"Ray Train failed (pages); {RESUME}"),
    ],
)
def test_the_process_that_failed_first_says_why_in_one_line(failures, kind, line):
    error = RuntimeError("pages")
    if failures is not None:
        error.worker_failures = {n: SimpleNamespace(_base_exc=failure) for n, failure in failures.items()}
    found = ray_launch.reason(error, 2)
    assert (type(found), str(found)) == (kind, line)


@pytest.fixture(scope="module")
def cluster():
    """Two nodes, a core each: address, access, and the process of the one that is not the head."""
    with two_nodes(RAY_health_check_failure_threshold="100") as nodes:  # a busy machine is no dead one
        yield nodes


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    """A recipe without dropout, which depends on how a batch is laid out."""
    folder = tmp_path_factory.mktemp("project")
    recipe = make_project(folder, pictures=47)
    model = {"architecture": "merge", "units": 24, "embedding_size": 12, "feature_dropout": 0.0, "word_dropout": 0.0}
    changed = {"epochs": 1, "batch_size": 8, "checkpoint_steps": 1, "patience": None}
    recipe = replace(recipe, model=model, train=replace(recipe.train, **changed))
    (folder / "recipe.yaml").write_text(dump_yaml(to_settings(recipe)))
    return folder / "recipe.yaml"


@pytest.fixture
def start():
    """Start a training; it ends with the test at the latest."""
    started = []

    def start(recipe, run, *options, **variables):
        started.append(
            subprocess.Popen(
                [sys.executable, "-m", "captioner", "train", "-c", recipe, "-o", run, *options],
                env={**os.environ, "KERAS_BACKEND": "jax", **variables},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def finish(process):
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, out + err
    return out, err.splitlines()


def trained(run):
    with np.load(run / "checkpoints" / "best.npz") as file:
        return [file[name] for name in file.files if name != "header"]


@pytest.mark.slow
@needs_ray
def test_a_cluster_of_two_nodes_trains_what_one_process_does(cluster, recipe, start, tmp_path):
    pytest.importorskip("jax")
    address, access, _ = cluster
    finish(start(recipe, tmp_path / "alone"))
    out, lines = finish(start(recipe, tmp_path / "ray", "--engine", "ray", "--address", address, **access))
    assert out == f"{tmp_path / 'ray'}\n"
    assert "starting 2 processes on the Ray cluster" in lines
    assert "in 2 processes with 1 device each" in lines
    assert sum(line.startswith("epoch 1/1: loss") for line in lines) == 1
    assert not any(path.name.startswith(".ray") for path in (tmp_path / "ray").iterdir())
    one, other = (
        list(csv.DictReader((tmp_path / name / "history.csv").read_text().splitlines())) for name in ("alone", "ray")
    )
    assert [float(row["cider_d"]) for row in one] == pytest.approx([float(row["cider_d"]) for row in other], abs=1e-4)
    for weight, other_weight in zip(trained(tmp_path / "alone"), trained(tmp_path / "ray"), strict=True):
        np.testing.assert_allclose(weight, other_weight, atol=1e-5)


@pytest.mark.slow
@needs_ray
def test_on_a_cluster_too_errors_are_one_line(cluster, recipe, start, tmp_path):
    pytest.importorskip("jax")
    address, access, worker = cluster
    on_ray = ("--address", address)
    refused = start(recipe, tmp_path / "run", *on_ray, "--set", "train.views=[other.pkl]", **access)
    _, err = refused.communicate(timeout=PATIENCE)
    assert refused.returncode == 2
    what = "train.views: not supported in several processes or on several devices; leave it out"
    assert err.splitlines()[-1].endswith(what) and err.count("captioner: ") == 1
    assert not (tmp_path / "run").exists()

    running = start(recipe, tmp_path / "run", *on_ray, "--set", "train.epochs=500", **access)
    checkpoint = tmp_path / "run" / "checkpoints" / "checkpoint.npz"
    wait_until(lambda: running.poll() is not None or checkpoint.exists(), PATIENCE, "a checkpoint")
    [killed] = [pid for pid, command in descendants(worker.pid).items() if "captioner train" in command]
    variables = Path(f"/proc/{killed}/environ").read_text().split("\0")
    [number] = [item.partition("=")[2] for item in variables if item.startswith(f"{NUMBER}=")]
    os.kill(killed, signal.SIGKILL)
    _, err = running.communicate(timeout=PATIENCE)
    assert running.returncode == 1
    [line] = [line for line in err.splitlines() if line.startswith("captioner: ")]
    assert line.startswith(f"captioner: process {number} of 2, on ")
    assert line.endswith(f": was ended by SIGKILL, so the other process was ended, too; {RESUME}")
