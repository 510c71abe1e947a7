"""An index of a folder's pictures for search by text: their features, and the words that each of them calls up."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from captioner.captioner import Captioner
from captioner.encoders.config import EncoderConfig, differences
from captioner.extraction.config import ExtractionConfig
from captioner.features.store import FeatureStore, open_features
from captioner.generation.likelihood import Likelihood, log_mean_exp
from captioner.images.listing import Pictures, find_pictures
from captioner.progress import Progress
from captioner.stages.extract import extract
from captioner.storage import DataError, atomic_path, digest_json, read_manifest, write_manifest

logger = logging.getLogger(__name__)

SUFFIX = ".captioner-index"  # of the folder that lies beside the pictures' folder
FEATURES, WORDS = "features.h5", "words.npz"
KEPT = 64  # words of a picture
LEAST = 1e-4  # the probability of a word that is not among them
AT_ONCE = 64  # pictures that are captioned together
BACKGROUND = 128  # pictures that log p(text) is estimated on
MAX_LENGTH = 24  # words of a text, its end included


class PictureIndex:
    """The index of one folder.

    Attributes:
        pictures: the folder's pictures, by image_id.
        features: of those that can be read.
        captions: (pictures,) the features' pictures in their order: what the model says of each.
        words: (pictures, KEPT) the numbers of each one's most probable words.
        chances: (pictures, KEPT) their probabilities, float16.
    """

    def __init__(
        self, pictures: Pictures, features: FeatureStore, captions: np.ndarray, words: np.ndarray, chances: np.ndarray
    ) -> None:
        self.pictures, self.features, self.captions = pictures, features, captions
        self.words, self.chances = words, chances

    def __len__(self) -> int:
        return len(self.features)

    def path(self, place: int) -> Path:
        """Return the file of the picture at a place among the features."""
        (found,) = self.pictures.ids.find([self.features.ids[place]])
        return self.pictures.path(int(found))

    def word_scores(self, numbers: Sequence[int]) -> np.ndarray:
        """Return the sum over words of log p(word | picture) - log p(word), (pictures,): the first, cheap stage.

        Args:
            numbers: the text's words, each once.
        """
        total = np.zeros(len(self), np.float32)
        for number in numbers:
            chance = np.where(self.words == number, self.chances.astype(np.float32), 0.0).max(axis=1)
            chance = np.maximum(chance, LEAST)  # (pictures,)
            total += np.log(chance) - np.log(chance.mean())
        return total

    def background(self, seed: int = 0) -> np.ndarray:
        """Return the places of pictures that represent all pictures."""
        places = np.random.default_rng(seed).permutation(len(self))[:BACKGROUND]
        return np.sort(places)


def index_folder(folder: Path) -> Path:
    """Return where the index of a folder of pictures lies."""
    folder = folder.resolve()
    return folder.with_name(folder.name + SUFFIX)


def open_index(
    captioner: Captioner, model: str, folder: Path, place: Path | None = None, config: ExtractionConfig | None = None
) -> PictureIndex:
    """Return the index of a folder, made or brought up to date first: only new and changed pictures are encoded.

    Args:
        captioner: whose encoder and words it is made of.
        model: the captioner's digest; the words of another model are found again.
        folder: of pictures.
        place: of the index; beside the folder otherwise.
        config: how pictures are encoded.

    Raises:
        DataError: no pictures, no place that can be written to, or the captioner's encoder cannot be had.
    """
    pictures = find_pictures(folder)
    place = index_folder(folder) if place is None else place
    features = _features(captioner, pictures, folder, place / FEATURES, config)
    known = _read_words(place / WORDS, model)
    keys = _keys(features)
    if known is not None and known["keys"].tolist() == keys:
        return PictureIndex(pictures, features, known["captions"], known["words"], known["chances"])
    made = _words(captioner, features, keys, known)
    with atomic_path(place / WORDS) as temporary:
        np.savez(temporary, allow_pickle=False, keys=np.array(keys), **made)
    write_manifest(place / WORDS, "index", model=model, pictures=len(keys))
    return PictureIndex(pictures, features, made["captions"], made["words"], made["chances"])


def _features(
    captioner: Captioner, pictures: Pictures, folder: Path, path: Path, config: ExtractionConfig | None
) -> FeatureStore:
    described = captioner.encoder_description
    if described is None:
        captioner.find_encoder()  # says why there is none
        raise DataError("an ensemble has no index of its own; name one model")
    manifest = read_manifest(path) if path.is_file() else None
    if manifest is not None:
        same = not differences(manifest.get("encoder") or {}, described)
        if same and manifest.get("inputs") == pictures.digest():
            return open_features(path)
        if not same:
            logger.warning(f"{path}: is of another encoder and is made again")
    settings = {key: described[key] for key in ("backbone", "layer", "resizing", "filter")}
    encoder = EncoderConfig(**settings, weights=described.get("source", "imagenet"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"{path.parent}: the index cannot be made there ({error.strerror}); name another place with --index"
        ) from None
    extract(folder, path, encoder, config, overwrite=True)
    return open_features(path)


def _keys(features: FeatureStore) -> list[str]:
    """Return what each picture's words were made of: its id and its content."""
    sources = features.sources()
    if sources is None:
        return [f"{name} {features.digest}" for name in features.ids]
    return [f"{name} {bytes(source['digest']).hex()}" for name, source in zip(features.ids, sources, strict=True)]


