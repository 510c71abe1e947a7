"""Self-critical training: captions are drawn, and those that score better than their picture's others become likelier.

Rennie et al. 2017, "Self-critical Sequence Training for Image Captioning" (equation 7), with the baseline of Luo 2020,
"A Better Variant of Self-Critical Sequence Training": the mean reward of the picture's other samples instead of the
greedy caption's. With K samples of a picture x and rewards r_k,

    loss = -(1 / words) sum_k (r_k - mean_{j != k} r_j) sum_t log p(w_kt | w_k<t, x).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np

from captioner.data.batches import Batch, CaptionBatches, make_batch
from captioner.generation.config import GenerationConfig
from captioner.generation.sampling import Sampling
from captioner.keras_settings import jit_of_training
from captioner.models.decoder import CaptionDecoder
from captioner.progress import Progress
from captioner.text.vocabulary import END, START, Vocabulary
from captioner.training.callbacks import Pace
from captioner.training.checkpoint import TrainingState, load_checkpoint, log_resumed
from captioner.training.config import SelfCriticalConfig, TrainConfig
from captioner.training.epoch_end import EpochEnd, Score
from captioner.training.losses import CaptionLoss
from captioner.training.optimizers import make_optimizer
from captioner.training.reward import Reward

logger = logging.getLogger(__name__)

MULTIPLE = 4  # lengths are rounded up to it, so that few shapes are compiled


class Drawn(NamedTuple):
    """The samples of a batch of pictures.

    Attributes:
        ids: the pictures.
        features: (pictures, ...).
        captions: per picture its samples as numbers, `<start>` ... `<end>`.
    """

    ids: list[str]
    features: np.ndarray
    captions: list[list[list[int]]]


def fit_self_critical(
    decoder: CaptionDecoder,
    batches: CaptionBatches,
    score: Score,
    config: TrainConfig,
    folder: Path,
    *,
    vocabulary: Vocabulary,
    references: Mapping[str, Sequence[Sequence[str]]],
    max_length: int,
    identity: str,
    resume: bool = False,
    of_encoder: Sequence[keras.Variable] = (),
) -> TrainingState:
    """Train `decoder` on its own samples; its best weights are then in `folder`/best.npz and in the decoder.

    The samples of a batch are drawn while the rewards of the batch before are computed, so they come from weights that
    are one step old. A checkpoint within an epoch holds those of the next batch: the weights that drew them are gone.

    Args:
        decoder: trained by cross-entropy: from random weights no sample is worth anything.
        batches: of the training split.
        score: scores the decoder as it is on the dev split.
        config: the settings; `config.self_critical` is not None.
        folder: where the checkpoints lie.
        vocabulary: the decoder's words.
        references: image_id -> its training captions as words.
        max_length: the most words of a sample, `<end>` included.
        identity: digest of settings and data; a checkpoint of another one is refused.
        resume: continue from the newest checkpoint in `folder`, within an epoch if it was written there.
        of_encoder: see `make_optimizer`.

    Returns:
        the run's progress, with a row per epoch; its `loss` is the mean reward with the sign changed.

    Raises:
        DataError: the checkpoint cannot be resumed from, or the reward is not a number.
    """
    settings = config.self_critical or SelfCriticalConfig()
    optimizer = make_optimizer(config, len(batches) * config.epochs, of_encoder)
    loss = CaptionLoss(reduction="sum")  # the weights say what a word counts, and are negative for poor samples
    decoder.compile(optimizer=optimizer, loss=loss, jit_compile=jit_of_training())
    optimizer.build(decoder.trainable_variables)
    variables = [*decoder.variables, *optimizer.variables]

    progress = TrainingState()
    if resume:
        progress = load_checkpoint(folder, variables, identity)
        log_resumed(progress, config.epochs, len(batches))
    else:
        before = score()
        scores = 100 * before["bleu_4"], 100 * before["cider_d"]
        logger.info("before: dev BLEU-4 %.2f, CIDEr-D %.1f", *scores)
    end = EpochEnd(decoder, optimizer, config, progress, score, variables, folder, identity)
    pace = Pace(progress, config)
    sampler = Sampler(decoder, settings, vocabulary, max_length, config.seed)
    reward = Reward(references, settings.bleu_4)
    with ThreadPoolExecutor(1) as beside:

        def rewarded(drawn: Drawn) -> tuple[Drawn, Future[np.ndarray]]:
            return drawn, beside.submit(reward.of, drawn.ids, vocabulary, drawn.captions)

        while progress.epoch < config.epochs and not end.exhausted():
            epoch, first = progress.epoch, progress.step
            earned, drew = progress.loss or (0.0, 0.0)
            batches.start_at(epoch)
            what = f"epoch {epoch + 1}/{config.epochs}"
            pace.begin()
            if first:
                following = rewarded(Drawn(*batches.pictures(first), progress.drawn))
            else:
                following = rewarded(sampler.draw(batches, epoch, 0))
            with Progress(what, len(batches), "batches", first) as bar:
                for index in range(first, len(batches)):
                    drawn, rewards = following
                    more = index + 1 < len(batches)
                    if more:
                        following = rewarded(sampler.draw(batches, epoch, index + 1))
                    found = rewards.result()  # (pictures, samples)
                    rng = np.random.default_rng([config.seed, epoch, index])
                    batch = lay_out(drawn, found, batches.captions, settings, rng)
                    decoder.train_on_batch(
                        (batch.features, batch.tokens, batch.positions), batch.targets, sample_weight=batch.weights
                    )
                    earned, drew = earned + float(found.sum()), drew + found.size
                    bar.advance(1)
                    pace.count()
                    if pace.out_of_time():
                        break
                    if more and pace.due():
                        progress.loss, progress.drawn = [earned, drew], following[0].captions
                        end.save()
            logger.info("%s: mean reward of %s samples %.4f", what, f"{drew:,.0f}", earned / drew)
            end.finish(-earned / drew, progress.seconds)
    end.restore_best()
    return progress


class Sampler:
    """Draws captions of training pictures, the same for the same seed, weights, epoch and batch.

    Args:
        decoder: as it is when `draw` is called, without dropout.
        settings: how many samples, and how sharp the distribution is.
        vocabulary: the decoder's.
        max_length: the most words, `<end>` included.
        seed: of the draws.
    """

    def __init__(
        self, decoder: CaptionDecoder, settings: SelfCriticalConfig, vocabulary: Vocabulary, max_length: int, seed: int
    ) -> None:
        generation = GenerationConfig(sampling=True, temperature=settings.temperature, max_length=max_length)
        self._search = Sampling(decoder, generation, settings.samples, vocabulary)
        self._shape, self._seed = (settings.samples, max_length), seed

    def draw(self, batches: CaptionBatches, epoch: int, index: int) -> Drawn:
        """Draw the samples of batch number `index` of an epoch (from 0)."""
        ids, features = batches.pictures(index)
        rng = np.random.default_rng([self._seed, epoch, index])
        draws = rng.random((len(ids), *self._shape), np.float32)
        found = self._search.predict_on_batch({"features": features, "draws": draws})
        tokens = np.asarray(found["tokens"])  # (pictures, samples, max_length)
        captions = [[[START, *_until_end(sample)] for sample in picture] for picture in tokens.tolist()]
        return Drawn(ids, features, captions)


def _until_end(tokens: list[int]) -> list[int]:
    """Return a sample up to and with `<end>`; one that never ends is taken whole."""
    return tokens[: tokens.index(END) + 1] if END in tokens else tokens


def advantages(rewards: np.ndarray) -> np.ndarray:
    """Return what each sample's reward (pictures, samples) is above the mean of its picture's other samples."""
    samples = rewards.shape[1]
    others = (rewards.sum(axis=1, keepdims=True) - rewards) / (samples - 1)
    return rewards - others


def lay_out(
    drawn: Drawn,
    rewards: np.ndarray,
    references: Mapping[str, Sequence[Sequence[int]]],
    settings: SelfCriticalConfig,
    rng: np.random.Generator,
) -> Batch:
    """Lay out samples and some of their pictures' references for one pass under a loss that is a weighted sum.

    The weights hold the advantages, the share of cross-entropy, and the numbers of words that both are divided by.

    Args:
        drawn: the samples.
        rewards: (pictures, samples).
        references: image_id -> its captions as numbers, `<start>` ... `<end>`.
        settings: how many references a picture, and what share of the loss they have.
        rng: chooses them.
    """
    above, share = advantages(rewards), settings.cross_entropy
    captions = []
    for image_id, samples in zip(drawn.ids, drawn.captions, strict=True):
        known = references[image_id] if share else ()
        chosen = rng.permutation(len(known))[: settings.references]
        captions.append([*samples, *(known[place] for place in chosen)])
    batch = make_batch(drawn.features, captions, MULTIPLE)
    _, columns, length = batch.tokens.shape
    picture, column = np.divmod(batch.positions // length, columns)
    sampled = column < settings.samples
    weights = np.where(sampled, above[picture, np.minimum(column, settings.samples - 1)], 1.0) * batch.weights
    of_samples, of_references = (max(1.0, float(batch.weights[kind].sum())) for kind in (sampled, ~sampled))
    weights *= np.where(sampled, (1 - share) / of_samples, share / of_references)
    return batch._replace(weights=weights.astype("float32"))
