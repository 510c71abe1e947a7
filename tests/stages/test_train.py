import contextlib
import csv
import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import h5py
import numpy as np
import pytest

import captioner
from captioner.config import load_yaml
from captioner.data.batches import CaptionBatches
from captioner.data.dataset import load_captions
from captioner.data.shards.batches import ShardBatches
from captioner.data.shards.store import open_shards
from captioner.features.store import open_features, write_features
from captioner.report.history import read_history
from captioner.run_folder import state_of
from captioner.stages.clean import clean
from captioner.stages.shard import shard
from captioner.stages.train import train
from captioner.storage import DataError
from captioner.training import checkpoint
from captioner.training.checkpoint import newest_checkpoint
from captioner.training.config import TrainConfig
from tests.interrupts import kept_at
from tests.messages import listening
from tests.speed import slow
from tests.training.kills import assert_same_runs, killed_after
from tests.training.project import make_project


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("project")
    return folder, make_project(folder)


def fit_to(folder, sections, **changes):
    sections = replace(sections, train=replace(sections.train, **changes))
    return train(folder, sections)


class StopNowError(Exception):
    """Stands for a kill at the end of an epoch."""


@contextlib.contextmanager
def stopped_after(epoch):
    """Stop the training at the end of an epoch."""

    def stop(line):
        if line.startswith(f"epoch {epoch}/"):
            raise StopNowError

    with pytest.raises(StopNowError), listening(stop):
        yield


@pytest.fixture(scope="module")
def finished_once(project):
    """A finished run of one epoch; tests that change it take `finished`."""
    folder, sections = project
    fit_to(folder / "finished", sections, epochs=1)
    return folder / "finished"


@pytest.fixture
def finished(finished_once, tmp_path):
    """A copy of the finished run."""
    return shutil.copytree(finished_once, tmp_path / "run")


@pytest.fixture(scope="module")
def stopped_once(project):
    """A run of four epochs, stopped after the second; tests take `stopped`."""
    folder, sections = project
    with stopped_after(2):
        train(folder / "stopped", sections)
    return folder / "stopped"


@pytest.fixture
def stopped(stopped_once, tmp_path):
    """A copy of the stopped run."""
    return shutil.copytree(stopped_once, tmp_path / "run")


def test_learns_and_leaves_a_whole_run_folder(project):
    folder, sections = project
    progress = fit_to(folder / "run", sections, epochs=10, patience=None)
    assert progress.history[-1]["loss"] < progress.history[0]["loss"] / 2
    assert progress.best > 2  # CIDEr-D on pictures that it has not seen
    assert state_of(folder / "run") == "finished"
    rows = list(csv.DictReader((folder / "run" / "history.csv").read_text().splitlines()))
    assert [int(float(row["epoch"])) for row in rows] == list(range(1, 11))
    manifest = json.loads((folder / "run" / "manifest.json").read_text())
    assert manifest["best"]["cider_d"] == pytest.approx(progress.best, abs=1e-5)
    loaded = captioner.load(folder / "run")
    assert loaded.encoder_description == {"backbone": "vgg16", "layer": "pool"}
    vector = open_features(sections.features)["p47"]
    caption = loaded.caption_features(vector[None])[0][0]
    assert caption.text.split()[0] in ("a", "there")


@pytest.mark.parametrize(
    "changes",
    [
        {},
        slow({"ema": 0.9, "optimizer": "adamw", "weight_decay": 0.01, "label_smoothing": 0.1}),
        slow({"schedule": "cosine", "warmup": 0.2}),
        slow({"schedule": "plateau", "plateau_patience": 1, "monitor": "val_loss"}),
        slow({"average_epochs": 3, "best_by": "neighbours", "ema": 0.9}),
        slow({"score_every": 3, "score_pictures": 4, "best_by": "neighbours"}),
    ],
    ids=["adam", "ema", "cosine", "plateau", "mean-of-epochs", "score-every"],
)
def test_a_resumed_run_equals_an_uninterrupted_one(project, tmp_path, changes):
    _, sections = project
    sections = replace(sections, train=replace(sections.train, patience=None, **changes))
    with kept_at("epoch 2/", tmp_path / "whole", tmp_path / "broken"):
        whole = train(tmp_path / "whole", sections)
    assert state_of(tmp_path / "broken") == "unfinished"
    resumed = train(tmp_path / "broken", sections, resume=True)
    apart = {"val_perplexity"}  # the exponential of the loss magnifies what differs
    assert_same_runs(whole, resumed, tmp_path / "whole", tmp_path / "broken", but=apart)


