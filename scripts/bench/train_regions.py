"""Measures training of the attention model and the transformer against plain PyTorch models of the same sizes."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
from machine import Rows, Speed, beside_the_limit, made_up_captions

from captioner.data.batches import CaptionBatches
from captioner.models.architectures import build_decoder
from captioner.models.decoder import CaptionDecoder
from captioner.training.config import TrainConfig
from captioner.training.fit import compiled

REGIONS, CHANNELS = 49, 512  # VGG16's block5_pool
DROPOUT = 0.25


class Case(NamedTuple):
    """An architecture's sizes in the comparison.

    Attributes:
        words: the vocabulary.
        width: width of every layer.
        plain: the class in plain_pytorch.
    """

    words: int
    width: int
    plain: str


CASES = {"attention": Case(2600, 512, "Attention"), "transformer": Case(2500, 256, "Transformer")}
ATTENTION = {"units": 512, "embedding_size": 512, "attention_units": 512}


def operations_per_caption(architecture: str, words_per_caption: float) -> float:
    """Floating-point operations of the matrix products of a caption's forward and backward pass.

    Two per multiply-add; the backward pass counts twice. Layers that depend only on the picture run once for five
    captions, and the first of them needs no gradient for its input.
    """
    case = CASES[architecture]
    width, output = case.width, 2 * case.width * case.words
    if architecture == "attention":
        lstm = 2 * (2 * width + CHANNELS) * 4 * width
        looks = 2 * width * width + 2 * REGIONS * width + 2 * REGIONS * CHANNELS
        deep = 2 * width * width + 2 * CHANNELS * width
        picture = 2 * 2 * REGIONS * CHANNELS * width
        return words_per_caption * 3 * (lstm + looks + deep + output) + picture / 5
    projections = 2 * width * width * (4 + 2 + 8)  # self-attention, cross-attention's query and output, feed-forward
    attention = 2 * 2 * width * (words_per_caption + REGIONS)
    memory = 2 * REGIONS * CHANNELS * width * 2 + 3 * 2 * 2 * REGIONS * width * 2 * width
    return words_per_caption * 3 * (2 * (projections + attention) + output) + memory / 5


def epoch_of(decoder: CaptionDecoder, batches: CaptionBatches) -> Callable[[], object]:
    """Return a function that trains one epoch, compiled as in `captioner train`."""
    model, _ = compiled(decoder, TrainConfig(), len(batches))
    fed = batches.for_keras()
    return lambda: model.fit(fed, epochs=1, shuffle=False, verbose=0)


def our_speed(architecture: str, precision: str, pictures: int, batch_size: int, operations: float) -> Speed:
    """Return captioner's captions per second."""
    keras.utils.set_random_seed(0)
    case = CASES[architecture]
    features = np.random.default_rng(0).normal(size=(pictures, REGIONS, CHANNELS)).astype("float32")
    captions = {str(row): picture for row, picture in enumerate(made_up_captions(pictures, case.words))}
    settings: dict[str, Any] = {"word_dropout": DROPOUT, "feature_dropout": DROPOUT}
    settings |= ATTENTION if architecture == "attention" else {"dropout": DROPOUT, "embedding_size": case.width}
    policy = "mixed_bfloat16" if precision == "bfloat16" else "float32"
    model = {"architecture": architecture, **settings}
    decoder = build_decoder(model, case.words, (REGIONS, CHANNELS), dtype=policy)
    epoch = epoch_of(decoder, CaptionBatches(Rows(features), captions, batch_size, seed=0))
    return beside_the_limit(epoch, 5 * pictures, operations, precision)


def plain_rate(architecture: str, batch_size: int, steps: int = 6) -> float:
    """Return plain PyTorch's captions per second in float32: the median of the steps, without the first."""
    import plain_pytorch
    import torch

    torch.manual_seed(0)
    case = CASES[architecture]
    model = getattr(plain_pytorch, case.plain)(case.words, CHANNELS, case.width, DROPOUT)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    captions = [caption for picture in made_up_captions(batch_size * (steps + 1), case.words) for caption in picture]
    rng = np.random.default_rng(0)
    times = []
    for step in range(steps + 1):
        batch = captions[step * batch_size : (step + 1) * batch_size]
        padded = np.zeros((batch_size, max(map(len, batch))), int)
        for row, caption in enumerate(batch):
            padded[row, : len(caption)] = caption
        regions = torch.from_numpy(rng.normal(size=(batch_size, REGIONS, CHANNELS)).astype("float32"))
        began = time.perf_counter()
        plain_pytorch.train_step(model, optimizer, regions, torch.from_numpy(padded))
        times.append(time.perf_counter() - began)
    return batch_size / float(np.median(times[1:]))


def compare(architecture: str, pictures: int, batch_size: int) -> None:
    """Print plain PyTorch's and captioner's captions per second, in float32 and bfloat16, and the arithmetic limit."""
    case = CASES[architecture]
    lengths = [len(caption) - 1 for picture in made_up_captions(pictures, case.words) for caption in picture]
    operations = operations_per_caption(architecture, float(np.mean(lengths)))
    print(f"{architecture}, {case.width} wide, {case.words} words, {REGIONS} x {CHANNELS} regions")
    plain = None
    if importlib.util.find_spec("torch") is None:
        print("plain PyTorch            is not installed: pip install 'captioner[bench]'")
    else:
        plain = plain_rate(architecture, 5 * batch_size)
        print(f"plain PyTorch            float32 {plain:8.1f} captions/s")
    for precision in ("float32", "bfloat16"):
        ours = our_speed(architecture, precision, pictures, batch_size, operations)
        times = "" if plain is None else f"{ours.rate / plain:5.1f} x plain PyTorch  "
        print(
            f"captioner               {precision:>8} {ours.rate:8.1f} captions/s  {times}"
            f"{ours.share:.2f} of the arithmetic limit {ours.limit:.0f}"
        )
