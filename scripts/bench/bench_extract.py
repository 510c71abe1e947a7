"""Measures extraction: against the limit of the cores, against one `predict` per picture, and on a million pictures."""

from __future__ import annotations

import argparse
import contextlib
import itertools
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

ENCODERS = ("vgg16", "nasnet_mobile", "efficientnet_lite0")
SECONDS_A_TURN = 6.0  # of extraction; pictures are repeated (as links) to fill this time
TURNS = 3  # of extraction; decoding and the forward pass are measured before, between and after
STEPS = 4  # of the curve; each step has twice as many pictures
PROBED_FOR = 8000  # pictures, so that the probe chooses as for Flickr8k


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=Path, help="A folder of small pictures, such as Flickr8k's.")
    parser.add_argument("--full-size", type=Path, help="A folder of full-size pictures, such as COCO's.")
    parser.add_argument("--tiny", type=int, default=1_000_000, help="Number of tiny pictures; 0 skips them.")
    parser.add_argument("--seconds", type=float, default=SECONDS_A_TURN, help="Seconds of extraction per turn.")
    parser.add_argument("--encoders", nargs="*", default=ENCODERS)
    parser.add_argument("--no-predict", action="store_true", help="Skip the reference with one predict per picture.")
    parser.add_argument("--child", nargs=2, metavar=("COUNT", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        count, folder = options.child
        _extract_tiny(int(count), Path(folder))
        return
    for name, folder in (("small", options.pictures), ("full size", options.full_size)):
        if folder is not None:
            for encoder in options.encoders:
                _whole_command(name, folder, encoder, options.seconds)
    if options.pictures is not None and not options.no_predict:
        _beside_predict(options.pictures, options.seconds)
    if options.tiny:
        _curve(options.tiny)


def _whole_command(name: str, folder: Path, encoder: str, seconds: float) -> None:
    """Print the pictures per second of an extraction, and of its two parts if nothing else took time."""
    from captioner.encoders.config import EncoderConfig
    from captioner.encoders.encoder import build_encoder
    from captioner.extraction.config import ExtractionConfig
    from captioner.extraction.loader import Decoder, available_cores, decode, read_source
    from captioner.extraction.local_engine import on_accelerator
    from captioner.extraction.probe import choose
    from captioner.images.listing import find_pictures
    from captioner.stages.extract import extract

    config = EncoderConfig(encoder, weights=_weights(encoder))
    pictures = find_pictures(folder)
    paths = [pictures.path(place) for place in range(min(len(pictures), 256))]
    wide = build_encoder(config)
    decoder = Decoder(wide.input_size, wide.prepare)

    def decode_all() -> np.ndarray:
        return np.stack([decode(read_source(path)[0], path, decoder) for path in paths[:64]])

    sample, cores = decode_all(), available_cores()
    network, chosen = choose(wide, sample[:8], PROBED_FOR, "auto", "auto", accelerated=on_accelerator())
    batch = np.resize(sample, (chosen.batch_size, *sample.shape[1:]))
    network.encode_layers(batch)  # compiles

    def parts() -> np.ndarray:
        """Return the core-seconds per picture of decoding and of the forward pass."""
        forward = cores * _mean_time(lambda: network.encode_layers(batch), seconds / 4) / len(batch)
        return np.array([_mean_time(decode_all, seconds / 8) / len(sample), forward])

    measured, rates = [parts()], []
    settings = ExtractionConfig(precision=chosen.precision, batch_size=chosen.batch_size)  # type: ignore[arg-type]
    with tempfile.TemporaryDirectory() as scratch:
        images = _linked(paths, Path(scratch, "images"), max(200, int(cores / measured[0].sum() * seconds)))
        for turn in range(TURNS):
            with _logged() as said:
                result = extract(images, Path(scratch, f"{turn}.h5"), config, settings)
            rates.append(_rate(said[-1]))
            measured.append(parts())
    around = [(before + after) / 2 for before, after in itertools.pairwise(measured)]
    limits = [cores / both.sum() for both in around]
    shares = sorted(rate / limit for rate, limit in zip(rates, limits, strict=True))
    decoding, forward = np.median(around, axis=0)
    print(
        f"{name:9} {encoder:19} {chosen.precision:8} by {chosen.batch_size:3}: {np.median(rates):7.1f} a second of "
        f"{np.median(limits):7.1f} that the cores give ({' '.join(f'{share:.2f}' for share in shares)}); forward "
        f"{1000 * forward:.1f}, decoding {1000 * decoding:.1f} core-ms a picture; {result.pictures} pictures, "
        f"{result.limit} is the limit",
        flush=True,
    )


def _beside_predict(folder: Path, seconds: float) -> None:
    """Print VGG16's pictures per second with the command, and with one `predict` per picture, as in the tutorials."""
    import keras

    from captioner.encoders.config import EncoderConfig
    from captioner.images.listing import find_pictures
    from captioner.stages.extract import extract

    config = EncoderConfig("vgg16", "block5_pool", weights=_weights("vgg16"))
    pictures = find_pictures(folder)
    paths = [pictures.path(place) for place in range(min(len(pictures), 256))]
    network = keras.applications.VGG16(include_top=False, weights=None, input_shape=(224, 224, 3))

    def caption_tutorial(path: Path) -> None:
        picture = keras.utils.img_to_array(keras.utils.load_img(path, target_size=(224, 224)))
        network.predict(keras.applications.vgg16.preprocess_input(picture[None]), verbose=0)

    caption_tutorial(paths[0])
    began, count = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        caption_tutorial(paths[count % len(paths)])
        count += 1
    theirs = count / (time.perf_counter() - began)
    with tempfile.TemporaryDirectory() as scratch, _logged() as said:
        images = _linked(paths, Path(scratch, "images"), max(400, int(4 * theirs * seconds)))
        extract(images, Path(scratch, "f.h5"), config)
    ours = _rate(said[-1])
    print(f"vgg16, a predict a picture {theirs:.1f} a second; the command {ours:.1f}: {ours / theirs:.1f} times")
    print("\n".join(f"  {line}" for line in said), flush=True)


def _curve(count: int) -> None:
    """Print time and memory for more and more tiny pictures, with an encoder that takes no time."""
    with tempfile.TemporaryDirectory() as scratch:
        painted, folder = 0, Path(scratch, "images")
        for step in reversed(range(STEPS)):
            pictures = count >> step
            _paint(folder, painted, pictures)
            painted = pictures
            environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
            command = [sys.executable, str(Path(__file__).parent), "extract", "--child", str(pictures), str(folder)]
            print(subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout.strip())
            sys.stdout.flush()


def _paint(folder: Path, first: int, last: int) -> None:
    """Write GIFs of one pixel in different colours, a thousand per folder."""
    head = b"GIF89a\x01\x00\x01\x00\x80\x00\x00"
    tail = b"\x00\x00\x00\x2c\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02\x44\x01\x00\x3b"
    for index in range(first, last):
        inside = folder / f"{index // 1000:04}"
        if index == first or not index % 1000:
            inside.mkdir(parents=True, exist_ok=True)
        (inside / f"{index:07}.gif").write_bytes(head + (index % 2**24).to_bytes(3, "big") + tail)


def _extract_tiny(count: int, folder: Path) -> None:
    import keras
    from resident import peak_gib

    from captioner.encoders.config import EncoderConfig
    from captioner.encoders.table import BACKBONES, Backbone
    from captioner.extraction.config import ExtractionConfig
    from captioner.stages.extract import extract

    def trivial(include_top: bool, weights: str | None, input_shape: tuple[int, int, int]) -> keras.Model:  # noqa: ARG001
        inputs = keras.Input(input_shape)
        return keras.Model(inputs, keras.layers.AveragePooling2D(2, name="mean")(inputs))

    BACKBONES["trivial"] = Backbone(trivial, (4, 4), "raw", None, (2, 2, 3), 0)
    settings = ExtractionConfig(precision="float32", batch_size=256)
    with tempfile.TemporaryDirectory() as scratch:
        warm = Path(scratch, "warm")
        _paint(warm, 0, 512)
        extract(warm, Path(scratch, "warm.h5"), EncoderConfig("trivial", weights="random"), settings)
        before, began = peak_gib(), time.perf_counter()
        output = Path(scratch, "f.h5")
        result = extract(folder, output, EncoderConfig("trivial", weights="random"), settings)
        seconds, grown = time.perf_counter() - began, 1024 * (peak_gib() - before)
        assert result.pictures == count, result
        print(
            f"{count:9,} tiny pictures: {seconds:6.1f} s, {1e6 * seconds / count:5.0f} us each; memory + {grown:.0f} "
            f"MiB, {grown * 1e5 / count:.1f} a 100,000; {output.stat().st_size / count:.0f} bytes a picture on disk"
        )


def _mean_time(function: Callable[[], object], seconds: float) -> float:
    """Return the mean seconds of a call, over as many calls as fit into `seconds`.

    The extraction is also measured by its mean; on a machine whose speed varies, the fastest call is not typical.
    """
    began, calls = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        function()
        calls += 1
    return (time.perf_counter() - began) / calls


def _linked(paths: Sequence[Path], folder: Path, count: int) -> Path:
    """Return a folder with `count` links to pictures."""
    folder.mkdir()
    for index in range(count):
        path = paths[index % len(paths)]
        (folder / f"{index:06}{path.suffix}").symlink_to(path.resolve())
    return folder


@contextlib.contextmanager
def _logged() -> Iterator[list[str]]:
    """Collect the lines that captioner logs."""
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("captioner")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield lines
    finally:
        logger.removeHandler(handler)


def _rate(line: str) -> float:
    """Return the pictures a second of `f.h5: 400 pictures in 9 s (45.4 a second; ...)`."""
    return float(line.split("(")[1].split(" a second")[0])


def _weights(encoder: str) -> str:
    """Return the published weights if they are available, or else random weights, which are as fast."""
    from captioner.encoders.table import weights_at_hand

    return "imagenet" if weights_at_hand(encoder) == "here" else "random"


if __name__ == "__main__":
    main()
