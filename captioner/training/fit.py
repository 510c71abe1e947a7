"""The training loop: Keras' fit with the recipe's optimizer; each epoch is scored and can be resumed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import keras

from captioner.data.batches import TrainingBatches
from captioner.keras_settings import jit_of_training
from captioner.models.decoder import CaptionDecoder
from captioner.training.callbacks import AtEpochEnd, Checkpointing, EpochProgress, Pace, Shuffling
from captioner.training.checkpoint import TrainingState, load_checkpoint, log_resumed
from captioner.training.chunked_loss import TrainedInChunks, suits
from captioner.training.config import TrainConfig
from captioner.training.epoch_end import EpochEnd, Score
from captioner.training.losses import CaptionLoss
from captioner.training.optimizers import make_optimizer
from captioner.training.scheduled_sampling import RisingShare, ScheduledSampling


def fit(
    decoder: CaptionDecoder,
    batches: TrainingBatches,
    score: Score,
    config: TrainConfig,
    folder: Path,
    *,
    identity: str,
    resume: bool = False,
    of_encoder: Sequence[keras.Variable] = (),
) -> TrainingState:
    """Train `decoder`; its best weights are then in `folder`/best.npz and in the decoder.

    Args:
        decoder: a decoder with new weights.
        batches: the batches of the training split.
        score: scores the decoder with its current weights on the dev split, including `config.monitor`.
        config: the settings.
        folder: the folder of the checkpoints.
        identity: digest of settings and data; a checkpoint with another identity is refused.
        resume: continue from the newest checkpoint in `folder`, which may be within an epoch.
        of_encoder: see `make_optimizer`.

    Returns:
        the run's progress, with a row per epoch.

    Raises:
        DataError: the checkpoint cannot be resumed from, or the loss is not a number.
    """
    batches.start_at(0)
    steps = len(batches)
    model, optimizer = compiled(decoder, config, steps, of_encoder)
    variables = [*model.variables, *optimizer.variables]
    progress = TrainingState()
    if resume:
        progress = load_checkpoint(folder, variables, identity)
        log_resumed(progress, config.epochs, steps)
    end = EpochEnd(decoder, optimizer, config, progress, score, variables, folder, identity)
    callbacks: list[keras.callbacks.Callback] = [
        Shuffling(batches, progress),
        EpochProgress(steps, config.epochs, progress),
        Checkpointing(Pace(progress, config), end.save),
        AtEpochEnd(end),
    ]
    if isinstance(model, ScheduledSampling):
        callbacks.append(RisingShare(model, config.scheduled_sampling, config.epochs))
    if not end.exhausted():
        run_epochs(model, batches, callbacks, progress, config.epochs)
    end.restore_best()
    return progress


def compiled(
    decoder: CaptionDecoder, config: TrainConfig, steps: int, of_encoder: Sequence[keras.Variable] = ()
) -> tuple[keras.Model, keras.optimizers.Optimizer]:
    """Return the model to fit, which is the decoder or contains it, and the optimizer.

    Args:
        decoder: a decoder with new weights.
        config: the settings.
        steps: batches in an epoch.
        of_encoder: see `make_optimizer`.
    """
    optimizer = make_optimizer(config, steps=steps * config.epochs, of_encoder=of_encoder)
    model: keras.Model = decoder
    if config.scheduled_sampling:
        model = ScheduledSampling(decoder, config.seed)
    elif suits(decoder):
        model = TrainedInChunks(decoder, config.label_smoothing)
    loss = None if isinstance(model, TrainedInChunks) else CaptionLoss(config.label_smoothing)
    model.compile(optimizer=optimizer, loss=loss, jit_compile=jit_of_training())
    optimizer.build(decoder.trainable_variables)
    return model, optimizer


def run_epochs(
    model: keras.Model,
    batches: TrainingBatches,
    callbacks: Sequence[keras.callbacks.Callback],
    progress: TrainingState,
    epochs: int,
) -> None:
    """Train from the state of `progress` up to the last epoch, or until a callback stops training."""
    # The rest of an interrupted epoch has fewer batches than the others, so it needs a separate call of fit.
    for last in [progress.epoch + 1, epochs] if progress.step else [epochs]:
        if progress.epoch < last and not model.stop_training:
            batches.start_at(progress.epoch, progress.step)
            model.fit(
                batches.for_keras(),
                epochs=last,
                initial_epoch=progress.epoch,
                shuffle=False,  # the batches shuffle themselves, the same way in a resumed run
                callbacks=list(callbacks),
                verbose=0,
            )
