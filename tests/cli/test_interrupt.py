import signal
import sys

import pytest

from captioner.cli import main
from tests.cli.conftest import assert_one_line, start


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals are others there")
def test_an_interrupted_training_says_one_line_and_resumes(call, untrained):
    endless = ["--set", "train.epochs=999", "--set", "train.patience=null"]
    process = start("train", "-c", "captioner.yaml", "-o", "runs/a", *endless, cwd=untrained)
    for line in process.stderr:
        if line.startswith("epoch 2/"):
            break
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130 and out == ""
    lines = [line for line in err.splitlines(keepends=True) if not line.startswith("epoch ")]
    assert_one_line("".join(lines), "interrupted; --resume continues from the last checkpoint")
    left = {path.name for path in (untrained / "runs/a").rglob("*")}
    left -= {"checkpoint-2.npz"}  # of the two checkpoints the second may not have been written yet
    assert left == {"config.yaml", "vocabulary.json", "checkpoints", "checkpoint.npz", "best.npz"}

    refused = call("train", "-c", "captioner.yaml", "-o", "runs/a")
    assert refused.code == 1
    assert_one_line(refused.err, "runs/a: contains an unfinished run", "--resume", "--overwrite")
    more = call("train", "-c", "captioner.yaml", "-o", "runs/a", "--resume", "--set", "train.epochs=3")
    assert more.code == 0 and "continuing after epoch" in more.err


@pytest.mark.parametrize(
    "command, place, words",
    [
        (["extract"], "cli.extract.read_recipe", "run the same command again to continue"),
        (["train"], "cli.train.read_recipe", "--resume continues from the last checkpoint"),
        (["run"], "cli.run.read_recipe", "run the same command again to continue"),
        (["evaluate"], "run_folder.newest_run", "nothing half-written is left"),
        (
            ["predict", "a.jpg"],
            "pretrained.box.default_model",
            "with --out or --write, run the same command again to continue",
        ),
    ],
)
def test_an_interrupt_says_how_to_go_on(call, monkeypatch, tmp_path, command, place, words):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.jpg").touch()
    monkeypatch.setattr(f"captioner.{place}", interrupt)
    assert call(*command) == (130, "", f"captioner: interrupted; {words}\n")


def test_what_nobody_foresaw_is_one_short_line_too(call, monkeypatch):
    def fail(*arguments):
        raise EOFError("page\n" * 1000)

    monkeypatch.setattr("captioner.cli.train.read_recipe", fail)
    result = call("train")
    assert result.code == 1 and result.out == "" and result.err.count("\n") == 1 and len(result.err) < 400
    assert result.err.startswith("captioner: unexpected RuntimeError: a file ends too soon")
    assert result.err.endswith("(--debug shows where)\n")


def test_debug_shows_the_traceback(monkeypatch):
    monkeypatch.setattr("captioner.cli.train.read_recipe", lambda *arguments: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        main(["train", "--debug"])
