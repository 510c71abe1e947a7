"""An index of a folder's pictures for search by text: their features, and the words that each of them calls up.

Reading one that is up to date needs no Keras; captioner.stages.indexing makes it.
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

SUFFIX = ".captioner-index"  # of the folder that lies beside the pictures' folder
FEATURES, WORDS = "features.h5", "words.npz"
KEPT = 64  # words of a picture
LEAST = 1e-4  # the probability of a word that is not among them
BACKGROUND = 64  # pictures that log p(text) is estimated on
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


def read_index(
    described: Mapping[str, Any] | None, model: str, folder: Path, place: Path | None = None
) -> PictureIndex | None:
    """Return the index of a folder, None where there is none or it is not up to date.

    Args:
        described: the encoder's description in the captioner that searches.
        model: that captioner's digest.
        folder: of pictures.
        place: of the index; beside the folder otherwise.

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
    """Return whether the features at `path` are an encoder's, and of the pictures as they are now."""
    manifest = (read_manifest(path) or {}) if path.is_file() else {}
    if manifest.get("inputs") != pictures.digest() or differences(manifest.get("encoder") or {}, described):
        return False
    return not are_stale(path, pictures, allowed_pixels())


def keys_of(features: FeatureStore) -> list[str]:
    """Return what each picture's words were made of: its id and its content."""
    sources = features.sources()
    if sources is None:
        return [f"{name} {features.digest}" for name in features.ids]
    return [f"{name} {bytes(source['digest']).hex()}" for name, source in zip(features.ids, sources, strict=True)]


def read_words(path: Path, model: str) -> dict[str, np.ndarray] | None:
    """Return the words of an index of the same model, None where there are none that can be used."""
    try:
        manifest = read_manifest(path) if path.is_file() else None
        if manifest is None or manifest.get("model") != model:
            return None
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in ("keys", "captions", "words", "chances")}
    except (DataError, OSError, ValueError, KeyError):
        return None