def _read_words(path: Path, model: str) -> dict[str, np.ndarray] | None:
    """Return the words of an index of the same model, None where there are none that can be used."""
    try:
        manifest = read_manifest(path) if path.is_file() else None
        if manifest is None or manifest.get("model") != model:
            return None
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in ("keys", "captions", "words", "chances")}
    except (DataError, OSError, ValueError, KeyError):
        return None


def _words(
    captioner: Captioner, features: FeatureStore, keys: Sequence[str], known: dict[str, np.ndarray] | None
) -> dict[str, Any]:
    """Return captions, words and their probabilities of all pictures; those in the index are not made again."""
    before = {} if known is None else {key: row for row, key in enumerate(known["keys"].tolist())}
    kept = min(KEPT, len(captioner.vocabulary))
    words, chances = np.zeros((len(keys), kept), np.int32), np.zeros((len(keys), kept), np.float16)
    captions = [""] * len(keys)
    for row, key in enumerate(keys):
        if key in before and known is not None:
            old = before[key]
            words[row], chances[row], captions[row] = known["words"][old], known["chances"][old], known["captions"][old]
    new = np.array([row for row, key in enumerate(keys) if key not in before], int)
    likelihood = Likelihood(captioner.decoder, MAX_LENGTH)
    with Progress("indexed", len(new), "pictures") as progress:
        for start in range(0, len(new), AT_ONCE):
            rows = new[start : start + AT_ONCE]
            batch = features.at(rows)
            found = captioner.caption_features(batch)
            tokens = [captioner.vocabulary.encode(several[0].tokens if several else ()) for several in found]
            each = likelihood.words(batch, likelihood.padded(tokens))
            best = np.argpartition(-each, kept - 1, axis=1)[:, :kept]
            words[rows], chances[rows] = best, np.take_along_axis(each, best, axis=1)
            for row, several in zip(rows, found, strict=True):
                captions[row] = several[0].text if several else ""
            progress.advance(len(rows))
    return {"captions": np.array(captions, str), "words": words, "chances": chances}


def index_digest(parts: Sequence[str]) -> str:
    """Return one digest for several models."""
    return digest_json(list(parts))


def log_probability(likelihood: Likelihood, features: Any, tokens: np.ndarray) -> np.ndarray:
    """Return log p(text), (texts,): the mean of p(text | picture) over pictures that represent all pictures.

    Args:
        likelihood: of the captioner.
        features: (pictures, ...) of such pictures.
        tokens: (texts, max_length + 1) from `Likelihood.padded`.
    """
    return log_mean_exp(likelihood.of_all(features, tokens), axis=0)
