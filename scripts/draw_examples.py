#!/usr/bin/env python
"""Draw the README's figure: six photographs in the public domain with captions from the built-in captioner, and the
attention for one of these captions.

python scripts/draw_examples.py -o data/examples.jpg      (needs scikit-image, which includes the photographs)
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from skimage import data

import captioner
from captioner.generation.caption import Caption
from captioner.plots.pictures import attention_maps

PHOTOGRAPHS = {  # scikit-image's own notes give these terms
    "camera": "Lav Varshney, CC0",
    "astronaut": "NASA, public domain",
    "chelsea": "Stefan van der Walt, CC0",
    "coffee": "Rachel Michetti, CC0",
    "rocket": "SpaceX, public domain",
    "clock": "Stefan van der Walt, public domain",
}
STRIP = "camera"
PANEL, GAP, TEXT, COLUMNS = 360, 16, 92, 3  # pixels; photographs in a row
FONTS = ("DejaVuSans.ttf", "Arial.ttf")


def font(size: int) -> Any:
    """Return a font of a size in pixels."""
    for name in FONTS:
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue
    return ImageFont.load_default(size)


def photograph(name: str) -> np.ndarray:
    """Return a photograph of scikit-image, (height, width, 3) uint8."""
    picture = np.asarray(getattr(data, name)())
    return np.repeat(picture[..., None], 3, axis=2) if picture.ndim == 2 else picture[..., :3]


def confidence(caption: Caption) -> str:
    """Return a caption's calibrated confidence, or the mean probability of its words if there is none."""
    if caption.confidence is not None:
        return f"confidence {caption.confidence:.2f}"
    return f"mean probability of a word {math.exp(caption.log_prob / (len(caption.tokens) + 1)):.2f}"


def square(picture: np.ndarray | Image.Image, side: int) -> Image.Image:
    """Return a picture fitted into a white square."""
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    image = image.copy()
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    page = Image.new("RGB", (side, side), "white")
    page.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return page


def write(page: Image.Image, at: tuple[int, int], text: str, size: int, colour: str, width: int) -> None:
    """Write a text from `at` on, wrapped to a width."""
    drawing, letters, line, (left, top) = ImageDraw.Draw(page), font(size), "", at
    for word in [*text.split(), None]:
        longer = f"{line} {word}".strip()
        if word is None or (line and letters.getlength(longer) > width):
            drawing.text((left, top), line, colour, letters)
            top, line = top + round(size * 1.25), word or ""
        else:
            line = longer


def draw(captions: dict[str, Caption], encoder: dict[str, Any] | None) -> Image.Image:
    """Draw the photographs with their captions, and the strip below."""
    rows = math.ceil(len(captions) / COLUMNS)
    words = captions[STRIP].tokens
    width = COLUMNS * PANEL + (COLUMNS + 1) * GAP
    small = (width - (len(words) + 1) * GAP // 2) // len(words)
    top = rows * (PANEL + TEXT + GAP) + GAP
    page = Image.new("RGB", (width, top + small + 40), "white")
    for place, (name, caption) in enumerate(captions.items()):
        row, column = divmod(place, COLUMNS)
        left, upper = GAP + column * (PANEL + GAP), GAP + row * (PANEL + TEXT + GAP)
        page.paste(square(photograph(name), PANEL), (left, upper))
        write(page, (left, upper + PANEL + 6), caption.text, 19, "black", PANEL)
        write(page, (left, upper + PANEL + 66), f"{confidence(caption)}   ({PHOTOGRAPHS[name]})", 13, "#666666", PANEL)
    maps = attention_maps(photograph(STRIP), captions[STRIP], encoder)
    for place, (word, drawn) in enumerate(zip(words, maps, strict=True)):
        left = GAP // 2 + place * (small + GAP // 2)
        page.paste(square(drawn, small), (left, top))
        write(page, (left, top + small + 4), word, 15, "black", small + GAP)
    return page


def main() -> None:
    parser = argparse.ArgumentParser(description="Caption photographs in the public domain and draw them.")
    parser.add_argument("-o", "--output", type=Path, default=Path("data/examples.jpg"), help="the picture to write")
    parser.add_argument("--model", help="a run folder or .keras file instead of the built-in captioner")
    arguments = parser.parse_args()
    model = captioner.load(arguments.model)
    captions = {name: model.caption(photograph(name)) for name in PHOTOGRAPHS}
    for name, caption in captions.items():
        print(f"{name}: {caption.text} ({confidence(caption)})")
    draw(captions, model.encoder_description).save(arguments.output, quality=88)


if __name__ == "__main__":
    main()
