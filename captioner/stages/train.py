"""Train a captioner from captions and features into a run folder."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras

from captioner.captioner import Captioner, load
from captioner.config import ConfigError, dump_yaml, to_settings
from captioner.data.batches import CaptionBatches, Features
from captioner.data.captions import references_of
from captioner.data.dataset import Dataset
from captioner.encoders.tail import build_tail
from captioner.locks import hold
from captioner.memory import collector_passes_over
from captioner.metrics.alarms import Health
from captioner.metrics.labels import describe
from captioner.metrics.scorer import score
from captioner.models.architectures import build_decoder
from captioner.models.decoder import CaptionDecoder
from captioner.models.fine_tuned import FineTunedDecoder
from captioner.recipe import Recipe
from captioner.run_folder import (
    CAPTIONER,
    CHECKPOINTS,
    CONFIG,
    HISTORY,
    NEXT,
    VOCABULARY,
    require_free,
    settle,
    state_of,
    workplace,
)
from captioner.stages.inputs import Inputs, as_training_sees, make_batches
from captioner.stages.resume import add_epochs, adds_epochs, differences, is_complete, require_checkpoints
from captioner.stages.similar import similar_pictures
from captioner.stages.training_inputs import TrainingInputs, prepare
from captioner.stages.trust import calibrate
from captioner.storage import DataError, digest_file, write_manifest, write_text
from captioner.table import to_csv
from captioner.training import fit, numpy_fit
from captioner.training.advice import FEW, about_captions, about_data, describe_beside
from captioner.training.baseline import nearest_captions
from captioner.training.begin_from import begin_from
from captioner.training.best_epoch import DIGITS
from captioner.training.board import require_tensorboard
from captioner.training.checkpoint import START_AGAIN, OtherRunError, TrainingState, require_identity
from captioner.training.config import TrainConfig
from captioner.training.dev_score import DevScore
from captioner.training.device import Wanted, describe_device, resolve_precision
from captioner.training.familiarity import Familiarity
from captioner.training.initial_weights import initialize_embeddings
from captioner.training.seen_features import SeenFeatures
from captioner.training.self_critical import fit_self_critical

logger = logging.getLogger(__name__)


def train(
    folder: Path, recipe: Recipe, *, data: Dataset | None = None, resume: bool = False, overwrite: bool = False
) -> TrainingState:
    """Train a captioner into a run folder: config.yaml, vocabulary.json, captioner.keras, history.csv, manifest.json.

    Args:
        folder: the run folder.
        recipe: the settings of the run.
        data: the recipe's data set, if it has been read already.
        resume: continue an unfinished run.
        overwrite: replace the folder's content; a finished run is replaced only when the new one is complete.

    Raises:
        DataError: the folder is in use, an input is missing or broken, or the inputs do not fit together.
        ConfigError: the model does not suit the features.
    """
    with hold(folder):
        require_free(folder, resume, overwrite)
        if resume and is_complete(folder, recipe):
            return TrainingState()
        return _train(folder, recipe, data, resume, overwrite)


def _train(folder: Path, recipe: Recipe, data: Dataset | None, resume: bool, overwrite: bool) -> TrainingState:
    if recipe.train.engine == "numpy":
        numpy_fit.require_plain(recipe.model, recipe.train)
    require_tensorboard(recipe.train.tensorboard)
    started = time.monotonic()
    prepared = prepare(recipe, data or Dataset(recipe.data))
    with collector_passes_over():  # the captions as numbers are millions of objects
        return _train_on(prepared, folder, recipe, resume, overwrite, started)


def _train_on(
    prepared: TrainingInputs, folder: Path, recipe: Recipe, resume: bool, overwrite: bool, started: float
) -> TrainingState:
    resume = resumes(folder, recipe, prepared, resume, overwrite)
    decoder = new_decoder(recipe, prepared)
    place = begin(folder, recipe, prepared, resume, overwrite)
    announce(recipe, prepared, decoder)
    state = _fit(recipe, prepared, decoder, place, resume)
    publish(recipe, prepared, decoder, state, place, started)
    settle(folder)
    logger.info(f"{folder} is ready: captioner evaluate {folder}, captioner predict PICTURE --model {folder}")
    return state


def resumes(folder: Path, recipe: Recipe, prepared: TrainingInputs, resume: bool, overwrite: bool) -> bool:
    """Return whether training continues from a checkpoint.

    Raises:
        DataError: the checkpoint belongs to another run.
    """
    if not resume or overwrite:
        return False
    place = folder
    if adds_epochs(folder):
        require_checkpoints(folder)
    else:
        place = folder / NEXT if state_of(folder) == "finished" else folder
        if state_of(place) != "unfinished":
            return False
    try:
        require_identity(place / CHECKPOINTS, prepared.identity)
    except OtherRunError as error:
        different = differences(place, recipe) or "its captions or its features"
        raise DataError(f"{error.path}: {error.fault}: {different}; {START_AGAIN}") from None
    return True


def begin(folder: Path, recipe: Recipe, prepared: TrainingInputs, resume: bool, overwrite: bool) -> Path:
    """Prepare the folder that the run is written to, write its recipe and vocabulary, and return the folder."""
    if resume and adds_epochs(folder):
        add_epochs(folder)
    place = workplace(folder, resume, overwrite)
    write_text(place / CONFIG, dump_yaml(to_settings(recipe)))
    prepared.vocabulary.save(place / VOCABULARY)
    return place


def new_decoder(recipe: Recipe, prepared: TrainingInputs) -> CaptionDecoder:
    """Return the decoder with its initial weights."""
    path = recipe.train.begin_from
    begun = None if path is None else load(path)
    keras.utils.set_random_seed(recipe.train.seed)
    decoder = build(recipe, prepared, precision=recipe.train.precision)
    if begun is None:
        initialize_embeddings(decoder, prepared.vocabulary, _flat(prepared.training))
    else:
        begin_from(str(path), begun.decoder, begun.vocabulary, decoder, prepared.vocabulary)
    return decoder


def _flat(encoded: Mapping[str, list[list[int]]]) -> Sequence[list[int]]:
    return [caption for picture in encoded.values() for caption in picture]


def build(recipe: Recipe, prepared: TrainingInputs, precision: Wanted) -> CaptionDecoder:
    """Return a decoder for the features, on top of the encoder's layers that the recipe trains, if any."""
    policy = "mixed_bfloat16" if resolve_precision(precision) == "bfloat16" else "float32"
    if recipe.encoder.trained_to is None:
        return build_decoder(recipe.model, len(prepared.vocabulary), prepared.features.shape, dtype=policy)
    tail = build_tail(recipe.encoder)
    rows, columns, channels = tail.output_shape[1:]
    decoder = build_decoder(recipe.model, len(prepared.vocabulary), (rows * columns, channels), dtype=policy)
    return FineTunedDecoder(decoder, tail, dtype=policy)


