"""The training loop: keras' fit with the recipe's optimizer, scored, kept and resumable epoch by epoch."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import keras

from captioner.data.batches import CaptionBatches
from captioner.models.decoder import CaptionDecoder
from captioner.run_folder import BEST, CHECKPOINT
from captioner.training.callbacks import AtEpochEnd, EpochProgress, Shuffling
from captioner.training.checkpoint import TrainingState, load_variables
from captioner.training.config import TrainConfig
from captioner.training.epoch_end import EpochEnd
from captioner.training.losses import CaptionLoss
from captioner.training.optimizers import make_optimizer

logger = logging.getLogger(__name__)


def fit(
    decoder: CaptionDecoder,
    batches: CaptionBatches,
    score: Callable[[], dict[str, float]],
    config: TrainConfig,
    folder: Path,
    *,
    identity: str,
    resume: bool = False,
) -> TrainingState:
    """Train `decoder`; its best weights are then in `folder`/best.npz and in the decoder.

    Args:
        decoder: with fresh weights.
        batches: of the training split.
        score: scores the decoder as it is on the dev split, `config.monitor` among the scores.
        config: the settings.
        folder: where the checkpoints lie.
        identity: digest of settings and data; a checkpoint of another one is refused.
        resume: go on from the checkpoint in `folder`.

    Returns:
        the run's progress, with a row per epoch.

    Raises:
        DataError: the checkpoint cannot be resumed from, or the loss is not a number.
    """
    optimizer = make_optimizer(config, steps=len(batches) * config.epochs)
    # On TensorFlow's CPU, XLA's matrix products are slower than the ordinary ones; JAX has no others.
    compiled = "auto" if keras.backend.backend() != "tensorflow" else False
    decoder.compile(optimizer=optimizer, loss=CaptionLoss(config.label_smoothing), jit_compile=compiled)
    optimizer.build(decoder.trainable_variables)
    variables = [*decoder.variables, *optimizer.variables]
    progress = TrainingState()
    if resume:
        progress = load_variables(folder / CHECKPOINT, variables, identity)
        logger.info(f"going on after epoch {progress.epoch} of {config.epochs}")
    end = EpochEnd(decoder, optimizer, config, progress, score, variables, folder, identity)
    if progress.epoch < config.epochs and not end.exhausted():
        decoder.fit(
            batches.for_keras(),
            epochs=config.epochs,
            initial_epoch=progress.epoch,
            shuffle=False,  # the batches shuffle themselves, the same way in a resumed run
            callbacks=[Shuffling(batches), EpochProgress(len(batches), config.epochs), AtEpochEnd(end)],
            verbose=0,
        )
    load_variables(folder / BEST, decoder.weights, identity)
    return progress
