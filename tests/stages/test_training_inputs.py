"""What a run is trained on."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from captioner.data.dataset import Dataset
from captioner.stages.training_inputs import prepare
from captioner.storage import DataError
from captioner.training.checkpoint import is_same_run
from tests.training.project import make_project


@pytest.fixture
def recipe(tmp_path):
    return make_project(tmp_path)


def distilling(recipe, folder, generated):
    path = folder / "predictions.json"
    path.write_text(json.dumps(generated))
    return replace(recipe, train=replace(recipe.train, distill=str(path)))


def test_generated_captions_are_trained_on_beside_the_references_and_nothing_else(recipe, tmp_path):
    plain = prepare(recipe, Dataset(recipe.data))
    generated = [
        {"image_id": "p3", "caption": "There is a purple ball", "alternatives": [{"caption": "a ball on the grass"}]},
        {"image_id": "p47", "caption": "a dev picture"},
    ]
    recipe = distilling(recipe, tmp_path, generated)
    found = prepare(recipe, Dataset(recipe.data))
    encode = found.vocabulary.encode
    more = [encode(["there", "is", "a", "purple", "ball"]), encode(["a", "ball", "on", "the", "grass"])]
    assert found.training == {**plain.training, "p3": [*plain.training["p3"], *more]}
    assert found.vocabulary.words == plain.vocabulary.words  # purple is not among them
    assert (found.dev, found.words) == (plain.dev, plain.words)
    assert found.identity != plain.identity
    assert found.inputs["also_read"]["train.distill"]["path"] == recipe.train.distill


def test_each_of_several_files_adds_its_captions(recipe, tmp_path):
    plain = prepare(recipe, Dataset(recipe.data))
    files = [tmp_path / "one.json", tmp_path / "two.json"]
    for path, caption in zip(files, ("a ball", "a red ball"), strict=True):
        path.write_text(json.dumps([{"image_id": "p3", "caption": caption}]))
    names = tuple(str(path) for path in files)
    found = prepare(replace(recipe, train=replace(recipe.train, distill=names)), Dataset(recipe.data))
    more = [found.vocabulary.encode(caption.split()) for caption in ("a ball", "a red ball")]
    assert found.training == {**plain.training, "p3": [*plain.training["p3"], *more]}
    read = found.inputs["also_read"]
    assert [read[name]["path"] for name in ("train.distill", "train.distill 2")] == list(names)


def test_captions_of_dev_pictures_alone_are_refused(recipe, tmp_path):
    recipe = distilling(recipe, tmp_path, [{"image_id": "p47", "caption": "a dev picture"}])
    with pytest.raises(DataError, match=r"predictions\.json: no caption of a training picture"):
        prepare(recipe, Dataset(recipe.data))


def test_changed_dev_captions_make_another_run(recipe):
    before = prepare(recipe, Dataset(recipe.data)).identity
    captions = Path(recipe.data.captions)
    lines = captions.read_text().splitlines()
    dev = next(place for place, line in enumerate(lines) if line.startswith("p47"))
    lines[dev] += " again"
    captions.write_text("\n".join(lines) + "\n")
    after = prepare(recipe, Dataset(recipe.data)).identity
    assert not is_same_run(before, after)
    assert is_same_run(before.partition(":")[0], after)  # checkpoints of older versions know nothing of dev
