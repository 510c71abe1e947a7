"""Average the weights of several trained captioners into one."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from captioner.captioner import Captioner, load
from captioner.data.dataset import Dataset
from captioner.encoders.config import differences
from captioner.locks import hold
from captioner.models.architectures import differing_settings
from captioner.models.decoder import CaptionDecoder
from captioner.recipe import read_run
from captioner.run_folder import CAPTIONER, require_free, settle
from captioner.stages.train import begin, dev_score, publish
from captioner.stages.training_inputs import prepare
from captioner.storage import DataError, digest_file, digest_json
from captioner.training.best_epoch import DIGITS
from captioner.training.checkpoint import TrainingState

logger = logging.getLogger(__name__)


def average(folder: Path, runs: Sequence[Path], assignments: Sequence[str] = (), *, overwrite: bool = False) -> None:
    """Write a run folder with a captioner whose weights are the mean of several runs' weights (Wortsman et al. 2022).

    "Model soups: averaging weights of multiple fine-tuned models improves accuracy without increasing inference time".
    If the runs began from the same weights, their mean often captions better than each of them, and is as fast as one.

    Args:
        folder: the new run folder. It gets the first run's recipe, whose dev split is used to score the mean and to fit
            its confidence.
        runs: at least two finished runs with the same architecture, vocabulary and encoder.
        assignments: changes of the first run's generation settings, such as `generation.beam_size=10`.
        overwrite: replace the run in the folder.

    Raises:
        DataError: the folder is in use, or the runs do not match.
        ConfigError, DataError: as captioner.stages.train.train, for the first run's inputs.
    """
    with hold(folder):
        require_free(folder, resume=False, overwrite=overwrite)
        started = time.monotonic()
        mean = _mean(runs)
        decoder, recipe = mean.decoder, read_run(runs[0], assignments)
        members = [digest_file(run / CAPTIONER) for run in runs]
        # The weights belong to the runs' vocabulary, even if the captions have changed since.
        prepared = prepare(recipe, Dataset(recipe.data), mean.vocabulary, digest_json({"averaged": members}))
        prepared = replace(prepared, inputs={**prepared.inputs, "averaged": members})
        place = begin(folder, recipe, prepared, resume=False, overwrite=overwrite)
        logger.info(f"scoring the average of {len(runs)} runs on dev")
        scores = dev_score(recipe, prepared, decoder, prepared.features, examples=0)()
        row = {"epoch": 1, **{name: round(value, DIGITS) for name, value in scores.items()}}
        publish(recipe, prepared, decoder, TrainingState(epoch=1, best_epoch=1, history=[row]), place, started)
        settle(folder)
    logger.info(f"{folder} is ready: captioner evaluate {folder}, captioner predict PICTURE --model {folder}")


def _mean(runs: Sequence[Path]) -> Captioner:
    """Return the first run's captioner with the mean of all runs' weights."""
    first = load(runs[0])
    total = [np.asarray(weight, np.float64) for weight in first.decoder.get_weights()]
    for run in runs[1:]:
        other = load(run)
        _require_alike(runs[0], first, run, other)
        for place, weight in enumerate(other.decoder.get_weights()):
            total[place] += weight
    dtypes = [weight.dtype for weight in first.decoder.get_weights()]
    first.decoder.set_weights(
        [np.asarray(weight / len(runs), dtype) for weight, dtype in zip(total, dtypes, strict=True)]
    )
    return first


def _require_alike(one: Path, first: Captioner, another: Path, other: Captioner) -> None:
    """Refuse captioners whose weights are not comparable. Raises DataError, which names both and the difference."""
    unlike = None
    if first.vocabulary.digest != other.vocabulary.digest:
        unlike = f"vocabularies of {len(first.vocabulary)} and {len(other.vocabulary)} words"
    elif found := differences(first.encoder_description or {}, other.encoder_description or {}):
        unlike = f"encoders ({'; '.join(found)})"
    elif _layout(first.decoder) != _layout(other.decoder):
        unlike = (
            f"decoders: a {type(first.decoder).__name__} with {first.decoder.count_params():,} weights and a "
            f"{type(other.decoder).__name__} with {other.decoder.count_params():,}"
        )
    elif found := differing_settings(first.decoder, other.decoder):
        unlike = f"model settings ({', '.join(found)})"
    if unlike is not None:
        raise DataError(f"{one} and {another} have different {unlike}; average runs that began from the same weights")


def _layout(decoder: CaptionDecoder) -> list[tuple[str, tuple[int, ...]]]:
    return [(weight.name, tuple(weight.shape)) for weight in decoder.weights]
