"""captioner predict over folders: what leaves when, what is left on disk, and how a stopped run continues."""

import csv
import io
import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from captioner.writers.metadata.containers import container_of
from captioner.writers.metadata.xmp import DESCRIPTION, get_text
from tests.cli.conftest import assert_one_line, start
from tests.speed import slow

RUN = "runs/captioner"
PREDICT = ["predict", "images", "--model", RUN]


def test_ids_need_not_be_unique_and_one_picture_has_its_name_where_a_folder_was_named(call, trained):
    (trained / "two").mkdir()
    shutil.copy("images/p00.png", "two/1.png")
    one = call("predict", "two", "--model", RUN)
    shutil.copy("images/p01.png", "two/1.jpg")
    two = call("predict", "two", "two/1.png", "./two/1.jpg", "--model", RUN)
    assert one.out.startswith("two/1.png\t") and one.code == two.code == 0
    assert [line.split("\t")[0] for line in two.out.splitlines()] == ["two/1.jpg", "two/1.png"]


def test_paths_on_standard_input(call, trained, monkeypatch):
    class Stdin:
        buffer = io.BytesIO(b"images/p03.png\r\n\nnope.png\nimages/p01.png\n")

    monkeypatch.setattr(sys, "stdin", Stdin)
    result = call("predict", "images/p00.png", "-", "--model", RUN)
    assert result.code == 1
    assert [line.split("\t")[0] for line in result.out.splitlines()] == [f"images/p0{index}.png" for index in (0, 3, 1)]
    assert_one_line(result.err.splitlines(keepends=True)[-1], "nope.png: no such file")


@pytest.mark.parametrize("existing", ["skip", slow("overwrite")])
def test_pictures_that_arrive_never_share_a_sidecar(call, trained, monkeypatch, existing):
    shutil.copy("images/p01.png", "images/p03.jpg")

    class Stdin:
        buffer = io.BytesIO(b"images/p03.png\nimages/p03.jpg\nimages/p01.png\n./images/p03.png\n")

    monkeypatch.setattr(sys, "stdin", Stdin)
    result = call("predict", "-", "--model", RUN, "--write", "txt", "--existing", existing)
    assert result.code == 1
    assert_one_line(result.err.splitlines(keepends=True)[-1], "p03.png and images/p03.jpg would share p03.txt")
    lines = dict(line.split("\t") for line in result.out.splitlines())
    assert Path("images/p03.txt").read_text() == lines["images/p03.png"] + "\n"
    assert Path("images/p01.txt").read_text() == lines["images/p01.png"] + "\n"


def test_results_under_the_pictures_go_on_too(call, trained):
    for _ in range(2):
        result = call(*PREDICT, "--out", "images/captioned")
        assert result.code == 0, result.err
    assert "16 of 16 pictures already have captions" in result.err
    assert len(list(Path("images/captioned").glob("*.jpg"))) == 16


@pytest.mark.slow
def test_a_caption_leaves_before_the_next_path_comes(trained):
    process = start("predict", "-", "--model", RUN, cwd=trained, stdin=-1)
    for name in ("images/p03.png", "images/p01.png"):
        process.stdin.write(f"{name}\n")
        process.stdin.flush()
        assert process.stdout.readline().startswith(f"{name}\t")
    assert process.communicate(timeout=60)[0] == ""


def test_sidecars_and_what_is_there_already(call, trained):
    Path("images/p03.txt").write_text("by hand\n")
    first = call(*PREDICT, "--write", "txt", "--style", "sentence", "--prefix", "photo: ")
    assert first.code == 0 and "1 of 16 pictures already have captions" in first.err
    texts = {path.stem: path.read_text() for path in Path("images").glob("*.txt")}
    assert texts.pop("p03") == "by hand\n" and len(texts) == 15
    for line in first.out.splitlines():
        path, caption = line.split("\t")
        assert texts[Path(path).stem] == f"photo: {caption}\n" and caption[0].isupper() and caption.endswith(".")
    again = call(*PREDICT, "--write", "txt")
    assert (again.code, again.out) == (0, "") and "16 of 16" in again.err
    dry = call("predict", "images/p03.png", "--model", RUN, "--write", "txt", "--existing", "append", "--dry-run")
    assert dry.code == 0 and dry.err.startswith("would write images/p03.txt: by hand / ")
    assert Path("images/p03.txt").read_text() == "by hand\n"


def test_metadata_and_xmp_beside(call, trained):
    result = call(*PREDICT, "--write", "metadata", "--write", "xmp-sidecar", "--style", "alt", "--json")
    assert result.code == 0, result.err
    for line in map(json.loads, result.out.splitlines()):
        file = Path(line["file"]).read_bytes()
        text = line["captions"][0]["caption"]
        assert get_text(container_of(file).read(file), DESCRIPTION) == text
        assert get_text(Path(line["file"]).with_suffix(".xmp").read_bytes(), DESCRIPTION) == text


