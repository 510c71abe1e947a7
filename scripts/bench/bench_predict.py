"""Captioning a folder end to end beside its stages apart; the first caption of a cold process; search by text."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from machine import device

from captioner.captioner import Captioner, load
from captioner.extraction.config import ExtractionConfig
from captioner.extraction.loader import read_listed
from captioner.extraction.local_engine import AT_ONCE, available_cores
from captioner.generation.decode import generate
from captioner.images.decode import load_image
from captioner.images.picture_list import PictureFiles
from captioner.stages.find import find
from captioner.stages.picture_index import KEPT, PictureIndex
from captioner.stages.predict import predict
from captioner.stages.prediction_engine import TOGETHER, Encoders, choose_encoders
from captioner.stages.prediction_inputs import find_pictures
from captioner.writers.result import Captioned


class Silent:
    """A writer that counts."""

    count = 0

    def add(self, result: Captioned) -> None:
        """Count a picture."""
        self.count += bool(result.captions)

    def close(self) -> None:
        """Do nothing."""


def decoding_rate(files: PictureFiles, encoders: Encoders) -> tuple[float, np.ndarray]:
    """Return the pictures a second that threads decode and resize, and the pictures (n, height, width, 3)."""
    encoder = encoders.members[0]

    def decode(place: int) -> np.ndarray:
        name, data, _ = read_listed(files, place)
        return encoder.prepare(load_image(data, name=name, at_least=encoder.input_size))

    began = time.perf_counter()
    with ThreadPoolExecutor(available_cores()) as threads:
        pictures = list(threads.map(decode, range(len(files))))
    return len(files) / (time.perf_counter() - began), np.stack(pictures)


def encoding_rate(encoders: Encoders, pictures: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the pictures a second that the network encodes, and their features."""
    size = encoders.batch_size
    batches = [pictures[start : start + size] for start in range(0, len(pictures), size)]
    encoders.encode_layers(batches[0], size)
    began = time.perf_counter()
    with ThreadPoolExecutor(AT_ONCE) as threads:
        features = list(threads.map(lambda batch: encoders.encode_layers(batch, size)[0], batches))
    return len(pictures) / (time.perf_counter() - began), np.concatenate(features)


def captioning_rate(captioner: Captioner, features: np.ndarray) -> float:
    """Return the pictures a second that the decoder captions."""
    search = captioner.search()

    def caption() -> None:
        for start in range(0, len(features), TOGETHER):
            generate(search, features[start : start + TOGETHER], captioner.vocabulary)

    caption()
    began = time.perf_counter()
    caption()
    return len(features) / (time.perf_counter() - began)


def end_to_end_rate(captioner: Captioner, files: PictureFiles, config: ExtractionConfig) -> float:
    """Return the pictures a second from files to captions, without the first lot, which compiles."""
    times: list[float] = []

    class Clock(Silent):
        def add(self, result: Captioned) -> None:
            times.append(time.perf_counter())

    predict(captioner, files, [Clock()], config=config, broken=print)
    first = min(TOGETHER, len(times) - 1)
    return (len(times) - 1 - first) / max(1e-9, times[-1] - times[first])


def cold_seconds(model: Path, picture: Path) -> float:
    """Return the seconds from the start of a process to its caption."""
    command = [sys.executable, "-m", "captioner", "predict", str(picture), "--model", str(model)]
    root = Path(__file__).parent.parent.parent
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": str(root)})
    return time.perf_counter() - began


class SameFeatures:
    """Features of many pictures that are never written to a disk."""

    def __init__(self, rows: np.ndarray) -> None:
        self.rows = rows
        self.ids = [f"p{place}" for place in range(len(rows))]

    def __len__(self) -> int:
        return len(self.rows)

    def at(self, places: Sequence[int]) -> np.ndarray:
        """Return the features at places."""
        return self.rows[np.asarray(places)]


class Folder:
    """The listing of such pictures."""

    class ids:  # noqa: N801 - as it is called there
        @staticmethod
        def find(names: Sequence[str]) -> np.ndarray:
            """Return places."""
            return np.array([int(name[1:]) for name in names])

    @staticmethod
    def path(place: int) -> Path:
        """Return a path."""
        return Path(f"p{place}.jpg")


def find_seconds(captioner: Captioner, features: np.ndarray, count: int) -> float:
    """Return the seconds of a search over an index of `count` pictures, after one that compiles."""
    rng = np.random.default_rng(0)
    rows = features[rng.integers(len(features), size=count)]
    kept = min(KEPT, len(captioner.vocabulary))
    words = rng.integers(4, len(captioner.vocabulary), (count, kept)).astype(np.int32)
    store: Any = SameFeatures(rows)
    listing: Any = Folder()
    chances = rng.random((count, kept)).astype(np.float16)
    index = PictureIndex(listing, store, np.full(count, "a caption"), words, chances)
    known = " ".join(captioner.vocabulary.words[4:14])
    find(captioner, [index], known)
    began = time.perf_counter()
    find(captioner, [index], known)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench predict", description=__doc__)
    parser.add_argument("--pictures", required=True, type=Path, help="a folder of pictures")
    parser.add_argument("--model", required=True, type=Path, help="a run folder")
    parser.add_argument("--limit", type=int, default=400, help="use so many of them (default: 400)")
    parser.add_argument("--index", type=int, default=10_000, help="pictures of the search (default: 10,000)")
    options = parser.parse_args()
    captioner, files = load(options.model), PictureFiles()
    for path in list(find_pictures([options.pictures]))[: options.limit]:
        files.append(path)
    config = ExtractionConfig()
    encoders = choose_encoders(captioner, files, np.ones(len(files), bool), config)
    print(f"{len(files)} pictures on {device()}, {encoders.precisions}, batches of {encoders.batch_size}")
    decode, pictures = decoding_rate(files, encoders)
    encode, features = encoding_rate(encoders, pictures)
    caption = captioning_rate(captioner, features)
    whole = end_to_end_rate(captioner, files, config)
    apart = 1 / (1 / encode + 1 / caption)
    print(f"decoding files    {decode:8.1f} pictures/s ({available_cores()} threads)")
    print(f"encoder alone     {encode:8.1f} pictures/s")
    print(f"decoder alone     {caption:8.1f} pictures/s ({TOGETHER} at a time, beam {captioner.generation.beam_size})")
    print(f"one after another {apart:8.1f} pictures/s")
    print(f"predict, whole    {whole:8.1f} pictures/s: {whole / apart:.2f} of that")
    print(f"cold process      {cold_seconds(options.model, files.path(0)):8.1f} s to its caption")
    print(
        f"find              {find_seconds(captioner, features, options.index):8.2f} s over {options.index:,} pictures"
    )
