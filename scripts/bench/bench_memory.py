"""Measures the peak memory of training from a features.pkl of fc2's size, and with the tutorial's arrays."""

from __future__ import annotations

import argparse
import pickle
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from machine import CHANNELS, LONGEST, WORDS, made_up_captions
from resident import peak_gib

PICTURES = 8000


def make_features(path: Path) -> None:
    """Write 8,000 vectors of 4,096 numbers, as the tutorial's features.pkl has them."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(PICTURES, 1, CHANNELS)).astype("float32")
    with path.open("wb") as file:
        pickle.dump({str(index): row for index, row in enumerate(rows)}, file, protocol=4)


def train_ours(path: Path) -> None:
    """Train an epoch on the whole file, as `captioner train` does with the batches of the merge recipes."""
    import keras

    from captioner.data.batches import CaptionBatches
    from captioner.features.store import open_features
    from captioner.models.architectures import build_decoder
    from captioner.training.config import TrainConfig
    from captioner.training.losses import CaptionLoss
    from captioner.training.optimizers import make_optimizer

    captions = {str(row): picture for row, picture in enumerate(made_up_captions(PICTURES))}
    batches = CaptionBatches(open_features(path), captions, 32, seed=0).for_keras()
    decoder = build_decoder({"architecture": "merge"}, WORDS, (CHANNELS,))
    compiled = "auto" if keras.backend.backend() != "tensorflow" else False
    decoder.compile(make_optimizer(TrainConfig(), 1000), CaptionLoss(), jit_compile=compiled)
    decoder.fit(batches, epochs=1, shuffle=False, verbose=0)


def train_tutorial(path: Path) -> None:
    """The tutorial's first form: the arrays of all examples at once. Measured on the first 200 pictures only."""
    from tutorial import examples, make_model

    with path.open("rb") as file:
        features = pickle.load(file)
    rows = np.concatenate([features[str(index)] for index in range(200)])
    whole = list(examples(rows, made_up_captions(200), WORDS, LONGEST))
    inputs = [np.concatenate([batch[0][part] for batch in whole]) for part in range(2)]
    targets = np.concatenate([batch[1] for batch in whole])
    model = make_model(WORDS, LONGEST, CHANNELS)
    model.fit(inputs, targets, epochs=1, verbose=0, steps_per_epoch=2)
    print(f"arrays of 200 pictures: {sum(array.nbytes for array in (*inputs, targets)) / 2**30:.2f} GiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--child", nargs=2, metavar=("WHOSE", "FILE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        whose, path = options.child
        (train_ours if whose == "captioner" else train_tutorial)(Path(path))
        print(f"{whose}: peak resident {peak_gib():.2f} GiB")
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "features.pkl"
        make_features(path)
        print(f"{PICTURES} pictures x {CHANNELS} numbers: {path.stat().st_size / 2**30:.2f} GiB on disk")
        for whose in ("captioner", "tutorial"):
            command = [sys.executable, str(Path(__file__).parent), "memory", "--child", whose, str(path)]
            result = subprocess.run(command, check=True, capture_output=True, text=True)
            print(result.stdout.strip())


if __name__ == "__main__":
    main()
