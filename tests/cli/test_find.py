"""captioner find and captioner doubt on the project that was trained once."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from captioner.data.dataset import read_captions
from tests.cli.conftest import assert_one_line

RUN = "runs/captioner"


@pytest.mark.slow
def test_pictures_are_found_and_the_index_is_kept(call, trained, monkeypatch):
    asked = ["find", "a red ball", "images", "--model", RUN]
    first = call(*asked, "-n", "16", "--html", "found.html")
    assert first.code == 0 and "extracting" in first.err
    rows = [line.split("\t") for line in first.out.splitlines()]
    assert {path for _, path in rows} == {f"images/p{index:02}.png" for index in range(16)}
    scores = [float(score) for score, _ in rows]
    assert scores == sorted(scores, reverse=True)
    assert sorted(path.name for path in Path("images.captioner-index").iterdir()) == [
        "features.h5",
        "features.h5.manifest.json",
        "words.npz",
        "words.npz.manifest.json",
    ]
    page = Path("found.html").read_text()
    assert page.count("<figure>") == 16 and page.index("a red ball") > 0 and "data:image/jpeg;base64," in page
    with monkeypatch.context() as patch:
        patch.setattr("captioner.cli.find.load_keras", lambda: pytest.fail("the graph suffices"))
        again = call(*asked, "-n", "3", "--json")
    assert again.code == 0 and again.err == ""  # nothing had to be done
    found = [json.loads(line) for line in again.out.splitlines()]
    assert [entry["file"] for entry in found] == [path for _, path in rows[:3]] and found[0]["caption"]
    np.testing.assert_allclose([entry["score"] for entry in found], scores[:3], atol=0.02)
    shutil.copy(rows[0][1], "images/new.png")
    third = call(*asked, "-n", "17")
    found_now = {path: score for score, path in (line.split("\t") for line in third.out.splitlines())}
    assert found_now["images/new.png"] == found_now[rows[0][1]] == rows[0][0] and len(found_now) == 17
    assert call("find", "a red unicorn", "images", "--model", RUN).err.startswith("note: 'unicorn' is not in the model")


def test_what_cannot_be_found(refused, trained):
    refused(1, ["nowhere: no such folder"], "find", "a ball", "nowhere", "--model", RUN)
    refused(2, ["TEXT: is empty"], "find", " ", "images", "--model", RUN)
    Path("more").mkdir()
    refused(2, ["--index: an index is for one folder"], "find", "a", "images", "more", "--index", "x")


def test_captions_that_belong_to_other_pictures_are_doubted(call, trained):
    features = ["--features", "features.pkl", "--model", RUN]
    result = call("doubt", "captions.txt", "images", *features, "-n", "5", "--shown", "4", "--throw-out", "3")
    assert result.code == 0, result.err
    assert "a picture's own caption scores higher than another picture's caption in " in result.err
    printed = [line.split("\t") for line in result.out.splitlines()]
    rows = list(csv.DictReader(Path("doubts/doubts.csv").read_text().splitlines()))
    assert len(rows) == 32 and [row["image_id"] for row in rows[:5]] == [line[1] for line in printed]
    scores = [float(row["score"]) for row in rows]
    assert scores == sorted(scores)
    kept, before = read_captions("doubts/captions.txt"), read_captions("captions.txt")
    assert sum(map(len, kept.values())) == 29
    for row in rows[:3]:
        assert before[row["image_id"]].count(row["caption"]) > kept.get(row["image_id"], ()).count(row["caption"])
    page = Path("doubts/doubts.html").read_text()
    data = json.loads(page.split('id="data">')[1].split("</script>")[0])
    assert len(data["rows"]) == 4 and data["captions"] == {name: list(texts) for name, texts in before.items()}


def test_doubts_never_replace_what_is_read_or_what_others_wrote(refused, trained):
    asked = ["doubt", "captions.txt", "images", "--features", "features.pkl", "--model", RUN]
    refused(1, ["captions.txt: is an input and would be overwritten"], *asked, "-o", ".", "--throw-out", "1")
    Path("mine").mkdir()
    for name, fault in [
        ("doubts.csv", "is not a table of doubts"),
        ("doubts.html", "is not an HTML page"),
        ("captions.txt", "was not written by captioner doubt"),
    ]:
        (Path("mine") / name).write_text("by hand\n")
        refused(1, [f"{name}: already exists", fault], *asked, "-o", "mine", "--throw-out", "1")
        (Path("mine") / name).unlink()


@pytest.mark.slow
def test_doubts_can_be_listed_again(call, trained):
    asked = ["doubt", "captions.txt", "images", "--features", "features.pkl", "--model", RUN, "--throw-out"]
    for count in (1, 2):
        result = call(*asked, count)
        assert result.code == 0, result.err
        assert sum(map(len, read_captions("doubts/captions.txt").values())) == 32 - count


def test_a_caption_cannot_break_out_of_the_page(call, trained):
    Path("evil.txt").write_text("p00.png#0\tA red ball </script><script>alert(1)</script>\np01.png#0\tA green ball\n")
    result = call("doubt", "evil.txt", "images", "--features", "features.pkl", "--model", RUN, "-o", "out")
    assert result.code == 0, result.err
    assert "</script><script>alert" not in Path("out/doubts.html").read_text()


@pytest.mark.parametrize("captions", ["q1.png#0\tA ball .\n", "p00.png#0\tA ball .\n"])
def test_too_few_pictures_to_compare_with(call, trained, captions):
    Path("few.txt").write_text(captions)
    result = call("doubt", "few.txt", "images", "--features", "features.pkl", "--model", RUN)
    assert result.code == 1
    assert_one_line(result.err, "captioned pictures, but two are needed")