@pytest.mark.parametrize(
    "changes",
    [
        slow({}),
        slow({"ema": 0.9, "optimizer": "adamw", "weight_decay": 0.01, "schedule": "cosine", "warmup": 0.2}),
        slow({"accumulate": 2, "optimizer": "nadam", "schedule": "exponential"}),
        slow({"scheduled_sampling": 0.5}),
    ],
    ids=["adam", "ema", "accumulate", "scheduled-sampling"],
)
def test_a_run_killed_within_an_epoch_resumes_at_the_next_batch(project, tmp_path, monkeypatch, changes):
    _, sections = project
    settings = {"patience": None, "epochs": 3, "checkpoint_steps": 2, **changes}
    sections = replace(sections, train=replace(sections.train, **settings))
    with killed_after(monkeypatch, (1, 2), tmp_path / "whole", tmp_path / "broken"):
        whole = train(tmp_path / "whole", sections)
    resumed = train(tmp_path / "broken", sections, resume=True)
    assert_same_runs(whole, resumed, tmp_path / "whole", tmp_path / "broken")


@pytest.mark.slow
def test_shards_and_a_feature_file_give_one_history_for_one_order(project, tmp_path, monkeypatch):
    folder, sections = project
    captions = load_captions(sections.data)
    shard(captions, tmp_path / "shards", open_features(sections.features), pictures_a_shard=9)
    data = replace(sections.data, source="tfrecord")
    streamed = train(tmp_path / "streamed", replace(sections, data=data, features=str(tmp_path / "shards")))
    write_features(  # shards hold half precision
        folder / "half.pkl",
        {name: row.astype("float16").astype("float32") for name, row in open_features(sections.features).items()},
        {"backbone": "vgg16", "layer": "pool"},
    )

    shuffle = CaptionBatches._shuffle

    def order_of_the_shards(batches, epoch):
        if "p47" in batches.captions:  # the dev split
            return shuffle(batches, epoch)
        shards = open_shards(str(tmp_path / "shards"))
        stream = ShardBatches(shards, "train", batches.captions, batches.batch_size, batches.seed, 40)
        stream.start_at(epoch)
        rows = {name: row for row, name in enumerate(batches.captions)}
        return [np.array([rows[record.image_id] for record in group]) for group in stream._groups()]

    monkeypatch.setattr(CaptionBatches, "_shuffle", order_of_the_shards)
    sections = replace(sections, features=str(folder / "half.pkl"))
    whole = train(tmp_path / "whole", sections)
    for row, other in zip(whole.history, streamed.history, strict=True):
        for name in row.keys() - {"seconds"}:
            assert row[name] == pytest.approx(other[name], abs=2e-6), name


@pytest.mark.slow
def test_a_broken_checkpoint_leaves_the_one_before(project, stopped):
    _, sections = project
    folder = stopped / "checkpoints"
    newest = newest_checkpoint(folder)
    newest.write_bytes(newest.read_bytes()[:100])
    assert newest_checkpoint(folder) not in (None, newest)
    assert train(stopped, sections, resume=True).epoch == 4