def test_what_would_be_lost_is_refused_before_anything_is_captioned(refused, trained):
    shutil.copy("images/p00.png", "images/p00.jpg")
    words = ["images/p00.jpg and images/p00.png would share p00.txt"]
    refused(1, words, *PREDICT, "--write", "txt")
    refused(2, ["--extension .jpg: belongs to pictures"], *PREDICT, "--write", "txt", "--extension", "jpg")
    for option in (["--existing", "append"], ["--prefix", "a"], ["--keep-times"], ["--dry-run"], ["--extension", "x"]):
        refused(2, [f"{option[0]}: needs --write"], *PREDICT, *option)
    refused(1, ["--unsure: this model has no confidence estimate"], *PREDICT, "--unsure", "0.3")
    Path("words.txt").write_text("man person\n")
    refused(1, ["words.txt: line 1: expected `word = replacement`"], *PREDICT, "--neutral-words", "words.txt")


@pytest.mark.parametrize("option", ["--model", "--out", "--attention", "--neutral-words"])
def test_an_empty_path_is_refused(refused, trained, option):
    refused(2, [f"'{option}'", "the name is empty"], "predict", "images", option, "")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_to(refused, trained):
    Path("images").chmod(0o555)
    try:
        refused(1, ["images: cannot be written to, but --write txt writes there"], *PREDICT, "--write", "txt")
    finally:
        Path("images").chmod(0o755)


def same_rows(one, other):
    """Tell whether two tables are equal; log-probabilities depend a little on the pictures in the same batch."""
    pairs = zip(csv.DictReader(io.StringIO(one)), csv.DictReader(io.StringIO(other)), strict=True)
    return all(
        {**row, "log_prob": None} == {**also, "log_prob": None}
        and float(row["log_prob"]) == pytest.approx(float(also["log_prob"]), abs=1e-5)
        for row, also in pairs
    )


def test_a_stopped_run_goes_on(call, trained):
    whole = call(*PREDICT, "--out", "whole")
    table = Path("whole/results.csv").read_text()
    shutil.copytree("whole", "out")
    Path("out/results.csv.manifest.json").unlink()  # as a kill leaves it: a row cut off, a picture too many
    Path("out/results.csv").write_text("".join(table.splitlines(keepends=True)[:9])[:-5])
    result = call(*PREDICT, "--out", "out")
    assert result.code == 0 and "7 of 16 pictures already have captions" in result.err
    assert len(result.out.splitlines()) == 9 and whole.out.endswith(result.out)
    assert same_rows(Path("out/results.csv").read_text(), table)
    assert sorted(path.name for path in Path("out").iterdir()) == sorted(path.name for path in Path("whole").iterdir())
    shutil.copy("images/p00.png", "images/p99.png")
    more = call(*PREDICT, "--out", "out")
    assert [line.split("\t")[0] for line in more.out.splitlines()] == ["images/p99.png"]
    rows = list(csv.DictReader(Path("out/results.csv").read_text().splitlines()))
    assert len(rows) == 17 and rows[-1]["annotated"] == "p99.jpg"


def test_results_of_another_job_are_not_mixed(call, refused, trained):
    assert call("predict", "images/p00.png", "--model", RUN, "--out", "out").code == 0
    words = ["out/results.csv: contains captions of another model or other settings (style: plain against alt)"]
    refused(1, [*words, "--overwrite"], *PREDICT, "--out", "out", "--style", "alt")
    assert call(*PREDICT, "--out", "out", "--style", "alt", "--overwrite").code == 0
    assert Path("out/results.csv").read_text().count("\n") == 17
    Path("mine").mkdir()
    shutil.copy("images/p00.png", "mine/p00.jpg")
    refused(1, ["mine/p00.jpg: already exists"], *PREDICT, "--out", "mine")


def test_a_picture_whose_caption_cannot_be_written_is_named_and_the_rest_goes_on(call, trained):
    Path("images/p02.txt").write_bytes(b"caf\xe9")
    result = call(*PREDICT, "--write", "txt", "--existing", "append")
    assert result.code == 1 and len(list(Path("images").glob("*.txt"))) == 16
    assert "captioner: images/p02.txt: is not UTF-8 and stays unchanged" in result.err
    assert Path("images/p02.txt").read_bytes() == b"caf\xe9"


def test_consensus_needs_a_captioner_that_keeps_training_pictures(refused, trained):
    words = ["this captioner has no captions of training pictures to compare with"]
    refused(2, words, "predict", "images/p00.png", "--model", RUN, "--consensus", "6")
