"""Measures training on as many pictures as COCO has, with grids on disk; the reference has as many as Flickr8k."""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from resident import peak_gib

REGIONS, CHANNELS = 49, 512  # VGG16's block5_pool
DEV = 1000
WARM_UP = 10  # steps that are not counted
SAME = ("data.images=null", "data.descriptions=null", "text.max_size=2600")  # of both sets, with outputs of one size


def make_set(folder: Path, pictures: int, source: str) -> None:
    """Write captions in COCO's format, random grids of regions as float16, and the lists of two splits."""
    import numpy as np
    from bench_captions import make_file

    from captioner.features.formats import Content
    from captioner.features.store import write_content
    from captioner.images.index import IdIndex

    make_file(folder / "captions.json", source, pictures)
    names = [str(number) for number in range(1, pictures + 1)]  # the ids of 000000000001.jpg and so on
    rng = np.random.default_rng(0)
    few = np.abs(rng.normal(size=(256, REGIONS, CHANNELS))).astype(np.float16)

    def rows() -> Iterator[np.ndarray]:
        for place in range(pictures):
            yield np.roll(few[place % len(few)], place // len(few), axis=1)

    description = {"backbone": "vgg16", "layer": "block5_pool"}
    write_content(
        folder / "features.h5", Content(IdIndex.of(names), rows(), (REGIONS, CHANNELS), description, "float16")
    )
    (folder / "dev.txt").write_text("\n".join(names[:DEV]))
    (folder / "train.txt").write_text("\n".join(names[DEV:]))


def train(folder: Path, recipe: str, steps: int, began: float) -> dict[str, float]:
    """Train for some steps as `captioner train` does, and return the measurements.

    Args:
        folder: from `make_set`.
        recipe: a recipe's name in configs/.
        steps: to train for.
        began: when the process was started, in seconds of time.time.
    """
    import keras
    import numpy as np

    from captioner.data.dataset import Dataset
    from captioner.recipe import find_recipe, load_recipe
    from captioner.stages.inputs import as_training_sees, make_batches
    from captioner.stages.train import new_decoder
    from captioner.stages.training_inputs import prepare
    from captioner.training.fit import compiled

    ends: list[float] = []

    class Times(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            ends.append(time.time())
            self.model.stop_training = len(ends) > steps

    files = {
        "data.captions": "captions.json",
        "data.splits.train": "train.txt",
        "data.splits.dev": "dev.txt",
        "features": "features.h5",
    }
    assignments = [f"{key}={folder / name}" for key, name in files.items()]
    run = load_recipe(find_recipe(recipe), [*SAME, *assignments])
    prepared = prepare(run, Dataset(run.data))
    gc.freeze()  # as the command does
    decoder = new_decoder(run, prepared)
    shown = as_training_sees(run, prepared.words, prepared.features, prepared.features, decoder)
    batches = make_batches(shown, prepared.training, run.train)
    batches.start_at(0)
    model, _ = compiled(decoder, run.train, len(batches))
    model.fit(batches.for_keras(), epochs=1, shuffle=False, verbose=0, callbacks=[Times()])
    captions = 5 * batches.batch_size
    return {
        "pictures": len(prepared.training),
        "words": len(prepared.vocabulary),
        "first": ends[0] - began,
        "rate": captions / float(np.median(np.diff(ends[WARM_UP:]))),
        "gib": peak_gib(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--source", default="", help="caption file from which the generated captions are made (default: the sample's)"
    )
    parser.add_argument("--recipe", default="attention", help="a recipe with regions (default: attention)")
    parser.add_argument(
        "--pictures", type=int, nargs=2, default=(118_000, 7_000), help="of the large and the small set"
    )
    parser.add_argument("--steps", type=int, default=60, help="timed training steps (default: 60)")
    parser.add_argument("--turns", type=int, default=3, help="trainings of each set, in turn (default: 3)")
    parser.add_argument("--child", nargs=3, metavar=("FOLDER", "WHAT", "WHEN"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        folder, what, when = options.child
        if what == "train":
            print(json.dumps(train(Path(folder), options.recipe, options.steps, float(when))))
        else:
            from bench_captions import SAMPLE

            make_set(Path(folder), int(what), options.source or str(SAMPLE))
        return
    with tempfile.TemporaryDirectory() as folder:
        compare([Path(folder) / str(pictures) for pictures in options.pictures], options)


def compare(folders: list[Path], options: argparse.Namespace) -> None:
    """Make the sets and train on each in turn, each time in a new process."""

    def child(folder: Path, what: str) -> str:
        command = [sys.executable, str(Path(__file__).parent), "large", "--recipe", options.recipe]
        command += ["--source", options.source, "--steps", str(options.steps)]
        command += ["--child", str(folder), what, str(time.time())]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout

    for folder in folders:
        folder.mkdir()
        print(child(folder, folder.name).strip(), flush=True)
        print(f"  grids on disk: {(folder / 'features.h5').stat().st_size / 1e9:.1f} GB", flush=True)
    rates: dict[Path, list[float]] = {folder: [] for folder in folders}
    for _ in range(options.turns):
        for folder in folders:
            found = json.loads(child(folder, "train").splitlines()[-1])
            rates[folder].append(found["rate"])
            print(
                f"{found['pictures']:>7,} pictures, {found['words']:,} words: first step after {found['first']:4.1f} "
                f"s, {found['rate']:6.1f} captions/s, peak resident {found['gib']:.2f} GiB",
                flush=True,
            )
    large, small = (sorted(found)[len(found) // 2] for found in rates.values())
    print(f"medians: the large set's speed is {large / small:.2f} of the small set's")


if __name__ == "__main__":
    main()
