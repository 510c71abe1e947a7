"""Measures reading, cleaning and encoding as many captions as COCO has; the reference is json and str.split alone."""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from resident import peak_gib

from captioner.data.dataset import DataConfig, Dataset, read_captions
from captioner.data.training_text import training_text
from captioner.text.vocabulary import TextConfig, Vocabulary

PICTURES, EACH = 118_000, 5
MIN_COUNT = 5
SAMPLE = Path(__file__).parents[2] / "data" / "sample" / "captions.txt"


def make_file(path: Path, source: str, pictures: int = PICTURES) -> None:
    """Write a file in the format of COCO's captions_train2017.json, by default with as many captions.

    A caption is the first half of one caption of `source` and the second half of another.
    """
    rng = random.Random(0)
    captions = [text.split() for texts in read_captions(source).values() for text in texts]
    images: list[dict[str, object]] = []
    annotations: list[dict[str, object]] = []
    distinct = set()
    for number in range(1, pictures + 1):
        name = f"{number:012}.jpg"
        address = f"http://images.cocodataset.org/train2017/{name}"
        images.append({"license": 3, "file_name": name, "coco_url": address, "height": 480, "width": 640, "id": number})
        for _ in range(EACH):
            first, second = rng.choice(captions), rng.choice(captions)
            caption = " ".join(first[: len(first) // 2] + second[len(second) // 2 :])
            distinct.add(caption)
            annotations.append({"image_id": number, "id": len(annotations) + 1, "caption": caption})
    rng.shuffle(annotations)
    path.write_text(json.dumps({"info": {}, "images": images, "licenses": [], "annotations": annotations}))
    size = path.stat().st_size / 1e6
    print(f"{pictures * EACH:,} captions, {len(distinct):,} of them distinct, {size:.0f} MB of COCO's JSON", flush=True)


def measure_least(path: Path, _: str) -> None:
    """Do the least possible work on the same file: json, str.split, counting, and one look-up per word."""
    began = time.perf_counter()
    annotations = json.loads(path.read_text())["annotations"]
    text = [annotation["caption"].lower().split() for annotation in annotations]
    counts = Counter(word for caption in text for word in caption)
    numbers = {word: number for number, (word, _) in enumerate(counts.most_common(), start=4)}
    encoded = [[numbers[word] for word in caption] for caption in text]
    report("json, split, look-ups", time.perf_counter() - began, len(encoded))


def measure_ours(path: Path, _: str) -> None:
    """Read, clean and encode as training does, and print one line per step."""
    began = last = time.perf_counter()

    def lap(name: str) -> None:
        nonlocal last
        now = time.perf_counter()
        print(f"  {name:<7} {now - last:5.1f} s", flush=True)
        last = now

    data = Dataset(DataConfig(captions=str(path)))
    captions = data.load()
    lap("read")
    text = training_text(data, captions, ("train",), "ptb")
    lap("clean")
    vocabulary = Vocabulary.fit(
        (words for picture in text.values() for words in picture), TextConfig(min_count=MIN_COUNT)
    )
    lap("count")
    encoded = vocabulary.encode_all(text)
    lap("encode")
    report("captioner", last - began, sum(map(len, encoded.values())))


def report(whose: str, elapsed: float, count: int) -> None:
    """Print a row."""
    if count != PICTURES * EACH:
        sys.exit(f"{whose}: {count:,} captions were encoded")
    print(f"{whose:<22} {elapsed:5.1f} s  {count / elapsed:8,.0f} captions/s  peak resident {peak_gib():.2f} GiB")


CHILDREN: dict[str, Callable[..., None]] = {"make": make_file, "captioner": measure_ours, "least": measure_least}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", default=str(SAMPLE), help="caption file from which the generated captions are made")
    parser.add_argument("--child", nargs=2, metavar=("WHAT", "FILE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        what, path = options.child
        CHILDREN[what](Path(path), options.source)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "captions_train2017.json")
        for what in CHILDREN:  # each in its own process, to measure its own peak of memory
            command = [sys.executable, str(Path(__file__).parent), "captions", "--source", options.source]
            subprocess.run([*command, "--child", what, path], check=True)


if __name__ == "__main__":
    main()
