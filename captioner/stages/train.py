"""One training run: from captions and features to a run folder."""

from __future__ import annotations

import csv
import io
import logging
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from captioner.captioner import FILE_NAME, Captioner
from captioner.config import dump_yaml, to_settings
from captioner.data.batches import CaptionBatches
from captioner.data.captions import Captions
from captioner.data.dataset import DataConfig, load_captions, split_digests
from captioner.data.readers.detect import digest_captions
from captioner.data.training_text import training_text
from captioner.encoders.config import EncoderConfig
from captioner.features.store import FeatureStore, open_features
from captioner.generation.config import GenerationConfig
from captioner.metrics.labels import describe
from captioner.metrics.scorer import score
from captioner.models.architectures import build_decoder
from captioner.models.config import model_config
from captioner.models.decoder import CaptionDecoder
from captioner.stages.evaluate import references_of
from captioner.storage import DataError, digest_file, digest_json, read_manifest, write_manifest, write_text
from captioner.text.vocabulary import TextConfig, Vocabulary
from captioner.training import fit, numpy_fit
from captioner.training.advice import FEW, about_captions, about_data, describe_beside
from captioner.training.baseline import nearest_captions
from captioner.training.checkpoint import CHECKPOINT, TrainingState, require_identity
from captioner.training.config import TrainConfig
from captioner.training.dev_score import DevScore
from captioner.training.device import describe_device
from captioner.training.initial_weights import begin_words
from captioner.training.losses import CaptionLoss

logger = logging.getLogger(__name__)

CHECKPOINTS = "checkpoints"
FEATURES_AT_ONCE = 256  # pictures whose features are held in memory at a time
ENGINES = {"keras": fit.fit, "numpy": numpy_fit.fit}


@dataclass(frozen=True)
class Sections:
    """The sections of a recipe that a training run reads.

    Attributes:
        data: captions and splits.
        features: the feature file.
        encoder: the encoder that is to have made it.
        text: how captions become words.
        model: the architecture and its settings.
        train: how it is trained.
        generation: how the dev captions are generated; the captioner's defaults.
    """

    data: DataConfig
    features: str
    encoder: EncoderConfig
    text: TextConfig
    model: Mapping[str, Any]
    train: TrainConfig
    generation: GenerationConfig


def state_of(folder: Path) -> str:
    """Return `finished`, `unfinished` or `new`: how far the run in `folder` has come."""
    if read_manifest(folder) if folder.is_dir() else None:
        return "finished"
    return "unfinished" if (folder / CHECKPOINTS / CHECKPOINT).is_file() else "new"


def train(
    folder: Path,
    sections: Sections,
    settings: Mapping[str, Any],
    *,
    resume: bool = False,
    overwrite: bool = False,
) -> TrainingState:
    """Train a captioner into a run folder: config.yaml, vocabulary.json, captioner.keras, history.csv, manifest.json.

    Args:
        folder: the run folder.
        sections: the recipe's sections.
        settings: the whole recipe as plain values, kept in config.yaml.
        resume: go on with an unfinished run.
        overwrite: throw away what is in the folder.

    Raises:
        DataError: the folder is in use, an input is missing or broken, or the inputs do not fit together.
        ConfigError: the model does not suit the features.
    """
    _require_free(folder, resume, overwrite)
    if sections.train.engine == "numpy":
        numpy_fit.require_plain(sections.model, sections.train)
    started = time.monotonic()
    captions = load_captions(sections.data, ("train", "dev"))
    features = open_features(sections.features)
    _require_encoder(features, sections.encoder)
    _require_features(features, captions)
    _require_numbers(features, captions)
    text = training_text(sections.data, captions, ("train", "dev"), sections.text.rules)
    training = {image_id: text[image_id] for image_id in captions.split("train") if image_id in text}
    vocabulary = Vocabulary.fit((caption for picture in training.values() for caption in picture), sections.text)
    encoded = vocabulary.encode_all(training)
    dev = {image_id: text[image_id] for image_id in captions.split("dev") if image_id in text}
    identity = _identity(sections, features, encoded)
    resume = resume and not overwrite and state_of(folder) == "unfinished"
    if resume:
        require_identity(folder / CHECKPOINTS / CHECKPOINT, identity)
    inputs = {
        "features": {"path": str(features.path), "digest": features.digest},
        "captions": {"path": sections.data.captions, "digest": digest_captions(sections.data.captions)},
        "splits": {name: digest for name, digest in split_digests(sections.data).items() if name in ("train", "dev")},
    }
    keras.utils.set_random_seed(sections.train.seed)
    decoder = _make_decoder(sections, vocabulary, features, precision=sections.train.precision)
    begin_words(decoder, vocabulary, (caption for picture in encoded.values() for caption in picture))
    batches = _batches(sections.train, features, encoded)
    if overwrite:
        _clear(folder)
    write_text(folder / "config.yaml", dump_yaml(settings))
    vocabulary.save(folder / "vocabulary.json")
    logger.info(describe_device(sections.train.precision))
    logger.info(
        f"training on {len(encoded)} pictures with {sum(map(len, encoded.values()))} captions, "
        f"{len(vocabulary)} words, {decoder.count_params():,} weights"
    )
    for note in about_data(len(encoded), len(captions.split("dev")), batches.batch_size, batches.passes):
        logger.warning(note)
    if sections.train.monitor == "cider_d" and len(captions.split("dev")) == 1:
        logger.warning("CIDEr-D of a single dev picture is always 0, so the dev loss chooses the best epoch")
    encoded_dev = vocabulary.encode_all(dev)

    def dev_score(scored: CaptionDecoder) -> DevScore:
        generation, monitor = sections.generation, sections.train.monitor
        return DevScore(scored, vocabulary, features, captions, encoded_dev, generation, monitor)

    progress = ENGINES[sections.train.engine](
        decoder,
        batches,
        dev_score(decoder),
        sections.train,
        folder / CHECKPOINTS,
        identity=identity,
        resume=resume,
    )
    best = progress.history[progress.best_epoch - 1]
    final = _make_decoder(sections, vocabulary, features, precision="float32")
    final.set_weights(decoder.get_weights())
    if sections.train.precision != "float32":  # what is saved computes in float32, and its scores differ a little
        final.compile(loss=CaptionLoss(sections.train.label_smoothing))
        best = {**best, **{name: round(value, 6) for name, value in dev_score(final)().items()}}
    Captioner(final, vocabulary, features.description, sections.generation).save_to(folder / FILE_NAME)
    write_text(folder / "history.csv", _table(progress.history))
    write_manifest(
        folder,
        "train",
        identity=identity,
        encoder=features.description,
        **inputs,
        vocabulary=vocabulary.digest,
        captioner=digest_file(folder / FILE_NAME),
        best=best,
        seconds=round(time.monotonic() - started, 1),
    )
    logger.info(
        f"best epoch {progress.best_epoch}: {describe({k: best[k] for k in ('bleu_1', 'bleu_4', 'cider_d')})} on dev"
    )
    for note in about_captions(best, len(captions.split("dev"))):
        logger.warning(note)
    if len(encoded) < FEW:
        neighbours = nearest_captions(features, captions.references, list(encoded), captions.split("dev"))
        logger.info(describe_beside(best, score(neighbours, references_of(captions, captions.split("dev"))).corpus))
    logger.info(f"{folder} is ready: captioner evaluate {folder}, captioner predict PICTURE --model {folder}")
    return progress


