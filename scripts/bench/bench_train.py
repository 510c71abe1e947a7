"""Measures training: merge against the tutorial's generator, attention and transformer against plain PyTorch."""

from __future__ import annotations

import argparse
import time

import keras
import numpy as np
from machine import CHANNELS, LONGEST, WORDS, Rows, Speed, beside_the_limit, device, made_up_captions
from train_regions import CASES, compare, epoch_of
from tutorial import examples, make_model

from captioner.data.batches import CaptionBatches
from captioner.models.architectures import build_decoder

UNITS = 256


def operations_per_caption(words_per_caption: float) -> float:
    """Floating-point operations of one caption's forward and backward pass; two per multiply-add, backward twice.

    The LSTM, the joint layer and the output layer run once per predicted word. The picture's layer runs once for five
    captions, and its input needs no gradient.
    """
    lstm = 2 * (UNITS + UNITS) * 4 * UNITS
    joint, output = 2 * UNITS * UNITS, 2 * UNITS * WORDS
    return words_per_caption * 3 * (lstm + joint + output) + 2 * 2 * CHANNELS * UNITS / 5


def tutorial_rate(pictures: int) -> float:
    """Return the tutorial's captions per second."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(pictures + 2, CHANNELS)).astype("float32")
    model = make_model(WORDS, LONGEST, CHANNELS)
    times = []
    for inputs, targets in examples(features, made_up_captions(pictures + 2), WORDS, LONGEST):
        began = time.perf_counter()
        model.train_on_batch(inputs, targets)
        times.append(time.perf_counter() - began)
    # The tutorial's loop includes making the examples.
    began = time.perf_counter()
    for _ in examples(features, made_up_captions(pictures + 2), WORDS, LONGEST):
        pass
    making = (time.perf_counter() - began) / (pictures + 2)
    return 5 / (float(np.mean(times[2:])) + making)


def our_speed(precision: str, pictures: int, batch_size: int, operations: float) -> Speed:
    """Return captioner's captions per second."""
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    features = rng.normal(size=(pictures, CHANNELS)).astype("float32")
    captions = {str(row): picture for row, picture in enumerate(made_up_captions(pictures))}
    policy = "mixed_bfloat16" if precision == "bfloat16" else "float32"
    decoder = build_decoder({"architecture": "merge"}, WORDS, (CHANNELS,), dtype=policy)
    epoch = epoch_of(decoder, CaptionBatches(Rows(features), captions, batch_size, seed=0))
    return beside_the_limit(epoch, 5 * pictures, operations, precision)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("architectures", nargs="*", help=f"of merge, {', '.join(CASES)}; all without any")
    parser.add_argument("--pictures", type=int, default=2048, help="pictures of merge's epoch")
    parser.add_argument("--region-pictures", type=int, default=512, help="pictures of the others' epochs")
    parser.add_argument(
        "--region-batch-size", type=int, default=26, help="pictures per batch of the others, with 130 captions"
    )
    parser.add_argument("--tutorial-pictures", type=int, default=40, help="number of pictures for the tutorial")
    parser.add_argument("--batch-size", type=int, default=64, help="pictures per batch of merge")
    options = parser.parse_args()
    known = ("merge", *CASES)
    if unknown := [name for name in options.architectures if name not in known]:
        parser.error(f"{unknown[0]}: unknown architecture (known: {', '.join(known)})")
    for name in options.architectures or known:
        if name == "merge":
            merge(options)
        else:
            compare(name, options.region_pictures, options.region_batch_size)


def merge(options: argparse.Namespace) -> None:
    """Print the tutorial's and captioner's captions per second, and the arithmetic limit."""
    lengths = [len(caption) - 1 for picture in made_up_captions(options.pictures) for caption in picture]
    operations = operations_per_caption(float(np.mean(lengths)))
    print(f"merge, {UNITS} wide, {WORDS} words, {np.mean(lengths):.1f} predicted words a caption; {device()}")
    tutorial = tutorial_rate(options.tutorial_pictures)
    print(f"tutorial's generator     float32 {tutorial:8.1f} captions/s")
    for precision in ("float32", "bfloat16"):
        ours = our_speed(precision, options.pictures, options.batch_size, operations)
        print(
            f"captioner               {precision:>8} {ours.rate:8.1f} captions/s  "
            f"{ours.rate / tutorial:5.1f} x the tutorial  {ours.share:.2f} of the arithmetic limit {ours.limit:.0f}"
        )