def test_a_full_disk_costs_a_checkpoint_and_not_the_run(project, tmp_path, monkeypatch, caplog):
    _, sections = project
    write, full = checkpoint.atomic_path, []

    @contextlib.contextmanager
    def disk(path):
        if path.name.startswith("checkpoint") and len(full) < 2:
            full.append(path.name)
            raise DataError(f"{path}: cannot be written (No space left on device); the existing file is unchanged")
        with write(path) as temporary:
            yield temporary

    monkeypatch.setattr(checkpoint, "atomic_path", disk)
    progress = train(tmp_path / "run", sections)
    assert progress.epoch == 4
    assert caplog.text.count("no checkpoint was written; training continues") == 2


def test_a_disk_without_room_for_the_weights_is_said_before_training(project, tmp_path, monkeypatch):
    _, sections = project
    monkeypatch.setattr(shutil, "disk_usage", lambda place: SimpleNamespace(free=1000))
    with pytest.raises(
        DataError, match=r"checkpoints: training needs .* are free; free disk space or name another folder"
    ):
        train(tmp_path / "run", sections)


@pytest.mark.slow
def test_that_no_weights_could_be_kept_at_all_is_said(project, tmp_path, monkeypatch):
    _, sections = project

    @contextlib.contextmanager
    def full(path):
        raise DataError(f"{path}: cannot be written (No space left on device)")
        yield

    monkeypatch.setattr(checkpoint, "atomic_path", full)
    with pytest.raises(DataError, match=r"checkpoints: no epoch's weights could be written; free disk space"):
        train(tmp_path / "run", sections)


@pytest.mark.slow
def test_training_ends_when_the_minutes_are_up(project, tmp_path):
    _, sections = project
    progress = fit_to(tmp_path / "run", sections, epochs=50, max_minutes=1e-6)
    assert progress.epoch == 1
    assert progress.total_steps == 1
    assert state_of(tmp_path / "run") == "finished"


@pytest.mark.slow
def test_the_average_of_the_weights_is_saved(project, finished_once, tmp_path):
    _, sections = project
    fit_to(tmp_path / "average", sections, epochs=1, ema=0.9)
    plain, average = (captioner.load(run).get_weights() for run in (finished_once, tmp_path / "average"))
    assert max(np.abs(a - b).max() for a, b in zip(plain, average, strict=True)) > 1e-3


@pytest.mark.slow
def test_what_is_saved_is_scored_on_all_dev_pictures(project, tmp_path):
    _, sections = project
    settings = {"score_every": 4, "score_pictures": 2, "monitor": "val_loss", "patience": None}
    progress = fit_to(tmp_path / "run", sections, epochs=5, **settings)
    assert ["cider_d" in row for row in progress.history] == [False, False, False, True, True]
    best = json.loads((tmp_path / "run" / "manifest.json").read_text())["best"]
    assert best["distinct"] > 2 and best["val_loss"] == min(row["val_loss"] for row in progress.history)
    rows, epoch = read_history(tmp_path / "run")
    assert rows == progress.history and epoch == progress.best_epoch


@pytest.mark.slow
def test_a_run_goes_to_tensorboard(project, tmp_path):
    pytest.importorskip("tensorboard")
    _, sections = project
    fit_to(tmp_path / "run", sections, epochs=1, tensorboard=True)
    [events] = (tmp_path / "run" / "tensorboard").iterdir()
    assert b"dev/cider_d" in events.read_bytes()


@pytest.mark.slow
def test_same_seed_same_weights_other_seed_others(project, finished_once, tmp_path):
    _, sections = project
    for name, seed in (("same", sections.train.seed), ("other", 2)):
        fit_to(tmp_path / name, sections, epochs=1, seed=seed)
    runs = (finished_once, tmp_path / "same", tmp_path / "other")
    a, b, c = (captioner.load(run).get_weights()[0] for run in runs)
    np.testing.assert_allclose(a, b, atol=1e-6)
    assert np.abs(a - c).max() > 1e-3


@pytest.mark.slow
def test_stops_early_and_keeps_the_best_epoch(project, tmp_path):
    _, sections = project
    progress = fit_to(tmp_path / "run", sections, epochs=30, patience=2, learning_rate=0.05)
    assert progress.epoch < 30
    assert progress.epoch == progress.best_epoch + 2
    ranks = [(row["cider_d"], -row["val_loss"]) for row in progress.history]
    assert ranks.index(max(ranks)) == progress.best_epoch - 1


