"""Caption pictures: python run.py PICTURE [PICTURE ...]. Needs numpy, pillow and RUNTIME."""

import json
import re
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

HERE = Path(__file__).parent
SETTINGS = json.loads((HERE / "settings.json").read_text(encoding="utf-8"))
VOCABULARY = json.loads((HERE / "vocabulary.json").read_text(encoding="utf-8"))
HEIGHT, WIDTH = SETTINGS["input_size"]
FILTER = {"bicubic": Image.BICUBIC, "bilinear": Image.BILINEAR, "lanczos": Image.LANCZOS}[SETTINGS["filter"]]


def load(path):
    """Return a picture as RGB, upright, transparency on white."""
    image = Image.open(path)
    turned = image.getexif().get(0x0112, 1) > 4
    sides = (2 * WIDTH, 2 * HEIGHT)
    image.draft(None, sides[::-1] if turned else sides)  # a large JPEG is decoded smaller
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):  # 16 bits
        levels = np.asarray(image).astype(np.float32) * (255 / 65535)
        image = Image.fromarray(np.rint(levels.clip(0, 255)).astype(np.uint8))
    if image.has_transparency_data:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    return image.convert("RGB")


def fit(image):
    """Return pixels (height, width, 3) uint8 of the encoder's size."""
    width, height = image.size
    if (height, width) == (HEIGHT, WIDTH):
        return np.asarray(image)
    if SETTINGS["resizing"] == "whole":
        return np.asarray(image.resize((WIDTH, HEIGHT), FILTER))
    if SETTINGS["resizing"] == "crop":
        scale = max(HEIGHT / height, WIDTH / width)
        high, wide = HEIGHT / scale, WIDTH / scale
        top, left = max((height - high) / 2, 0.0), max((width - wide) / 2, 0.0)
        box = (left, top, min((width - wide) / 2 + wide, width), min((height - high) / 2 + high, height))
        return np.asarray(image.resize((WIDTH, HEIGHT), FILTER, box=box))
    scale = min(HEIGHT / height, WIDTH / width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    padded = Image.new("RGB", (WIDTH, HEIGHT))
    padded.paste(image.resize(size, FILTER), ((WIDTH - size[0]) // 2, (HEIGHT - size[1]) // 2))
    return np.asarray(padded)


def text(tokens):
    """Return the caption that numbers of words mean: 2 ends it, 0 and 1 are no words."""
    tokens = tokens.tolist()
    words = [VOCABULARY["words"][token] for token in tokens[: (tokens + [2]).index(2)] if token > 1]
    if "merges" in VOCABULARY:  # byte-pair pieces
        return "".join(words).replace("▁", " ").strip()
    return re.sub(SETTINGS["no_space_between"], "", " ".join(words))


def caption(pixels):
    """Return tokens (1, n, length) and log-probabilities (1, n) of pixels (1, height, width, 3)."""
    raise SystemExit("replaced by a runtime's lines")


if __name__ == "__main__":
    for name in sys.argv[1:]:
        tokens, log_probs = caption(fit(load(name))[None])
        for row, log_prob in zip(tokens[0], log_probs[0]):
            if log_prob > -1e8:  # the model may have fewer captions than were asked for
                print(name, text(row), f"{log_prob:.4f}", sep="\t")