def announce(recipe: Recipe, prepared: TrainingInputs, decoder: CaptionDecoder) -> None:
    """Log the model, the device and the data."""
    logger.info(describe_device(resolve_precision(recipe.train.precision)))
    logger.info(
        f"training on {len(prepared.training)} pictures with {len(_flat(prepared.training))} captions, "
        f"{len(prepared.vocabulary)} words, {decoder.count_params():,} weights"
    )
    if recipe.train.monitor == "cider_d" and len(prepared.captions.split("dev")) == 1:
        logger.warning("CIDEr-D of a single dev picture is always 0; the best epoch is chosen by the dev loss")


def dev_score(
    recipe: Recipe, prepared: TrainingInputs, decoder: CaptionDecoder, features: Features, **limits: Any
) -> DevScore:
    """Return a DevScore that scores a decoder on the dev split; `limits` are its `pictures` and `examples`."""
    captions, dev, monitor = prepared.captions, prepared.dev, recipe.train.monitor
    return DevScore(decoder, prepared.vocabulary, features, captions, dev, recipe.generation, monitor, **limits)


def _fit(
    recipe: Recipe, prepared: TrainingInputs, decoder: CaptionDecoder, folder: Path, resume: bool
) -> TrainingState:
    """Train the decoder and leave it with its best weights."""
    config = recipe.train
    trained, seen, of_encoder = _what_is_trained(decoder, prepared, config)
    shown = as_training_sees(recipe, prepared.words, prepared.features, seen, decoder)
    batches: Any = make_batches(shown, prepared.training, config)
    for note in about_data(
        len(prepared.training), len(prepared.captions.split("dev")), batches.batch_size, batches.passes
    ):
        logger.warning(note)
    scores = dev_score(recipe, prepared, trained, seen, pictures=config.score_pictures)
    common = (trained, batches, scores, config, folder / CHECKPOINTS)
    running: dict[str, Any] = {"identity": prepared.identity, "resume": resume}
    if config.engine == "numpy":
        return numpy_fit.fit(*common, **running)
    if config.self_critical is None:
        return fit.fit(*common, of_encoder=of_encoder, **running)
    if not isinstance(batches, CaptionBatches):
        raise ConfigError("train.self_critical: needs a feature file; set data.source to files")
    running |= {"vocabulary": prepared.vocabulary, "references": prepared.words}
    return fit_self_critical(*common, max_length=recipe.generation.max_length, of_encoder=of_encoder, **running)


