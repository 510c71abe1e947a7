"""Whether a run is what a recipe would train now: what differs is named."""

import json
import shutil
from dataclasses import replace

import pytest

from captioner.features.store import open_features, write_features
from captioner.stages.freshness import is_trained, training_differences
from captioner.stages.train import train
from tests.training.project import make_project


@pytest.fixture(scope="module")
def made_once(tmp_path_factory):
    """A run that began from another one, with a second view, word vectors and captions of another model."""
    folder = tmp_path_factory.mktemp("made")
    recipe = make_project(folder)
    store = open_features(recipe.features)
    write_features(folder / "flipped.pkl", dict(store.items()), {**store.description, "view": "flip"})
    (folder / "vectors.txt").write_text("ball " + " ".join(["0.1"] * 12) + "\n")
    recipe = replace(
        recipe,
        model={**recipe.model, "embeddings": str(folder / "vectors.txt")},
        train=replace(recipe.train, epochs=1, views=(str(folder / "flipped.pkl"),)),
    )
    train(folder / "first", recipe)
    (folder / "generated.json").write_text(json.dumps([{"image_id": "p0", "caption": "a red ball"}]))
    changes = {"begin_from": str(folder / "first"), "distill": str(folder / "generated.json")}
    recipe = replace(recipe, train=replace(recipe.train, **changes))
    train(folder / "run", recipe)
    return folder, recipe


@pytest.fixture
def made(made_once):
    """The same, put back afterwards."""
    folder, recipe = made_once
    kept = folder.with_name("kept")
    shutil.copytree(folder, kept)
    yield folder, recipe
    shutil.rmtree(folder)
    kept.rename(folder)


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ("first/captioner.keras", "the content of the train.begin_from file"),
        ("vectors.txt", "the content of the model.embeddings file"),
        ("generated.json", "the content of the train.distill file"),
    ],
)
def test_a_file_that_was_replaced_is_named(made, changed, named):
    folder, recipe = made
    assert training_differences(folder / "run", recipe) == []
    (folder / changed).write_bytes((folder / changed).read_bytes() + b"\n")
    [found] = training_differences(folder / "run", recipe)
    assert found.startswith(named)


def test_a_view_that_was_replaced_is_named(made):
    folder, recipe = made
    store = open_features(folder / "flipped.pkl")
    write_features(folder / "flipped.pkl", {name: row + 1 for name, row in store.items()}, store.description)
    [found] = training_differences(folder / "run", recipe)
    assert found.startswith("the content of the train.views 1 file")


def test_a_finished_run_does_without_what_it_began_from(made):
    folder, recipe = made
    shutil.rmtree(folder / "first")
    (folder / "vectors.txt").unlink()
    (folder / "generated.json").unlink()
    assert is_trained(folder / "run", recipe)


def test_a_manifest_from_before_these_digests_stays_up_to_date(made):
    folder, recipe = made
    manifest = json.loads((folder / "run" / "manifest.json").read_text())
    del manifest["also_read"]
    (folder / "run" / "manifest.json").write_text(json.dumps(manifest))
    assert is_trained(folder / "run", recipe)


def test_encoder_layers_to_train_and_the_layout_are_compared(made):
    folder, recipe = made
    other = replace(recipe, encoder=replace(recipe.encoder, trained_to="block5_pool"), features_layout="channels_last")
    assert training_differences(folder / "run", other) == [
        "encoder.trained_to: None then, block5_pool now",
        "features_layout: auto then, channels_last now",
    ]