@pytest.mark.slow
def test_another_score_may_choose_the_epoch(project, tmp_path):
    _, sections = project
    progress = fit_to(tmp_path / "run", sections, epochs=6, monitor="bleu_4", patience=None)
    ranks = [(row["bleu_4"], -row["val_loss"]) for row in progress.history]
    assert ranks.index(max(ranks)) == progress.best_epoch - 1


@pytest.mark.slow
def test_with_a_single_dev_picture_the_loss_chooses(project, tmp_path, said):
    _, sections = project
    (tmp_path / "one.txt").write_text("p47.jpg\n")
    splits = {**sections.data.splits, "dev": str(tmp_path / "one.txt")}
    sections = replace(sections, data=replace(sections.data, splits=splits))
    progress = train(tmp_path / "run", sections)
    losses = [row["val_loss"] for row in progress.history]
    assert losses[progress.best_epoch - 1] == min(losses) < losses[0]
    assert "note: CIDEr-D of a single dev picture is always 0; the best epoch is chosen by the dev loss" in said


@pytest.mark.slow
def test_bfloat16_trains_and_saves_float32(project, tmp_path):
    _, sections = project
    progress = fit_to(tmp_path / "run", sections, epochs=3, precision="bfloat16")
    assert progress.history[-1]["loss"] < progress.history[0]["loss"]
    decoder = captioner.load(tmp_path / "run").decoder
    assert decoder.dtype_policy.name == "float32"


def test_test_captions_stay_out_of_the_vocabulary(project, tmp_path):
    folder, sections = project
    text = (folder / "captions.txt").read_text().replace("p47.jpg#0\tThere", "p47.jpg#0\tUnheard")
    (folder / "other.txt").write_text(text)
    data = replace(sections.data, captions=str(folder / "other.txt"))
    fit_to(tmp_path / "run", replace(sections, data=data), epochs=1)
    assert "unheard" not in (tmp_path / "run" / "vocabulary.json").read_text()


def test_a_finished_run_is_not_overwritten_unasked(project, finished):
    _, sections = project
    before = (finished / "captioner.keras").read_bytes()
    with pytest.raises(DataError, match="contains a finished run; give another folder, or --overwrite"):
        fit_to(finished, sections, epochs=1)
    assert (finished / "captioner.keras").read_bytes() == before


def test_an_unfinished_run_asks_what_to_do(project, stopped):
    _, sections = project
    with pytest.raises(DataError, match="--resume continues it, --overwrite starts again"):
        fit_to(stopped, sections)


def test_resuming_with_other_settings_is_refused(project, stopped):
    _, sections = project
    other = replace(sections, train=TrainConfig(epochs=4, batch_size=4))
    with pytest.raises(DataError, match="belongs to a run with other settings or data"):
        train(stopped, other, resume=True)


def test_broken_checkpoints_are_named(project, stopped):
    _, sections = project
    for path in (stopped / "checkpoints").glob("checkpoint*.npz"):
        path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(DataError, match=r"checkpoint[\w-]*\.npz: not a whole checkpoint"):
        train(stopped, sections, resume=True)


def test_features_that_lack_pictures_are_refused(project, tmp_path):
    _, sections = project
    store = open_features(sections.features)
    write_features(tmp_path / "few.pkl", {i: store[i] for i in list(store)[:44]}, None)
    with pytest.raises(DataError, match=r"few\.pkl: lacks 4 of the 8 pictures of split dev \(first: p44\)"):
        fit_to(tmp_path / "run", replace(sections, features=str(tmp_path / "few.pkl")))


def test_missing_descriptions_say_which_command_makes_them(project, tmp_path):
    _, sections = project
    data = replace(sections.data, descriptions=str(tmp_path / "descriptions.txt"))
    with pytest.raises(DataError, match=r"no such file; to make it, run captioner clean .* --rules ptb"):
        fit_to(tmp_path / "run", replace(sections, data=data))