def _require_free(folder: Path, resume: bool, overwrite: bool) -> None:
    """Refuse a folder in which something would be lost unasked."""
    state = state_of(folder)
    if state == "finished" and not overwrite:
        raise DataError(f"{folder}: holds a finished run; give another folder, or --overwrite to train it anew")
    if state == "unfinished" and not (resume or overwrite):
        raise DataError(f"{folder}: holds an unfinished run; --resume goes on with it, --overwrite begins anew")


def _clear(folder: Path) -> None:
    """Take a run away, the manifest first: without it nothing counts as finished."""
    for name in ("manifest.json", FILE_NAME, CHECKPOINTS):
        target = folder / name
        if target.is_dir():
            shutil.rmtree(target)
        else:
            target.unlink(missing_ok=True)


def _require_encoder(features: FeatureStore, encoder: EncoderConfig) -> None:
    """Refuse features that another encoder made than the recipe says, where it is known which did."""
    made_by = features.description or {}
    unlike = [
        f"{name}: {made_by[name]} in the file, {wanted} in the recipe"
        for name, wanted in to_settings(encoder).items()
        # `grid` is recorded under the layer's real name, `weights` as a digest.
        if name != "weights" and wanted != "grid" and made_by.get(name, wanted) != wanted
    ]
    if unlike:
        raise DataError(
            f"{features.path}: comes from another encoder ({'; '.join(unlike)}); extract the features anew, "
            "name another file, or change the recipe's encoder"
        )


def _require_features(features: FeatureStore, captions: Captions) -> None:
    """Refuse a feature file that lacks pictures of the splits."""
    for name, ids in captions.splits.items():
        missing = [image_id for image_id in ids if image_id not in features]
        if missing:
            raise DataError(
                f"{features.path}: lacks {len(missing)} of the {len(ids)} pictures of split {name}, the first is "
                f"{missing[0]}; extract them (captioner extract) or take them off the split's list"
            )


def _require_numbers(features: FeatureStore, captions: Captions) -> None:
    """Read all features once: `gather` refuses what is not a number, and that is better known before hours of training.

    Raises:
        DataError: naming the picture.
    """
    for ids in captions.splits.values():
        for start in range(0, len(ids), FEATURES_AT_ONCE):
            features.gather(ids[start : start + FEATURES_AT_ONCE])


def _identity(sections: Sections, features: FeatureStore, encoded: Mapping[str, list[list[int]]]) -> str:
    """Return a digest of what makes a run what it is; more epochs change it only where the schedule counts them."""
    config = to_settings(sections.train)
    if sections.train.schedule != "cosine":
        del config["epochs"], config["patience"]
    generation = to_settings(sections.generation)
    name, model = model_config(sections.model)
    architecture = {"architecture": name, **to_settings(model)}
    parts = {"train": config, "model": architecture, "generation": generation, "features": features.digest}
    return digest_json({**parts, "captions": encoded})


def _batches(config: TrainConfig, features: FeatureStore, encoded: Mapping[str, list[list[int]]]) -> CaptionBatches:
    size = config.batch_size_for(len(encoded))
    return CaptionBatches(features, encoded, size, config.seed, config.least_steps)


def _make_decoder(sections: Sections, vocabulary: Vocabulary, features: FeatureStore, precision: str) -> CaptionDecoder:
    policy = "mixed_bfloat16" if precision == "bfloat16" else "float32"
    return build_decoder(sections.model, len(vocabulary), features.shape, dtype=policy)


def _table(history: list[dict[str, float]]) -> str:
    table = io.StringIO()
    writer = csv.DictWriter(table, list(history[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    return table.getvalue()
