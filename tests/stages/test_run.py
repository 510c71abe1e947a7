import csv
import json
from pathlib import Path

import pytest
from PIL import Image

from captioner.config import build
from captioner.data import dataset
from captioner.recipe import Recipe
from captioner.stages.freshness import is_evaluated
from captioner.stages.run import run
from captioner.storage import DataError

COLOURS = {"red": (220, 30, 30), "green": (30, 160, 40), "blue": (40, 60, 210), "white": (240, 240, 240)}
SHARED = Path(__file__).parents[2].parent / "shared"


def settings(folder, **train):
    return {
        "data": {
            "images": str(folder / "images"),
            "captions": str(folder / "captions.txt"),
            "descriptions": str(folder / "descriptions.txt"),
            "splits": {"train": str(folder / "train.txt"), "dev": str(folder / "dev.txt")},
        },
        "features": str(folder / "features.pkl"),
        "encoder": {"backbone": "efficientnet_lite0", "weights": "random"},
        "extraction": {"precision": "float32", "batch_size": 8},
        "model": {"units": 16, "embedding_size": 8},
        "train": {"epochs": 2, "batch_size": 4, **train},
        "generation": {"max_length": 8},
    }


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "images").mkdir()
    lines = []
    for index in range(16):
        name, colour = list(COLOURS.items())[index % 4]
        Image.new("RGB", (40, 30), colour).save(tmp_path / "images" / f"p{index}.png")
        lines.append(f"p{index}.png#0\tA {name} picture .\n")
    (tmp_path / "captions.txt").write_text("".join(lines))
    (tmp_path / "train.txt").write_text("".join(f"p{index}.png\n" for index in range(12)))
    (tmp_path / "dev.txt").write_text("".join(f"p{index}.png\n" for index in range(12, 16)))
    return tmp_path


