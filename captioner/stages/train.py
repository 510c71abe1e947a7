"""One training run: from captions and features to a run folder."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from captioner.captioner import Captioner
from captioner.config import dump_yaml, to_settings
from captioner.data.batches import TrainingBatches
from captioner.data.captions import Captions, references_of
from captioner.data.dataset import Dataset
from captioner.data.training_text import training_text
from captioner.data.unreadable import without_unreadable
from captioner.features.store import FeatureStore
from captioner.locks import hold
from captioner.metrics.alarms import Health
from captioner.metrics.labels import describe
from captioner.metrics.scorer import score
from captioner.models.architectures import build_decoder
from captioner.models.config import model_config
from captioner.models.decoder import CaptionDecoder
from captioner.recipe import Recipe, read_run
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
from captioner.stages.inputs import Inputs, make_batches, open_inputs
from captioner.stages.trust import calibrate
from captioner.storage import digest_file, digest_json, read_manifest, write_manifest, write_text
from captioner.table import to_csv
from captioner.text.vocabulary import Vocabulary
from captioner.training import fit, numpy_fit
from captioner.training.advice import FEW, about_captions, about_data, describe_beside
from captioner.training.baseline import nearest_captions
from captioner.training.checkpoint import TrainingState, require_identity
from captioner.training.checks import require_encoder, require_features, require_finite
from captioner.training.dev_score import DevScore
from captioner.training.device import describe_device
from captioner.training.initial_weights import initialize_embeddings
from captioner.training.losses import CaptionLoss

logger = logging.getLogger(__name__)

ENGINES: dict[str, Callable[..., TrainingState]] = {"keras": fit.fit, "numpy": numpy_fit.fit}
SPLITS = ("train", "dev")


@dataclass(frozen=True)
class TrainingInputs:
    """What a run is trained on.

    Attributes:
        captions: the raw captions of both splits.
        features: of their pictures.
        vocabulary: fitted on the training captions.
        training, dev: image_id -> the captions as numbers.
        inputs: what the run's manifest holds about its inputs, see `inputs_of`.
        identity: digest of settings and data; a checkpoint of another one is not continued.
    """

    captions: Captions
    features: Inputs
    vocabulary: Vocabulary
    training: Mapping[str, list[list[int]]]
    dev: Mapping[str, list[list[int]]]
    inputs: Mapping[str, Any]
    identity: str


def train(
    folder: Path, recipe: Recipe, *, data: Dataset | None = None, resume: bool = False, overwrite: bool = False
) -> TrainingState:
    """Train a captioner into a run folder: config.yaml, vocabulary.json, captioner.keras, history.csv, manifest.json.

    Args:
        folder: the run folder.
        recipe: what is trained, on what and how.
        data: the recipe's data set, where it has been read already.
        resume: continue an unfinished run.
        overwrite: replace what is in the folder; a finished run only when the new one is complete.

    Raises:
        DataError: the folder is in use, an input is missing or broken, or the inputs do not fit together.
        ConfigError: the model does not suit the features.
    """
    with hold(folder):
        require_free(folder, resume, overwrite)
        return _train(folder, recipe, data, resume, overwrite)


def _train(folder: Path, recipe: Recipe, data: Dataset | None, resume: bool, overwrite: bool) -> TrainingState:
    if recipe.train.engine == "numpy":
        numpy_fit.require_plain(recipe.model, recipe.train)
    started = time.monotonic()
    prepared = _prepare(recipe, data or Dataset(recipe.data))
    place = folder / NEXT if state_of(folder) == "finished" else folder
    resume = resume and not overwrite and state_of(place) == "unfinished"
    if resume:
        require_identity(place / CHECKPOINTS, prepared.identity)
    decoder = _new_decoder(recipe, prepared)
    place = workplace(folder, resume, overwrite)
    write_text(place / CONFIG, dump_yaml(to_settings(recipe)))
    prepared.vocabulary.save(place / VOCABULARY)
    _announce(recipe, prepared, decoder)
    state = _fit(recipe, prepared, decoder, place, resume)
    _publish(recipe, prepared, decoder, state, place, started)
    settle(folder)
    logger.info(f"{folder} is ready: captioner evaluate {folder}, captioner predict PICTURE --model {folder}")
    return state


def inputs_of(data: Dataset, features: Inputs) -> dict[str, Any]:
    """Return what a run's manifest holds about its inputs; `differences` compares the same."""
    return {
        "features": {"path": str(features.path), "digest": features.digest},
        "captions": {"path": data.config.captions, "digest": data.digest},
        "splits": {name: digest for name, digest in data.split_digests().items() if name in SPLITS},
    }


