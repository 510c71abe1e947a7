"""An index of a folder's pictures for text search: their features, and the most probable words of each picture.

Reading an index that is up to date needs no Keras; captioner.stages.indexing creates it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from captioner.encoders.config import differences
from captioner.extraction.staleness import are_stale
from captioner.features.store import FeatureStore, open_features
from captioner.images.decode import allowed_pixels
from captioner.images.listing import Pictures, find_pictures
from captioner.storage import DataError, read_manifest

SUFFIX = ".captioner-index"  # of the index folder, beside the pictures' folder
FEATURES, WORDS = "features.h5", "words.npz"
KEPT = 64  # most probable words stored for each picture
LEAST = 1e-4  # assumed probability of every other word
BACKGROUND = 64  # pictures for estimating log p(text)
MAX_LENGTH = 24  # words of a text, including the end token


class PictureIndex:
    """The index of one folder.

    Attributes:
        pictures: the folder's pictures, by image_id.
        features: of the readable pictures.
        captions: (pictures,) the model's caption of each picture, in the order of the features.
        words: (pictures, KEPT) the numbers of each picture's most probable words.
        chances: (pictures, KEPT) the probabilities of these words, float16.
    """

    def __init__(
        self, pictures: Pictures, features: FeatureStore, captions: np.ndarray, words: np.ndarray, chances: np.ndarray
    ) -> None:
        self.pictures, self.features, self.captions = pictures, features, captions
        self.words, self.chances = words, chances

    def __len__(self) -> int:
        return len(self.features)

    def path(self, place: int) -> Path:
        """Return the file of the picture at an index of the features."""
        (found,) = self.pictures.ids.find([self.features.ids[place]])
        return self.pictures.path(int(found))

    def word_scores(self, numbers: Sequence[int]) -> np.ndarray:
        """Return the sum over words of log p(word | picture) - log p(word), (pictures,): the fast first ranking.

        Args:
            numbers: the numbers of the text's distinct words.
        """
        total = np.zeros(len(self), np.float32)
        for number in numbers:
            chance = np.where(self.words == number, self.chances.astype(np.float32), 0.0).max(axis=1)
            chance = np.maximum(chance, LEAST)  # (pictures,)
            total += np.log(chance) - np.log(chance.mean())
        return total

    def background(self, seed: int = 0) -> np.ndarray:
        """Return the indices of a random sample of the pictures."""
        places = np.random.default_rng(seed).permutation(len(self))[:BACKGROUND]
        return np.sort(places)


def index_folder(folder: Path) -> Path:
    """Return the path of the index of a folder of pictures."""
    folder = folder.resolve()
    return folder.with_name(folder.name + SUFFIX)


def read_index(
    described: Mapping[str, Any] | None, model: str, folder: Path, place: Path | None = None
) -> PictureIndex | None:
    """Return the index of a folder, or None if it does not exist or is out of date.

    Args:
        described: description of the captioner's encoder.
        model: digest of the captioner.
        folder: folder of pictures.
        place: path of the index; None for the default, beside the folder.

    Raises:
        DataError: no pictures.
    """
    pictures = find_pictures(folder)
    place = index_folder(folder) if place is None else place
    if described is None or not are_fresh(place / FEATURES, described, pictures):
        return None
    features = open_features(place / FEATURES)
    known = read_words(place / WORDS, model)
    if known is None or known["keys"].tolist() != keys_of(features):
        return None
    return PictureIndex(pictures, features, known["captions"], known["words"], known["chances"])


def are_fresh(path: Path, described: Mapping[str, Any], pictures: Pictures) -> bool:
    """Return whether the features at `path` come from this encoder and from the current pictures."""
    manifest = (read_manifest(path) or {}) if path.is_file() else {}
    if manifest.get("inputs") != pictures.digest() or differences(manifest.get("encoder") or {}, described):
        return False
    return not are_stale(path, pictures, allowed_pixels())


def keys_of(features: FeatureStore) -> list[str]:
    """Return a key for each picture, made of its id and content; its words are valid for this key."""
    sources = features.sources()
    if sources is None:
        return [f"{name} {features.digest}" for name in features.ids]
    return [f"{name} {bytes(source['digest']).hex()}" for name, source in zip(features.ids, sources, strict=True)]


def read_words(path: Path, model: str) -> dict[str, np.ndarray] | None:
    """Return the words of an index of the same model, or None if there are no usable ones."""
    try:
        manifest = read_manifest(path) if path.is_file() else None
        if manifest is None or manifest.get("model") != model:
            return None
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in ("keys", "captions", "words", "chances")}
    except (DataError, OSError, ValueError, KeyError):
        return None
