"""Training with the recurrent network implemented in NumPy; Keras only scores and saves the result.

It is slower than Keras' training and has no regularization: it is meant for reading and for tests.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from captioner.config import ConfigError, to_settings
from captioner.data.batches import Batch, CaptionBatches
from captioner.models.config import InjectConfig, model_config
from captioner.models.decoder import CaptionDecoder
from captioner.models.words import normalized
from captioner.numpy_rnn.cells import Weights
from captioner.numpy_rnn.model import CaptioningRNN
from captioner.numpy_rnn.optimizers import NumpyAdam, NumpySGD, clip_by_global_norm
from captioner.text.vocabulary import PAD
from captioner.training.callbacks import EpochProgress, Pace
from captioner.training.checkpoint import TrainingState, load_checkpoint, log_resumed
from captioner.training.config import TrainConfig
from captioner.training.epoch_end import EpochEnd, Score

ARCHITECTURE = "init-inject"
OPTIMIZERS = ("adam", "sgd")
FREE_IN_MODEL = {"cell", "units", "embedding_size", "embeddings", "output_bias", "normalize"}
PLAIN = {"feature_dropout": 0.0, "word_dropout": 0.0}  # the required values of settings with other defaults
FREE_IN_TRAINING = {"engine", "optimizer", "momentum", "learning_rate", "clip_norm", "epochs", "batch_size", "seed"}
FREE_IN_TRAINING |= {"least_steps", "monitor", "patience", "plateau_patience", "decay_rate", "decay_epochs"}
FREE_IN_TRAINING |= {"max_minutes", "checkpoint_minutes", "checkpoint_steps", "tensorboard"}
FREE_IN_TRAINING |= {"best_by", "average_epochs", "score_every", "score_pictures", "keep_captions"}


def require_plain(model: Mapping[str, Any], train: TrainConfig) -> None:
    """Check that the settings need nothing that the NumPy network lacks.

    Args:
        model: a recipe's `model` section.
        train: its `train` section.

    Raises:
        ConfigError: names the setting and the value that it must have.
    """
    name, config = model_config(model)
    if name != ARCHITECTURE:
        raise ConfigError(f"model.architecture: train.engine numpy trains {ARCHITECTURE} only, found {name}")
    for section, found, free, wanted in (
        ("model", config, FREE_IN_MODEL, {**to_settings(InjectConfig()), **PLAIN}),
        ("train", train, FREE_IN_TRAINING, to_settings(TrainConfig())),
    ):
        for key, value in to_settings(found).items():
            if key not in free and value != wanted[key]:
                raise ConfigError(f"{section}.{key}: train.engine numpy needs {_spell(wanted[key])}, found {value}")
    if train.optimizer not in OPTIMIZERS:
        raise ConfigError(
            f"train.optimizer: train.engine numpy has {' and '.join(OPTIMIZERS)}, found {train.optimizer}"
        )


class Twin:
    """The NumPy equivalent of a decoder, with its optimizer.

    Attributes:
        model: the network; it starts with the decoder's weights.
        optimizer: changes the network's weights in place.
        variables: the content of a checkpoint: the decoder's variables, the optimizer's arrays and its step count.
    """

    def __init__(self, decoder: CaptionDecoder, config: TrainConfig) -> None:
        """Build the equivalent of an InitInjectDecoder with one recurrent layer."""
        settings = decoder.config
        self.clip_norm, self.normalize = config.clip_norm, settings.normalize
        (channels,) = decoder.feature_shape
        self.model = CaptioningRNN(
            channels,
            decoder.vocabulary_size,
            cell=settings.cell,
            embedding=settings.embedding_size,
            units=settings.units,
            pad=PAD,
        )
        cell, words = decoder.recurrent.layers[0].cell, decoder.words
        self._of_decoder = {
            "picture_w": decoder.picture.kernel,
            "picture_b": decoder.picture.bias,
            "embedding": words.embedding.embeddings,
            "kernel": cell.kernel,
            "recurrent_kernel": cell.recurrent_kernel,
            "bias": cell.bias,
            "vocabulary_w": words.output_layer.kernel,
            "vocabulary_b": words.output_layer.bias,
        }
        self.optimizer = (
            NumpySGD(config.learning_rate, config.momentum)
            if config.optimizer == "sgd"
            else NumpyAdam(config.learning_rate)
        )
        self._running = [  # the optimizer's running means of gradients: name -> variable
            {name: keras.Variable(ops.zeros(variable.shape)) for name, variable in self._of_decoder.items()}
            for _ in self._means()
        ]
        self._steps = keras.Variable(0, dtype="int64")
        running = [variable for variables in self._running for variable in variables.values()]
        self.variables = [*decoder.variables, *running, self._steps]
        self.restore()

    def _means(self) -> list[Weights]:
        optimizer = self.optimizer
        return [optimizer.velocity] if isinstance(optimizer, NumpySGD) else [optimizer.first, optimizer.second]

    def restore(self) -> None:
        """Load the network's weights and the optimizer's arrays from the variables."""
        for name, variable in self._of_decoder.items():
            self.model.weights[name] = ops.convert_to_numpy(variable).copy()
        for means, variables in zip(self._means(), self._running, strict=True):
            means.update({name: ops.convert_to_numpy(variable).copy() for name, variable in variables.items()})
        if not isinstance(self.optimizer, NumpySGD):
            self.optimizer.steps = int(self._steps.numpy())

    def keep(self) -> None:
        """Store the network's weights in the decoder and the optimizer's arrays in the variables."""
        for name, variable in self._of_decoder.items():
            variable.assign(self.model.weights[name])
        for means, variables in zip(self._means(), self._running, strict=True):
            for name, variable in variables.items():
                variable.assign(means[name])
        if not isinstance(self.optimizer, NumpySGD):
            self._steps.assign(self.optimizer.steps)

    def learn(self, batch: Batch) -> float:
        """Take an optimizer step on a batch; return the loss before the step, in nats per real word."""
        pictures, captions, time = batch.tokens.shape
        following = np.full(batch.tokens.size, PAD)
        real = batch.weights > 0
        following[batch.positions[real]] = batch.targets[real]
        rows = (pictures * captions, time)
        tokens = np.concatenate([batch.tokens.reshape(rows)[:, :1], following.reshape(rows)], axis=1)  # (N, T + 1)
        features = ops.convert_to_numpy(normalized(batch.features)) if self.normalize else batch.features
        loss, gradients = self.model.loss(np.repeat(features, captions, axis=0), tokens)
        if self.clip_norm is not None:
            clip_by_global_norm(gradients, self.clip_norm)
        self.optimizer.update(self.model.weights, gradients)
        return loss


def _spell(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def fit(
    decoder: CaptionDecoder,
    batches: CaptionBatches,
    score: Score,
    config: TrainConfig,
    folder: Path,
    *,
    identity: str,
    resume: bool = False,
) -> TrainingState:
    """Train `decoder`, an InitInjectDecoder, through its NumPy twin; see captioner.training.fit.fit.

    Raises:
        DataError: the checkpoint cannot be resumed from, or the loss is not a number.
    """
    twin = Twin(decoder, config)
    batches.start_at(0)
    steps = len(batches)
    progress = TrainingState()
    if resume:
        progress = load_checkpoint(folder, twin.variables, identity)
        twin.restore()
        log_resumed(progress, config.epochs, steps)
    end = EpochEnd(decoder, twin.optimizer, config, progress, score, twin.variables, folder, identity)
    line, pace = EpochProgress(steps, config.epochs, progress), Pace(progress, config)
    while progress.epoch < config.epochs and not end.exhausted():
        batches.start_at(progress.epoch, progress.step)
        line.on_epoch_begin(progress.epoch)
        pace.begin()
        total = progress.loss[0] if progress.loss else 0.0
        for index in range(len(batches)):
            total += twin.learn(batches.batch(index))
            line.on_train_batch_end(index)
            pace.count()
            if pace.out_of_time():
                break
            if pace.due():
                twin.keep()
                progress.loss = [total]
                end.save()
        line.on_epoch_end(progress.epoch)
        twin.keep()
        end.finish(total / progress.step, progress.seconds)
    end.restore_best()
    return progress
