"""A project that has been through extract and train once, copies of it, and ways to call commands."""

import contextlib
import io
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

import captioner
from captioner.cli import main
from captioner.storage import digest_file
from tests.cli.project import make_project
from tests.interrupts import interrupts_heeded

LONGEST_LINE = 400  # what still reads as one line


class Result(NamedTuple):
    """What a command ended with."""

    code: int
    out: str
    err: str


@pytest.fixture
def call(capfd):
    """Run a command in this process; return its exit code and what it printed."""

    def run(*arguments):
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        return Result(ended.value.code, *capfd.readouterr())

    return run


@pytest.fixture
def refused(call):
    """Run a command that must fail: with this code, one line that holds these words, and every file as it was."""

    def run(code, words, *arguments):
        before = contents(Path())
        result = call(*arguments)
        assert result.code == code, result
        assert result.out == ""
        assert_one_line(result.err, *words)
        assert contents(Path()) == before
        return result.err

    return run


def assert_one_line(err, *words):
    """Check that `err` is one line of ours for people, and holds `words`."""
    assert err.startswith("captioner: ") and err.endswith("\n") and err.count("\n") == 1, err
    assert len(err) < LONGEST_LINE and "Traceback" not in err and not err.startswith("captioner: unexpected"), err
    for word in words:
        assert word in err


def contents(folder):
    """Return what lies under `folder`: name -> digest."""
    return {path.as_posix(): digest_file(path) for path in sorted(folder.rglob("*")) if path.is_file()}


def start(*arguments, **options):
    """Start a command as a process of its own that heeds Ctrl-C, though a background job may not."""
    root = Path(captioner.__file__).parent.parent
    environment = {**os.environ, "PYTHONPATH": str(root)}
    command = [sys.executable, "-m", "captioner", *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with interrupts_heeded():
        return subprocess.Popen(command, env=environment, **pipes, **options)


class Trained(NamedTuple):
    """A project whose run is finished."""

    folder: Path
    extracting: Result
    training: Result


@pytest.fixture(scope="session")
def trained_once(tmp_path_factory):
    """Extract features and train; nobody may change what lies there."""
    folder = tmp_path_factory.mktemp("trained")
    make_project(folder)
    with contextlib.chdir(folder):
        return Trained(folder, _call("extract"), _call("train"))


def _call(*arguments):
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        try:
            main(list(arguments))
        except SystemExit as ended:
            return Result(ended.code, out.getvalue(), err.getvalue())


@pytest.fixture(autouse=True)
def no_graph_of_later_trainings(monkeypatch):
    """Only the first training of a session writes its graph for onnxruntime: it takes longer than the training."""
    monkeypatch.setattr("captioner.export.formats.is_installed", lambda name: False)


@pytest.fixture
def trained(trained_once, tmp_path, monkeypatch):
    """A copy of the trained project, the current folder of the test."""
    folder = tmp_path / "project"
    shutil.copytree(trained_once.folder, folder)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def untrained(trained):
    """The same with its features and without its run."""
    shutil.rmtree(trained / "runs")
    return trained
