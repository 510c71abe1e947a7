"""captioner predict and evaluate with a model of KerasHub, a small one with random weights."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import captioner
from tests.hub.presets import preset


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A folder with a preset, four pictures and a recipe that names their captions."""
    folder = tmp_path_factory.mktemp("hub")
    (folder / "images").mkdir()
    numbers = np.random.default_rng(0)
    for index in range(4):
        pixels = numbers.integers(0, 255, (20, 30, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / "images" / f"p{index}.png")
    lines = [f"p{index}.png#0\tA red dog on the picture .\n" for index in range(4)]
    (folder / "captions.txt").write_text("".join(lines))
    (folder / "few").mkdir()
    shutil.copy(folder / "images" / "p3.png", folder / "few")
    (folder / "dev.txt").write_text("p2.png\np3.png\n")
    (folder / "recipe.yaml").write_text(
        "data:\n  images: images\n  captions: captions.txt\n  splits: {dev: dev.txt}\n"
        "evaluation: {split: dev, metrics: [bleu, cider]}\n"
    )
    shutil.copytree(preset("PaliGemmaCausalLM"), folder / "preset")
    return folder


@pytest.fixture
def here(project, monkeypatch):
    monkeypatch.chdir(project)
    return project


@pytest.fixture(scope="module")
def model(project):
    return captioner.load(f"hub:{project / 'preset'}")


def test_predict_prints_and_writes_what_the_captioner_says(call, here, model):
    expected = model.caption(["images/p0.png", "images/p1.png"], max_length=5)
    options = ["--model", "hub:preset", "--max-length", 5]
    one = call("predict", "images/p0.png", *options)
    assert one.code == 0, one
    assert one.out == f"{expected[0].text}\n"
    two = call("predict", "images/p0.png", "images/p1.png", *options, "--json", "--write", "txt", "--out", "out")
    assert two.code == 0, two
    lines = [json.loads(line) for line in two.out.splitlines()]
    assert [line["captions"][0]["caption"] for line in lines] == [caption.text for caption in expected]
    assert [line["captions"][0]["log_prob"] for line in lines] == pytest.approx(
        [each.log_prob for each in expected], 1e-4
    )
    assert Path("images/p1.txt").read_text() == f"{expected[1].text}\n"
    with Path("out/results.csv").open() as file:
        assert [row["caption"] for row in csv.DictReader(file)] == [caption.text for caption in expected]
    again = call("predict", "images/p0.png", "images/p1.png", *options, "--json", "--write", "txt", "--out", "out")
    assert "2 of 2 pictures already have captions" in again.err


@pytest.mark.slow
def test_evaluate_scores_a_split_of_a_recipe(call, here, model):
    found = call("evaluate", "hub:preset", "-c", "recipe.yaml", "-o", "scores", "--beam-size", 2, "--max-length", 5)
    assert found.code == 0, found
    predictions = json.loads(Path("scores/predictions.json").read_text())
    expected = model.caption(["images/p2.png", "images/p3.png"], beam_size=2, max_length=5)
    assert {each["image_id"]: each["caption"] for each in predictions} == {
        "p2": expected[0].text,
        "p3": expected[1].text,
    }
    scores = json.loads(Path("scores/scores.json").read_text())
    assert scores["pictures"] == 2
    assert scores["beam_size"] == 2
    assert 0 <= scores["bleu_1"] <= 1


@pytest.mark.parametrize(
    ("words", "arguments"),
    [
        (["must_include", "KerasHub"], ["predict", "images", "--must-include", "dog"]),
        (["--attention"], ["predict", "images", "--attention", "looks"]),
        (["--unsure", "confidence"], ["predict", "images", "--unsure", "0.5"]),
        (["--engine ray"], ["predict", "images", "--engine", "ray"]),
        (["cannot be part of an ensemble"], ["predict", "images", "--model", "hub:preset"]),
        (["not supported here"], ["find", "a dog", "images"]),
    ],
)
def test_what_it_cannot_do_is_refused_in_one_line(refused, here, words, arguments):
    command, *rest = arguments
    refused(
        1 if words[0] in ("--attention", "--unsure", "cannot be part of an ensemble", "not supported here") else 2,
        words,
        command,
        *rest,
        "--model",
        "hub:preset",
    )


@pytest.mark.parametrize(
    ("code", "words", "arguments"),
    [
        (2, ["-o: missing"], ["hub:preset", "-c", "recipe.yaml"]),
        (2, ["--features"], ["hub:preset", "-c", "recipe.yaml", "-o", "x", "--features", "f.pkl"]),
        (2, ["cannot be part of an ensemble"], ["hub:preset", "hub:other", "-c", "recipe.yaml", "-o", "x"]),
        (1, ["hub:nothing", "needs a download"], ["hub:nothing", "-c", "recipe.yaml", "-o", "x"]),
        (2, ["--config", "run folder"], ["runs/one", "-c", "recipe.yaml"]),
        (2, ["retrieval"], ["hub:preset", "-c", "recipe.yaml", "-o", "x", "--metrics", "retrieval"]),
        (1, ["no picture 'p2'"], ["hub:preset", "-c", "recipe.yaml", "-o", "x", "--set", "data.images=few"]),
    ],
)
def test_what_cannot_be_evaluated_is_refused_in_one_line(refused, here, monkeypatch, code, words, arguments):
    monkeypatch.delenv("CAPTIONER_ALLOW_DOWNLOAD", raising=False)
    refused(code, words, "evaluate", *arguments)