def modified(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_runs_every_stage_once_and_then_only_what_is_out_of_date(folder, said):
    recipe = build(Recipe, settings(folder))
    scores = run(recipe, folder / "run")
    assert "BLEU-4" in scores
    predictions = json.loads((folder / "run/evaluations/dev/predictions.json").read_text())
    assert [entry["file_name"] for entry in predictions] == ["p12.png", "p13.png", "p14.png", "p15.png"]
    before = modified(folder)
    said.clear()
    assert run(recipe, folder / "run") == scores
    assert modified(folder) == before
    assert sum("up to date" in line for line in said) == 4

    (folder / "run/evaluations/dev/scores.json").unlink()
    run(recipe, folder / "run")
    after = modified(folder)
    assert {path.name for path in before if after[path] != before[path]} == {
        "scores.json", "scores.json.manifest.json", "predictions.json", "per_image.csv",
    }  # fmt: skip


@pytest.mark.slow
def test_a_run_trained_otherwise_is_kept_and_the_difference_named(folder):
    run(build(Recipe, settings(folder)), folder / "run")
    before = modified(folder / "run")
    with pytest.raises(
        DataError, match=r"was trained with other settings or data \(train\.learning_rate: 0\.001 then, 0\.01 now\)"
    ):
        run(build(Recipe, settings(folder, learning_rate=0.01)), folder / "run")
    assert modified(folder / "run") == before


@pytest.mark.slow
def test_a_metric_that_cannot_be_computed_here_is_not_tried_again_until_it_can(folder, said, monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    recipe = build(Recipe, {**settings(folder), "evaluation": {"metrics": ["bleu", "meteor"]}})
    scores = run(recipe, folder / "run")
    assert any(line.startswith("note: METEOR is left out: ") for line in said)
    before = modified(folder)
    assert run(recipe, folder / "run") == scores and modified(folder) == before
    assert is_evaluated(folder / "run", folder / "run/evaluations/dev", recipe)
    monkeypatch.setattr("captioner.stages.freshness.is_available", lambda name: True)
    assert not is_evaluated(folder / "run", folder / "run/evaluations/dev", recipe)


@pytest.mark.slow
def test_captions_are_read_once_a_run(folder, monkeypatch):
    calls = []
    for name in ("read_data", "digest_captions"):
        real = getattr(dataset, name)
        monkeypatch.setattr(dataset, name, lambda *given, name=name, real=real: calls.append(name) or real(*given))
    run(build(Recipe, settings(folder)), folder / "run")
    assert sorted(calls) == ["digest_captions", "read_data"]


@pytest.mark.slow
@pytest.mark.skipif(not (SHARED / "data" / "flickr8k").is_dir(), reason="Flickr8k is not there")
def test_learns_something_from_real_pictures(tmp_path, monkeypatch):
    """VGG16 features of 300 pictures of Flickr8k, trained for a little while: its captions are no noise."""
    monkeypatch.setenv("CAPTIONER_WEIGHTS", str(SHARED / "weights"))
    flickr = SHARED / "data" / "flickr8k"
    names = (flickr / "Flickr_8k.trainImages.txt").read_text().split()[:300]
    (tmp_path / "images").mkdir()
    for name in names:
        (tmp_path / "images" / name).symlink_to(flickr / "Flicker8k_Dataset" / name)
    (tmp_path / "captions.txt").symlink_to(flickr / "Flickr8k.token.txt")
    (tmp_path / "train.txt").write_text("\n".join(names[:240]))
    (tmp_path / "dev.txt").write_text("\n".join(names[240:]))
    content = settings(tmp_path, epochs=15, batch_size=8, learning_rate=0.002)
    content["encoder"] = {"backbone": "vgg16"}
    content["extraction"] = {"precision": "auto", "batch_size": 16}
    content["model"] = {"units": 128, "embedding_size": 128, "normalize": True}
    content["generation"] = {"max_length": 16}
    run(build(Recipe, content), tmp_path / "run")
    scores = json.loads((tmp_path / "run/evaluations/dev/scores.json").read_text())
    assert scores["bleu_1"] > 0.4
    assert scores["cider_d"] > 0.08


@pytest.mark.slow
@pytest.mark.skipif(not (SHARED / "data" / "coco-mini").is_dir(), reason="coco-mini is not there")
def test_cocos_own_form_runs_from_end_to_end(tmp_path, monkeypatch, said):
    """80 COCO pictures, their JSON, splits by shares, EfficientNet-Lite0's ImageNet features, a few epochs."""
    monkeypatch.chdir(tmp_path)
    coco = SHARED / "data" / "coco-mini"
    content = settings(tmp_path, epochs=8, batch_size=8, learning_rate=0.003, patience=None)
    content["data"] = {
        "images": str(coco / "train2017"),
        "captions": str(coco),
        "splits": {"train": 0.7, "dev": 0.15, "test": 0.15},
    }
    content["encoder"] = {"backbone": "efficientnet_lite0"}
    content["model"] = {"units": 64, "embedding_size": 64, "normalize": True}
    content["evaluation"] = {"split": "test"}
    scores = run(build(Recipe, content), tmp_path / "run")
    assert "BLEU-4" in scores and any("splits/captions_train2017_mini80-" in line for line in said)
    predictions = json.loads((tmp_path / "run/evaluations/test/predictions.json").read_text())
    assert len(predictions) == 12 and all(isinstance(entry["image_id"], int) for entry in predictions)
    assert {entry["file_name"] for entry in predictions} <= {path.name for path in (coco / "train2017").iterdir()}
    result = json.loads((tmp_path / "run/evaluations/test/scores.json").read_text())
    assert result["split"] == "test" and result["pictures"] == 12
    # 56 pictures are too few to caption others well, but not too few to learn their captions.
    losses = [float(row["loss"]) for row in csv.DictReader((tmp_path / "run" / "history.csv").read_text().splitlines())]
    assert losses[-1] < losses[0] - 1
    said.clear()
    assert run(build(Recipe, content), tmp_path / "run") == scores
    assert sum("up to date" in line for line in said) == 3