def _what_is_trained(
    decoder: CaptionDecoder, prepared: TrainingInputs, config: TrainConfig
) -> tuple[CaptionDecoder, Inputs | SeenFeatures, Sequence[keras.Variable]]:
    """Return the model to train, the features that it reads, and those of its weights that belong to an encoder."""
    if not isinstance(decoder, FineTunedDecoder):
        return decoder, prepared.features, ()
    if config.encoder_rate:
        return decoder, prepared.features, decoder.tail.trainable_variables
    ids = [*prepared.training, *prepared.dev]
    logger.info(
        f"train.encoder_rate is 0: the encoder layers stay fixed; computing their output for {len(ids):,} pictures once"
    )
    return decoder.decoder, SeenFeatures(decoder, prepared.features, ids), ()


def _report(prepared: TrainingInputs, state: TrainingState, best: Mapping[str, float], looks: Health) -> None:
    """Log the best epoch's scores, with notes about them."""
    captions, dev = prepared.captions, prepared.captions.split("dev")
    shown = {name: best[name] for name in ("bleu_1", "bleu_4", "cider_d")}
    logger.info(f"best epoch {state.best_epoch}: {describe(shown)} on dev")
    for note in looks.alarms() or about_captions(best, len(dev)):
        logger.warning(note)
    if len(prepared.training) < FEW:
        neighbours = nearest_captions(prepared.features, captions.references, list(prepared.training), dev)
        copied = score(neighbours, references_of(captions, dev), ("cider",)).corpus["cider_d"]
        logger.info(describe_beside(looks.cider_d, copied, looks.shuffled))


def _here(folder: Path) -> dict[str, str]:
    """Return the current folder, which the run's paths are relative to, as an absolute path and relative to the run."""
    here, run = Path().resolve(), (folder.parent if folder.name == NEXT else folder).resolve()
    return {"folder": str(here), "from_run": os.path.relpath(here, run)}


def _scores_of(
    final: CaptionDecoder, state: TrainingState, recipe: Recipe, prepared: TrainingInputs
) -> Mapping[str, float]:
    """Return the best epoch's row, with the scores of the saved decoder on the whole dev split."""
    best, config = state.history[state.best_epoch - 1], recipe.train
    partial = config.score_pictures is not None or "cider_d" not in best
    if not partial and resolve_precision(config.precision) == "float32":
        return best
    # The saved model computes in float32; its scores differ slightly from those in bfloat16.
    scores = dev_score(recipe, prepared, final, prepared.features, examples=0)()
    return {**best, **{name: round(value, DIGITS) for name, value in scores.items()}}


def publish(
    recipe: Recipe,
    prepared: TrainingInputs,
    decoder: CaptionDecoder,
    state: TrainingState,
    folder: Path,
    started: float,
) -> None:
    """Write the captioner, the history and finally the manifest."""
    final = build(recipe, prepared, precision="float32")
    final.set_weights(decoder.get_weights())
    best = _scores_of(final, state, recipe, prepared)
    encoder = prepared.features.description
    captioner = Captioner(final, prepared.vocabulary, encoder, recipe.generation)
    captioner.familiarity = Familiarity.of(prepared.features, list(prepared.training))
    captioner.similar = similar_pictures(captioner, prepared, recipe.train.keep_captions)
    looks = calibrate(captioner, prepared.captions, prepared.features)
    captioner.save_to(folder / CAPTIONER)
    names = max(map(list, state.history), key=len)  # epochs without scored captions have fewer names
    write_text(folder / HISTORY, to_csv(names, ([row.get(name, "") for name in names] for row in state.history)))
    write_manifest(
        folder,
        "train",
        identity=prepared.identity,
        encoder=encoder,
        **prepared.inputs,
        vocabulary=prepared.vocabulary.digest,
        captioner=digest_file(folder / CAPTIONER),
        best=best,
        seconds=round(time.monotonic() - started, 1),
        trained_in=_here(folder),
    )
    _report(prepared, state, best, looks)
