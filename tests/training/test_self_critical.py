"""Self-critical training: known answers of advantage and gradient; a run that earns more and more."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from keras import ops

import captioner
from captioner.config import ConfigError, build
from captioner.data.batches import CaptionBatches
from captioner.models.architectures import build_decoder
from captioner.stages.train import train
from captioner.storage import DataError
from captioner.text.vocabulary import END, START, TextConfig, Vocabulary
from captioner.training.config import SelfCriticalConfig, TrainConfig
from captioner.training.epoch_end import EpochEnd
from captioner.training.losses import CaptionLoss
from captioner.training.reward import Reward
from captioner.training.self_critical import Drawn, Sampler, advantages, fit_self_critical, lay_out
from tests.interrupts import kept_at
from tests.messages import listening
from tests.speed import slow
from tests.training.kills import assert_same_runs, killed_after
from tests.training.project import make_project

WORDS = ("<pad>", "<start>", "<end>", "<unk>", "a", "red", "ball", "on", "grass")


def test_an_advantage_is_what_a_reward_is_above_the_mean_of_the_others():
    found = advantages(np.array([[1.0, 2.0, 6.0], [4.0, 4.0, 4.0]]))
    np.testing.assert_allclose(found, [[-3.0, -1.5, 4.5], [0.0, 0.0, 0.0]])


def test_the_gradient_is_that_of_the_formula():
    """Against plain NumPy: d loss / d logits = advantage (softmax - onehot) / words, and the references' beside it."""
    keras.utils.set_random_seed(0)
    features = np.random.default_rng(0).normal(size=(2, 3)).astype("float32")
    samples = [[[START, 4, 5, END], [START, 6, END]], [[START, 7, 8, 4], [START, 5, END]]]
    references = {"one": [[START, 4, END]], "two": [[START, 8, 8, END]]}
    rewards = np.array([[1.0, 0.5], [0.0, 2.0]])
    settings = SelfCriticalConfig(samples=2, cross_entropy=0.25)
    drawn = Drawn(["one", "two"], features, samples)
    batch = lay_out(drawn, rewards, references, settings, np.random.default_rng(0))
    logits = np.random.default_rng(1).normal(size=(len(batch.targets), len(WORDS))).astype("float32")

    worth = {}  # (picture, caption) -> weight of each of its words' log-probabilities
    sampled_words, reference_words = 3 + 2 + 3 + 2, 2 + 3
    for picture in range(2):
        first, second = rewards[picture]
        worth[picture, 0], worth[picture, 1] = 0.75 * (first - second) / sampled_words, 0.75 * (second - first) / 10
        worth[picture, 2] = 0.25 / reference_words
    _, columns, length = batch.tokens.shape
    expected = np.zeros_like(logits)
    total = 0.0
    for row, (position, target) in enumerate(zip(batch.positions, batch.targets, strict=True)):
        if not batch.weights[row]:
            continue
        picture, column = divmod(position // length, columns)
        likely = np.exp(logits[row]) / np.exp(logits[row]).sum()
        expected[row] = worth[picture, column] * (likely - np.eye(len(WORDS))[target])
        total -= worth[picture, column] * np.log(likely[target])

    loss = CaptionLoss(reduction="sum")
    assert float(loss(batch.targets, logits, batch.weights)) == pytest.approx(total, rel=1e-5)
    step = 1e-3  # against the direction in which the loss should fall fastest
    moved = float(loss(batch.targets, logits - step * expected, batch.weights))
    assert (total - moved) / step == pytest.approx((expected**2).sum(), rel=0.01)


def test_what_scores_better_becomes_likelier():
    keras.utils.set_random_seed(0)
    settings = {"architecture": "merge", "units": 8, "embedding_size": 8, "word_dropout": 0.0, "feature_dropout": 0.0}
    decoder = build_decoder(settings, len(WORDS), (3,))
    decoder.compile(keras.optimizers.SGD(0.1), loss=CaptionLoss(reduction="sum"), jit_compile=False)
    features = np.ones((1, 3), "float32")
    good, bad = [START, 4, 5, END], [START, 4, 6, END]
    rewards, drawn = np.array([[1.0, 0.0]]), Drawn(["one"], features, [[good, bad]])
    batch = lay_out(drawn, rewards, {}, SelfCriticalConfig(samples=2, cross_entropy=0.0), np.random.default_rng(0))

    def likelihoods():
        logits = decoder((features, np.array([[good[:-1], bad[:-1]]], "int32")))
        found = ops.convert_to_numpy(ops.log_softmax(logits))[0]
        return [
            sum(found[row, place, word] for place, word in enumerate(caption[1:]))
            for row, caption in enumerate((good, bad))
        ]

    before = likelihoods()
    for _ in range(5):
        decoder.train_on_batch(
            (batch.features, batch.tokens, batch.positions), batch.targets, sample_weight=batch.weights
        )
    after = likelihoods()
    assert after[0] > before[0] + 0.05
    assert after[1] < before[1]


class Rows:
    """Features of pictures by their names."""

    def __init__(self, rows):
        self.rows = rows

    def gather(self, ids):
        return np.stack([self.rows[image_id] for image_id in ids])


def test_every_epoch_draws_every_picture_in_another_order_and_its_loss_is_the_mean_reward(tmp_path, monkeypatch):
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    words = [[["a", "red", "ball"], ["a", "ball"]], [["red", "grass"], ["a", "red", "grass"]]] * 4
    vocabulary = Vocabulary.fit([caption for picture in words for caption in picture], TextConfig(min_count=1))
    references = {f"p{number}": picture for number, picture in enumerate(words)}
    settings = {"architecture": "merge", "units": 4, "embedding_size": 4}
    decoder = build_decoder(settings, len(vocabulary), (3,))
    features = Rows({name: rng.normal(size=3).astype("float32") for name in references})
    batches = CaptionBatches(features, vocabulary.encode_all(references), batch_size=2, seed=0)
    drawn, rewards, saved = [], [], []
    draw, of, save = Sampler.draw, Reward.of, EpochEnd.save

    def drawing(sampler, batches, epoch, index):
        found = draw(sampler, batches, epoch, index)
        drawn.append((epoch, index, tuple(found.ids)))
        return found

    def rewarding(reward, *arguments):
        rewards.append(of(reward, *arguments))
        return rewards[-1]

    monkeypatch.setattr(Sampler, "draw", drawing)
    monkeypatch.setattr(Reward, "of", rewarding)
    monkeypatch.setattr(EpochEnd, "save", lambda end: saved.append(end.progress.step) or save(end))
    progress = fit_self_critical(
        decoder,
        batches,
        lambda captions=True: {"val_loss": 1.0, "bleu_4": 0.1, "cider_d": 0.1},
        TrainConfig(epochs=2, self_critical=SelfCriticalConfig(samples=3), begin_from="runs/a", checkpoint_steps=2),
        tmp_path,
        vocabulary=vocabulary,
        references=references,
        max_length=5,
        identity="identity",
    )
    assert [(epoch, index) for epoch, index, _ in drawn] == [(epoch, index) for epoch in (0, 1) for index in range(4)]
    orders = [[name for at, _, ids in drawn if at == epoch for name in ids] for epoch in (0, 1)]
    assert sorted(orders[0]) == sorted(orders[1]) == sorted(references)
    assert orders[0] != orders[1]
    assert [found.shape for found in rewards] == [(2, 3)] * 8
    assert progress.epoch == 2
    means = [np.mean(rewards[:4]), np.mean(rewards[4:])]
    assert [row["loss"] for row in progress.history] == pytest.approx([-mean for mean in means], abs=1e-6)
    assert saved == [2, 0, 2, 0]  # within an epoch after two batches, not after its last one; then at its end


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A run that cross-entropy has begun, and the sections of one that goes on self-critically."""
    folder = tmp_path_factory.mktemp("project")
    sections = make_project(folder)
    train(folder / "first", replace(sections, train=replace(sections.train, epochs=3)))
    config = TrainConfig(
        epochs=3,
        batch_size=8,
        learning_rate=3e-3,
        begin_from=str(folder / "first"),
        self_critical=SelfCriticalConfig(),
        patience=None,
    )
    return folder, replace(sections, train=config)


@pytest.mark.slow
def test_the_reward_rises(project, tmp_path):
    folder, sections = project
    lines = []
    with listening(lines.append):
        progress = train(tmp_path / "run", sections)
    rewards = [-row["loss"] for row in progress.history]
    assert rewards[-1] > rewards[0]
    assert all(0 < row["val_loss"] < 10 for row in progress.history)  # a word's, as in cross-entropy training
    before = next(line for line in lines if line.startswith("before: "))
    assert 100 * progress.best >= float(before.rpartition(" ")[2]) - 0.05  # rounded
    loaded = captioner.load(tmp_path / "run")
    first = captioner.load(folder / "first")
    assert any(np.abs(a - b).max() > 0 for a, b in zip(loaded.get_weights(), first.get_weights(), strict=True))


@pytest.mark.slow
def test_training_ends_within_an_epoch_when_the_minutes_are_up(project, tmp_path):
    _, sections = project
    progress = train(tmp_path / "run", replace(sections, train=replace(sections.train, max_minutes=1e-6)))
    assert progress.epoch == 1 and progress.total_steps == 1


@pytest.mark.slow
def test_a_resumed_run_equals_an_uninterrupted_one(project, tmp_path):
    _, sections = project
    with kept_at("epoch 2/3: loss", tmp_path / "whole", tmp_path / "broken"):
        whole = train(tmp_path / "whole", sections)
    resumed = train(tmp_path / "broken", sections, resume=True)
    assert_same_runs(whole, resumed, tmp_path / "whole", tmp_path / "broken")


@pytest.mark.parametrize(
    "changes", [slow({}), slow({"ema": 0.9, "accumulate": 2, "schedule": "cosine", "warmup": 0.2})], ids=["adam", "ema"]
)
def test_a_run_killed_within_an_epoch_resumes_at_the_next_batch(project, tmp_path, monkeypatch, changes):
    _, sections = project
    model = {**sections.model, "word_dropout": 0.3, "feature_dropout": 0.3}
    settings = {"checkpoint_steps": 2, "epochs": 2, **changes}
    sections = replace(sections, model=model, train=replace(sections.train, **settings))
    with killed_after(monkeypatch, (1, 2), tmp_path / "whole", tmp_path / "broken"):
        whole = train(tmp_path / "whole", sections)
    lines = []
    with listening(lines.append):
        resumed = train(tmp_path / "broken", sections, resume=True)
    assert "continuing after epoch 1 of 2 and batch 2 of 40" in lines
    assert not any(line.startswith("before: ") for line in lines)
    assert resumed.drawn == []
    assert_same_runs(whole, resumed, tmp_path / "whole", tmp_path / "broken")


def test_refuses_to_begin_from_other_words(project, tmp_path):
    _, sections = project
    other = replace(sections, text=replace(sections.text, max_words=9))
    with pytest.raises(DataError, match=r"first: was trained with \d+ words .* this recipe has \d+"):
        train(tmp_path / "run", other)


def test_refuses_to_begin_from_another_architecture(project, tmp_path):
    _, sections = project
    other = replace(sections, model={"architecture": "merge", "units": 12, "embedding_size": 12})
    with pytest.raises(
        DataError, match=r"first: has a MergeDecoder with [\d,]+ weights, but this recipe makes a Merge"
    ):
        train(tmp_path / "run", other)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"self_critical": {}}, "needs begin_from"),
        ({"self_critical": {"samples": 1}, "begin_from": "runs/a"}, "samples must be 2 or more, found 1"),
        ({"self_critical": {"cross_entropy": 1}, "begin_from": "runs/a"}, "below 1, found 1"),
        ({"self_critical": {"references": 0}, "begin_from": "runs/a"}, "references must be 1 or more"),
        ({"self_critical": {"temperature": 0}, "begin_from": "runs/a"}, "temperature must be above 0"),
        ({"self_critical": {}, "begin_from": "runs/a", "engine": "numpy"}, "self_critical needs engine: keras"),
        ({"encoder_rate": 2}, "encoder_rate must be between 0 and 1"),
    ],
)
def test_impossible_settings_are_named(settings, message):
    with pytest.raises(ConfigError, match=message):
        build(TrainConfig, settings, "train")
