"""Reader of COCO's captions in the HDF5 files of Stanford's CS231n: captions as numbers, features, vocabulary."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlparse

import numpy as np

from captioner.data.captions import Captions
from captioner.data.readers.collect import Row, collect
from captioner.hdf5 import SIGNATURE, StoredRows, read_hdf5
from captioner.images.ids import normalize_ids
from captioner.storage import DataError, read_json, read_text

PARTS = ("train", "val")
NO_WORDS = frozenset(["<NULL>", "<START>", "<END>"])
# The course's 512 principal components, on which it trains, and all 4,096 numbers.
FEATURE_FILES = ("{part}*_vgg16_fc7_pca.h5", "{part}*_vgg16_fc7.h5")


def read_cs231n(path: str | Path) -> Captions:
    """Read coco2014_captions.h5; coco2014_vocab.json must be beside it.

    A picture's id comes from its line in train2014_images.txt or its address in train2014_urls.txt, if one of them is
    beside the file; otherwise it is `train/12` for row 12. The captions are the course's: lower case, no punctuation,
    `<UNK>` for rare words. COCO's own JSON is better for scores.

    Raises:
        DataError: a file is missing or broken, or the numbers in it do not fit together.
    """
    path = Path(path)
    words = _words(path)
    content = read_hdf5(path, [f"{part}_{kind}" for part in PARTS for kind in ("captions", "image_idxs")])
    parts = [part for part in PARTS if f"{part}_captions" in content.names]
    if not parts:
        raise DataError(f"{path}: has no train_captions; CS231n's coco2014_captions.h5 is expected")
    rows = [row for part in parts for row in _rows(path, content.arrays, part, words)]
    return collect(path, rows)


def import_features(path: str | Path, output: str | Path) -> Path:
    """Write the features that CS231n computed into a feature file, with the ids of `read_cs231n`.

    They are train_features in the file itself, or train2014_vgg16_fc7_pca.h5 or train2014_vgg16_fc7.h5 beside it. Their
    preprocessing is unknown, so the file has no description of an encoder.

    Args:
        path: coco2014_captions.h5.
        output: `.h5` or `.pkl`.

    Returns:
        the file that contained the features.

    Raises:
        DataError: there are no features, or they cannot be read or written.
    """
    path = Path(path)
    from captioner.features.store import write_features  # imports h5py, which other commands do not need

    if path.is_file():  # read_hdf5 names a missing one
        with path.open("rb") as file:
            begins = file.read(len(SIGNATURE))
        if begins != SIGNATURE:
            raise DataError(f"{path}: has no features; they are read from CS231n's coco2014_captions.h5 only")
    features: dict[str, StoredRows] = {}
    sources: dict[str, Path] = {}
    for part in PARTS:
        if (own := read_hdf5(path, rows=f"{part}_features").rows) is not None:
            features[part], sources[part] = own, path
        elif (beside := _feature_file(path, part)) is not None:
            rows = read_hdf5(beside, rows="features").rows
            if rows is None:
                raise DataError(f"{beside}: has no dataset 'features'; CS231n's files are expected")
            features[part], sources[part] = rows, beside
    if not features:
        raise DataError(f"{path}: has no train_features, and train2014_vgg16_fc7_pca.h5 is not beside it")
    for part, found in features.items():
        if len(found.shape) != 2:
            raise DataError(f"{sources[part]}: {part} features have {len(found.shape)} dimensions, expected 2")
    names = {part: _names(path, part, len(rows)) for part, rows in features.items()}
    *_, source = sources.values()
    write_features(output, _Rows(features, sources, names), None, "float32", source=str(source))
    return source


class _Rows(Mapping[str, np.ndarray]):
    """Rows of several datasets by image_id, read one at a time: all of fc7 would be 2 GB."""

    def __init__(
        self, features: Mapping[str, StoredRows], sources: Mapping[str, Path], names: Mapping[str, list[str]]
    ) -> None:
        self._features, self._sources = features, sources
        ids = normalize_ids(name for part in names.values() for name in part)
        self._places = {ids[name]: (part, row) for part in names for row, name in enumerate(names[part])}

    def __getitem__(self, image_id: str) -> np.ndarray:
        part, row = self._places[image_id]
        stored = np.empty(self._features[part].shape[1:], self._features[part].dtype)  # (channels,)
        try:
            self._features[part].read_into(stored, row)
        except (OSError, ValueError, RuntimeError) as error:
            raise DataError(
                f"{self._sources[part]}: its {part} features are broken or truncated ({error}); download the file again"
            ) from error
        return stored.astype(np.float32)

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


def _feature_file(path: Path, part: str) -> Path | None:
    found = (file for pattern in FEATURE_FILES for file in sorted(path.parent.glob(pattern.format(part=part))))
    return next(found, None)


def _words(path: Path) -> list[str]:
    files = sorted(path.parent.glob("*vocab*.json"))
    if not files:
        raise DataError(f"{path}: the vocabulary is not beside it; put coco2014_vocab.json there")
    content = read_json(files[0])
    words = content.get("idx_to_word") if isinstance(content, dict) else None
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise DataError(f"{files[0]}: has no list idx_to_word; CS231n's coco2014_vocab.json is expected")
    return words


def _names(path: Path, part: str, count: int) -> list[str]:
    """Return the name of each of the part's pictures."""
    for kind in ("images", "urls"):
        for file in sorted(path.parent.glob(f"{part}*_{kind}.txt")):
            listed = [line.strip() for line in read_text(file).split("\n") if line.strip()]
            if len(listed) < count:
                raise DataError(f"{file}: lists {len(listed):,} pictures, but {path} has {count:,}; use one data set")
            return [Path(urlparse(line).path).name for line in listed]
    return [f"{part}/{row}" for row in range(count)]


def _rows(path: Path, arrays: Mapping[str, np.ndarray], part: str, words: list[str]) -> Iterator[Row]:
    captions = _array(path, arrays, f"{part}_captions", dimensions=2)  # (captions, time)
    pictures = _array(path, arrays, f"{part}_image_idxs", dimensions=1)  # (captions,)
    if len(captions) != len(pictures) or captions.dtype.kind not in "iu" or pictures.dtype.kind not in "iu":
        raise DataError(f"{path}: {len(captions):,} {part}_captions do not match {len(pictures):,} {part}_image_idxs")
    if captions.size and not 0 <= int(captions.min()) <= int(captions.max()) < len(words):
        raise DataError(f"{path}: {part}_captions contain numbers outside of the vocabulary of {len(words):,} words")
    if pictures.size and int(pictures.min()) < 0:
        raise DataError(f"{path}: {part}_image_idxs contain a number below 0")
    names = _names(path, part, int(pictures.max(initial=-1)) + 1)
    for numbers, picture in zip(captions.tolist(), pictures.tolist(), strict=True):
        text = " ".join(word for number in numbers if (word := words[number]) not in NO_WORDS)
        if text:
            yield Row(names[picture], (text,), part)


def _array(path: Path, arrays: Mapping[str, np.ndarray], name: str, dimensions: int) -> np.ndarray:
    if name not in arrays:
        raise DataError(f"{path}: has no dataset {name!r}; CS231n's files are expected")
    if arrays[name].ndim != dimensions:
        raise DataError(f"{path}: {name!r} has {arrays[name].ndim} dimensions, expected {dimensions}")
    return arrays[name]
