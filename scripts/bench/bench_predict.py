"""Measures captioning of a folder and its separate stages, the first caption of a new process, and search by text."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from machine import device

from captioner.captioner import Captioner, load
from captioner.extraction.config import ExtractionConfig
from captioner.extraction.loader import available_cores, read_listed
from captioner.extraction.local_engine import AT_ONCE
from captioner.features.formats import Content
from captioner.features.store import open_features, write_content
from captioner.generation.decode import generate
from captioner.images.decode import load_image
from captioner.images.listing import find_pictures as list_folder
from captioner.images.picture_list import PictureFiles
from captioner.run_folder import captioner_file
from captioner.stages.picture_index import FEATURES, KEPT, WORDS, index_folder, keys_of
from captioner.stages.predict import predict
from captioner.stages.prediction_engine import TOGETHER, Encoders, choose_encoders
from captioner.stages.prediction_inputs import find_pictures
from captioner.storage import digest_file, write_manifest
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
    """Return the pictures per second that threads decode and resize, and the pictures (n, height, width, 3)."""
    encoder = encoders.members[0]

    def decode(place: int) -> np.ndarray:
        name, data, _ = read_listed(files, place)
        return encoder.prepare(load_image(data, name=name, at_least=encoder.input_size))

    began = time.perf_counter()
    with ThreadPoolExecutor(available_cores()) as threads:
        pictures = list(threads.map(decode, range(len(files))))
    return len(files) / (time.perf_counter() - began), np.stack(pictures)


def encoding_rate(encoders: Encoders, pictures: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the pictures per second that the network encodes, and their features."""
    size = encoders.batch_size
    batches = [pictures[start : start + size] for start in range(0, len(pictures), size)]
    encoders.encode_layers(batches[0], size)
    began = time.perf_counter()
    with ThreadPoolExecutor(AT_ONCE) as threads:
        features = list(threads.map(lambda batch: encoders.encode_layers(batch, size)[0], batches))
    return len(pictures) / (time.perf_counter() - began), np.concatenate(features)


def captioning_rate(captioner: Captioner, features: np.ndarray) -> float:
    """Return the pictures per second that the decoder captions."""
    search = captioner.search()

    def caption() -> None:
        for start in range(0, len(features), TOGETHER):
            generate(search, features[start : start + TOGETHER], captioner.vocabulary)

    caption()
    began = time.perf_counter()
    caption()
    return len(features) / (time.perf_counter() - began)


def end_to_end_rate(captioner: Captioner, files: PictureFiles, config: ExtractionConfig) -> float:
    """Return the pictures per second from files to captions, without the first batches, which compile."""
    times: list[float] = []

    class Clock(Silent):
        def add(self, result: Captioned) -> None:
            times.append(time.perf_counter())

    predict(captioner, files, [Clock()], config=config, broken=print)
    first = min(TOGETHER, len(times) - 1)
    return (len(times) - 1 - first) / max(1e-9, times[-1] - times[first])


def process_seconds(*arguments: str) -> float:
    """Return the seconds that a captioner command takes from the start of its process."""
    command = [sys.executable, "-m", "captioner", *arguments]
    root = Path(__file__).parent.parent.parent
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": str(root)})
    return time.perf_counter() - began


def find_seconds(model: Path, captioner: Captioner, features: np.ndarray, count: int) -> float:
    """Return the seconds of a search in an index of `count` pictures, from the start of the process to its answer."""
    rng = np.random.default_rng(0)
    kept = min(KEPT, len(captioner.vocabulary))
    with tempfile.TemporaryDirectory() as folder:
        pictures = Path(folder) / "pictures"
        pictures.mkdir()
        for number in range(count):
            (pictures / f"p{number}.jpg").touch()
        listed, place = list_folder(pictures), index_folder(pictures)
        place.mkdir()
        rows = (features[row].astype(np.float16) for row in rng.integers(len(features), size=count))
        content = Content(listed.ids, rows, features.shape[1:], captioner.encoder_description, "float16")
        write_content(place / FEATURES, content, inputs=listed.digest())
        np.savez(
            place / WORDS,
            keys=np.array(keys_of(open_features(place / FEATURES))),
            captions=np.full(count, "a caption"),
            words=rng.integers(4, len(captioner.vocabulary), (count, kept)).astype(np.int32),
            chances=rng.random((count, kept)).astype(np.float16),
        )
        write_manifest(place / WORDS, "index", model=digest_file(captioner_file(model)))
        text = " ".join(captioner.vocabulary.words[4:14])
        return min(process_seconds("find", text, str(pictures), "--model", str(model)) for _ in range(3))


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench predict", description=__doc__)
    parser.add_argument("--pictures", required=True, type=Path, help="a folder of pictures")
    parser.add_argument("--model", required=True, type=Path, help="a run folder")
    parser.add_argument("--limit", type=int, default=400, help="number of pictures (default: 400)")
    parser.add_argument(
        "--index", type=int, default=10_000, help="pictures in the index for the search (default: 10,000)"
    )
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
    cold = process_seconds("predict", str(files.path(0)), "--model", str(options.model))
    apart = 1 / (1 / encode + 1 / caption)
    print(f"decoding files    {decode:8.1f} pictures/s ({available_cores()} threads)")
    print(f"encoder alone     {encode:8.1f} pictures/s")
    print(f"decoder alone     {caption:8.1f} pictures/s ({TOGETHER} at a time, beam {captioner.generation.beam_size})")
    print(f"one after another {apart:8.1f} pictures/s")
    print(f"predict, whole    {whole:8.1f} pictures/s: {whole / apart:.2f} of that")
    print(f"cold process      {cold:8.2f} s to its caption")
    found = find_seconds(options.model, captioner, features, options.index)
    print(f"find              {found:8.2f} s over {options.index:,} pictures, a cold process, too")
