"""Averaged captioners: the mean of the weights, of runs that fit together."""

from dataclasses import replace

import numpy as np
import pytest

import captioner
from captioner.report.history import read_history
from captioner.run_folder import state_of
from captioner.stages.average import average
from captioner.stages.train import train
from captioner.storage import DataError, read_manifest
from tests.training.project import make_project


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two runs that began from the same one."""
    folder = tmp_path_factory.mktemp("project")
    sections = make_project(folder)
    train(folder / "first", replace(sections, train=replace(sections.train, epochs=1)))
    for seed in (1, 2):
        settings = replace(sections.train, epochs=1, seed=seed, begin_from=str(folder / "first"))
        train(folder / f"seed{seed}", replace(sections, train=settings))
    return folder, sections


@pytest.mark.slow
def test_the_mean_of_the_weights_is_a_run_like_any_other(runs):
    folder, _ = runs
    members = [folder / "seed1", folder / "seed2"]
    average(folder / "mean", members)
    weights = [captioner.load(path).decoder.get_weights() for path in (*members, folder / "mean")]
    for one, other, mean in zip(*weights, strict=True):
        np.testing.assert_allclose(mean, (one + other) / 2, atol=1e-6)
    assert any(np.abs(one - other).max() > 1e-4 for one, other, _ in zip(*weights, strict=True))
    assert state_of(folder / "mean") == "finished"
    manifest = read_manifest(folder / "mean")
    assert manifest["averaged"] == [read_manifest(member)["captioner"] for member in members]
    [row], best = read_history(folder / "mean")
    assert best == 1 and row["val_loss"] > 0 and manifest["best"]["cider_d"] == row["cider_d"]
    with pytest.raises(DataError, match="mean: contains a finished run"):
        average(folder / "mean", members)
    average(folder / "mean", members[:1] * 2, overwrite=True)
    np.testing.assert_allclose(captioner.load(folder / "mean").decoder.get_weights()[0], weights[0][0], atol=1e-6)


@pytest.mark.slow
def test_runs_that_do_not_fit_together_are_named(runs):
    folder, sections = runs
    wider = replace(sections, model={**sections.model, "units": 20}, train=replace(sections.train, epochs=1))
    train(folder / "wider", wider)
    with pytest.raises(DataError, match=r"seed1 and .*wider have different decoders: a MergeDecoder with .* weights"):
        average(folder / "mixed", [folder / "seed1", folder / "wider"])
    rare = replace(sections, text=replace(sections.text, min_count=30), train=replace(sections.train, epochs=1))
    train(folder / "rare", rare)
    with pytest.raises(DataError, match=r"seed1 and .*rare have different vocabularies of \d+ and \d+ words"):
        average(folder / "mixed", [folder / "seed1", folder / "rare"])
    assert state_of(folder / "mixed") == "new"


@pytest.mark.slow
def test_the_mean_has_the_words_of_its_runs_though_captions_and_their_beginning_have_changed(runs):
    folder, _ = runs
    captions, before = folder / "captions.txt", (folder / "captions.txt").read_text()
    try:
        captions.write_text(before.replace("ball", "sphere").replace("tree", "ball"))
        (folder / "first").rename(folder / "away")
        average(folder / "later", [folder / "seed1", folder / "seed2"])
    finally:
        captions.write_text(before)
        (folder / "away").rename(folder / "first")
    expected = captioner.load(folder / "seed1").vocabulary
    assert captioner.load(folder / "later").vocabulary.words == expected.words
    assert (folder / "later" / "vocabulary.json").read_text() == (folder / "seed1" / "vocabulary.json").read_text()
