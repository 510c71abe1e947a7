#!/usr/bin/env python
"""Draw the embedded sample: small pictures of simple things, with five captions each, the same from the same seed.

python scripts/make_sample.py -o data/sample
"""

from __future__ import annotations

import argparse
from itertools import islice
from pathlib import Path
from random import Random

from sample_captions import describe
from sample_pictures import draw_picture
from sample_scenes import draw_scenes

SPLITS = {"train": 640, "dev": 80, "test": 80}
SEED = 8
JPEG_QUALITY = 72
LICENSE = """\
The pictures and captions in this folder were drawn and written by scripts/make_sample.py. They depict nothing real.
They are dedicated to the public domain under CC0 1.0 (https://creativecommons.org/publicdomain/zero/1.0/).
"""


def make_sample(folder: Path, seed: int = SEED) -> None:
    """Write images/, captions.txt, one list per split and LICENSE into `folder`."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    scenes = draw_scenes(Random(f"{seed} scenes"))
    lines, number = [], 0
    for split, size in SPLITS.items():
        names = []
        for scene in islice(scenes, size):
            name = f"sample_{number:04d}.jpg"
            # Each picture has its own random generators, so that a change to one does not affect the others.
            picture = draw_picture(scene, Random(f"{seed} picture {number}"))
            picture.save(folder / "images" / name, quality=JPEG_QUALITY, subsampling=0, optimize=True)
            captions = describe(scene, Random(f"{seed} captions {number}"))
            lines += [f"{name}#{index}\t{caption}" for index, caption in enumerate(captions)]
            names.append(name)
            number += 1
        (folder / f"{split}.txt").write_text("\n".join(names) + "\n", encoding="utf-8")
    (folder / "captions.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "LICENSE").write_text(LICENSE, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw the embedded sample: pictures of simple things with captions.")
    parser.add_argument("-o", "--output", type=Path, default=Path("data/sample"), help="the folder to write")
    parser.add_argument("--seed", type=int, default=SEED, help="another seed draws another sample")
    arguments = parser.parse_args()
    make_sample(arguments.output, arguments.seed)
    print(f"{sum(SPLITS.values())} pictures and their captions are in {arguments.output}")


if __name__ == "__main__":
    main()