def test_features_of_another_encoder_than_the_recipe_says_are_refused(project, tmp_path):
    _, sections = project
    other = replace(sections, encoder=replace(sections.encoder, layer="fc2"))
    with pytest.raises(DataError, match=r"another encoder \(layer: pool in the file, fc2 in the recipe\)"):
        fit_to(tmp_path / "run", other)


def test_overwrite_loses_nothing_when_an_input_is_missing(project, finished):
    _, sections = project
    before = {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()}
    with pytest.raises(DataError, match="no such file"):
        train(finished, replace(sections, features="missing.pkl"), overwrite=True)
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.slow
def test_overwrite_trains_again(project, finished):
    _, sections = project
    changed = replace(sections, train=replace(sections.train, epochs=2))
    assert train(finished, changed, overwrite=True).epoch == 2
    assert state_of(finished) == "finished"


def test_a_refused_resume_leaves_the_run_as_it_was(project, stopped):
    _, sections = project
    other = replace(sections, train=replace(sections.train, seed=9))
    with pytest.raises(DataError, match="other settings or data"):
        train(stopped, other, resume=True)
    assert load_yaml(stopped / "config.yaml")["train"]["seed"] == sections.train.seed


def test_descriptions_of_other_captions_are_refused(project, tmp_path):
    _, sections = project
    (tmp_path / "other.txt").write_text("p0.jpg#0\tA dog .\n")
    clean(tmp_path / "other.txt", tmp_path / "descriptions.txt", "ptb")
    data = replace(sections.data, descriptions=str(tmp_path / "descriptions.txt"))
    with pytest.raises(
        DataError, match=r"descriptions\.txt: cleaned from captions with digest \w{12}, but .* has \w{12}"
    ):
        fit_to(tmp_path / "run", replace(sections, data=data))


def test_numbers_that_are_none_are_refused_before_training(project, tmp_path):
    _, sections = project
    store = open_features(sections.features)
    write_features(tmp_path / "f.h5", dict(store), store.description)
    with h5py.File(tmp_path / "f.h5", "r+") as file:
        file["features"][list(store).index("p7"), 2] = np.nan
    (tmp_path / "f.h5.manifest.json").unlink()
    with pytest.raises(DataError, match="features of 'p7' are not finite"):
        fit_to(tmp_path / "run", replace(sections, features=str(tmp_path / "f.h5")))
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_training_pictures_that_are_not_in_the_shards_are_left_out_and_said(project, tmp_path, said):
    _, sections = project
    captions = load_captions(sections.data)
    fewer = replace(captions, splits={**captions.splits, "train": captions.splits["train"][1:]})
    shard(fewer, tmp_path / "shards", open_features(sections.features), pictures_a_shard=9)
    data = replace(sections.data, source="tfrecord")
    sections = replace(sections, data=data, features=str(tmp_path / "shards"))
    fit_to(tmp_path / "run", sections, epochs=1)
    assert state_of(tmp_path / "run") == "finished"
    [line] = [line for line in said if "1 of the 40 training pictures are missing" in line]
    assert said.index(line) < next(place for place, line in enumerate(said) if line.startswith("epoch 1/"))


def test_shards_that_lack_a_dev_picture_are_refused_before_training(project, tmp_path):
    _, sections = project
    captions = load_captions(sections.data)
    fewer = replace(captions, splits={**captions.splits, "dev": captions.splits["dev"][1:]})
    shard(fewer, tmp_path / "shards", open_features(sections.features), pictures_a_shard=9)
    sections = replace(sections, data=replace(sections.data, source="tfrecord"), features=str(tmp_path / "shards"))
    with pytest.raises(DataError, match="1 of the 8 dev pictures are missing"):
        train(tmp_path / "run", sections)
    assert not (tmp_path / "run" / "checkpoints").exists()