def is_up_to_date(folder: Path, recipe: Recipe, data: Dataset | None = None) -> bool:
    """Return whether the run in `folder` is finished, and was trained as the recipe says on the files as they are."""
    return state_of(folder) == "finished" and not differences(folder, recipe, data)


def differences(folder: Path, recipe: Recipe, data: Dataset | None = None) -> list[str]:
    """Return in what the finished run in `folder` differs from what the recipe would train, an entry each.

    Raises:
        DataError: a file is missing.
    """
    trained, wanted = _expanded(read_run(folder)), _expanded(recipe)
    found = []
    for section in ("data", "text", "model", "train", "generation"):
        old, new = trained[section], wanted[section]
        for key in sorted({*old, *new}):
            if old.get(key) != new.get(key):
                found.append(f"{section}.{key}: {old.get(key)} then, {new.get(key)} now")
    then = _digests(read_manifest(folder) or {})
    features = open_inputs(recipe.data, recipe.features, recipe.encoder, recipe.features_layout)
    now = _digests(inputs_of(data or Dataset(recipe.data), features))
    for name, digest in then.items():
        new_digest = now.get(name) or "nothing"
        if digest is not None and digest != new_digest:
            found.append(f"the content of {name}: {digest[:12]} then, {new_digest[:12]} now")
    return found


def _digests(inputs: Mapping[str, Any]) -> dict[str, str | None]:
    """Return name -> digest of the inputs of a manifest."""
    return {
        "the features file": inputs.get("features", {}).get("digest"),
        "the captions file": inputs.get("captions", {}).get("digest"),
        **{f"the {name} list": digest for name, digest in inputs.get("splits", {}).items()},
    }


def _expanded(recipe: Recipe) -> dict[str, Any]:
    """Return a recipe's settings with the model's defaults written out, so that leaving one out is no difference."""
    name, config = model_config(recipe.model)
    return {**to_settings(recipe), "model": {"architecture": name, **to_settings(config)}}


def _prepare(recipe: Recipe, data: Dataset) -> TrainingInputs:
    """Read and check the inputs, and turn the captions into numbers."""
    captions = data.load(SPLITS)
    features = open_inputs(recipe.data, recipe.features, recipe.encoder, recipe.features_layout)
    require_encoder(features, recipe.encoder)
    if isinstance(features, FeatureStore):
        captions = without_unreadable(captions, [features], recipe.data.max_unreadable)
        require_features(features, captions)
        require_finite(features, captions)
    text = training_text(data, captions, SPLITS, recipe.text.rules)
    training, dev = ({i: text[i] for i in captions.split(name) if i in text} for name in SPLITS)
    training = dict(list(training.items())[: recipe.data.limit])
    vocabulary = Vocabulary.fit((caption for picture in training.values() for caption in picture), recipe.text)
    encoded = vocabulary.encode_all(training)
    return TrainingInputs(
        captions=captions,
        features=features,
        vocabulary=vocabulary,
        training=encoded,
        dev=vocabulary.encode_all(dev),
        inputs=inputs_of(data, features),
        identity=_identity(recipe, features, encoded),
    )


def _identity(recipe: Recipe, features: Inputs, encoded: Mapping[str, list[list[int]]]) -> str:
    """Return a digest of what makes a run what it is; more epochs change it only where the schedule counts them."""
    config = to_settings(recipe.train)
    for name in ("max_minutes", "checkpoint_minutes", "checkpoint_steps"):
        del config[name]
    if not (config["schedule"] == "cosine" or config["warmup"] or config["scheduled_sampling"]):
        del config["epochs"], config["patience"]
    generation = to_settings(recipe.generation)
    name, model = model_config(recipe.model)
    architecture = {"architecture": name, **to_settings(model)}
    parts = {"train": config, "model": architecture, "generation": generation, "features": features.digest}
    return digest_json({**parts, "captions": encoded})


