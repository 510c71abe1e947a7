import sys

import pytest

from captioner.training.launch import launch

KILLED = " was ended by SIGKILL, so the other process was ended, too; to continue, run captioner train --resume"


def test_process_0_prints_and_all_must_end_well(capfd):
    assert launch(["settings", "train.epochs"], 2) == 0
    out, err = capfd.readouterr()
    assert out.count("train.epochs") == 1 and err == ""
    assert launch(["settings", "train.epochs"], 2, results=False) == 0
    assert capfd.readouterr() == ("", "")


def test_what_process_0_says_of_its_failure_is_all_that_is_said(capfd, said):
    assert launch(["settings", "train.nothing"], 2) == 2
    _, err = capfd.readouterr()
    assert err.count("\n") == 1 and err.startswith("captioner: train.nothing: no such section or setting")
    assert said == []


@pytest.mark.parametrize(
    ("ends", "line"),
    [
        (
            "os.kill(os.getpid(), 9)",
            " was ended by SIGKILL, so the other process was ended, too; to continue, run captioner train --resume",
        ),
        ("sys.exit('captioner: a.txt: no such file')", ": a.txt: no such file; the other process was ended"),
    ],
)
def test_another_process_that_fails_ends_all(tmp_path, monkeypatch, said, ends, line):
    (tmp_path / "command.py").write_text(
        "import os, sys, time\n"
        f"if os.environ['KERAS_DISTRIBUTION_PROCESS_ID'] == '1':\n    {ends}\n"
        "sys.exit(75) if len(sys.argv) > 1 else time.sleep(600)\n"
    )
    monkeypatch.setattr("captioner.training.launch.COMMAND", (sys.executable, str(tmp_path / "command.py")))
    assert launch(["ends by itself"], 2) == 1
    assert said == [f"captioner: process 1 of 2{line}"]
    monkeypatch.setattr("captioner.training.launch.GRACE", 0.1)
    assert launch([], 2) == 1
    assert len(said) == 2 and said[1] == said[0]


@pytest.mark.parametrize(
    ("codes", "found", "line"),
    [
        ((0, 3), 3, "process 1 of 2: exit code 3; the other process was ended"),
        ((75, 75), 75, "process 0 of 2: exit code 75; the other process was ended"),  # each thinks that the other ended
        ((0, 75), 75, "process 1 of 2: exit code 75; the other process was ended"),
    ],
)
def test_the_code_of_the_process_that_failed_is_returned(tmp_path, monkeypatch, said, codes, found, line):
    program = f"import os, sys\nsys.exit({codes}[int(os.environ['KERAS_DISTRIBUTION_PROCESS_ID'])])\n"
    (tmp_path / "command.py").write_text(program)
    monkeypatch.setattr("captioner.training.launch.COMMAND", (sys.executable, str(tmp_path / "command.py")))
    assert launch([], 2) == found
    assert said == [f"captioner: {line}"]