def _new_decoder(recipe: Recipe, prepared: TrainingInputs) -> CaptionDecoder:
    """Return the decoder with its first weights."""
    keras.utils.set_random_seed(recipe.train.seed)
    decoder = _build(recipe, prepared, precision=recipe.train.precision)
    initialize_embeddings(decoder, prepared.vocabulary, _flat(prepared.training))
    return decoder


def _flat(encoded: Mapping[str, list[list[int]]]) -> Sequence[list[int]]:
    return [caption for picture in encoded.values() for caption in picture]


def _build(recipe: Recipe, prepared: TrainingInputs, precision: str) -> CaptionDecoder:
    policy = "mixed_bfloat16" if precision == "bfloat16" else "float32"
    return build_decoder(recipe.model, len(prepared.vocabulary), prepared.features.shape, dtype=policy)


def _announce(recipe: Recipe, prepared: TrainingInputs, decoder: CaptionDecoder) -> None:
    logger.info(describe_device(recipe.train.precision))
    logger.info(
        f"training on {len(prepared.training)} pictures with {len(_flat(prepared.training))} captions, "
        f"{len(prepared.vocabulary)} words, {decoder.count_params():,} weights"
    )
    batches, dev = _batches(recipe, prepared), len(prepared.captions.split("dev"))
    for note in about_data(len(prepared.training), dev, batches.batch_size, batches.passes):
        logger.warning(note)
    if recipe.train.monitor == "cider_d" and dev == 1:
        logger.warning("CIDEr-D of a single dev picture is always 0, so the dev loss chooses the best epoch")


def _batches(recipe: Recipe, prepared: TrainingInputs) -> TrainingBatches:
    return make_batches(prepared.features, prepared.training, recipe.train)


def _dev_score(recipe: Recipe, prepared: TrainingInputs, decoder: CaptionDecoder) -> DevScore:
    features, captions, dev = prepared.features, prepared.captions, prepared.dev
    return DevScore(decoder, prepared.vocabulary, features, captions, dev, recipe.generation, recipe.train.monitor)


def _fit(
    recipe: Recipe, prepared: TrainingInputs, decoder: CaptionDecoder, folder: Path, resume: bool
) -> TrainingState:
    """Train the decoder, which then has its best weights."""
    return ENGINES[recipe.train.engine](
        decoder,
        _batches(recipe, prepared),
        _dev_score(recipe, prepared, decoder),
        recipe.train,
        folder / CHECKPOINTS,
        identity=prepared.identity,
        resume=resume,
    )


def _report(prepared: TrainingInputs, state: TrainingState, best: Mapping[str, float], looks: Health) -> None:
    """Log the best epoch's scores and what they mean."""
    captions, dev = prepared.captions, prepared.captions.split("dev")
    shown = {name: best[name] for name in ("bleu_1", "bleu_4", "cider_d")}
    logger.info(f"best epoch {state.best_epoch}: {describe(shown)} on dev")
    for note in looks.alarms() or about_captions(best, len(dev)):
        logger.warning(note)
    if len(prepared.training) < FEW:
        neighbours = nearest_captions(prepared.features, captions.references, list(prepared.training), dev)
        logger.info(describe_beside(best, score(neighbours, references_of(captions, dev)).corpus))


def _publish(
    recipe: Recipe,
    prepared: TrainingInputs,
    decoder: CaptionDecoder,
    state: TrainingState,
    folder: Path,
    started: float,
) -> None:
    """Write the captioner, the history and, last, the manifest."""
    final = _build(recipe, prepared, precision="float32")
    final.set_weights(decoder.get_weights())
    best = state.history[state.best_epoch - 1]
    if recipe.train.precision != "float32":  # what is saved computes in float32, and its scores differ a little
        scored = _build(recipe, prepared, precision="float32")  # a copy: a compiled model would save an optimizer
        scored.set_weights(decoder.get_weights())
        scored.compile(loss=CaptionLoss(recipe.train.label_smoothing))
        scores = _dev_score(recipe, prepared, scored)()
        best = {**best, **{name: round(value, 6) for name, value in scores.items()}}
    encoder = prepared.features.description
    captioner = Captioner(final, prepared.vocabulary, encoder, recipe.generation)
    looks = calibrate(captioner, prepared.captions, prepared.features)
    captioner.save_to(folder / CAPTIONER)
    names = list(state.history[0])
    write_text(folder / HISTORY, to_csv(names, ([row[name] for name in names] for row in state.history)))
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
    )
    _report(prepared, state, best, looks)
