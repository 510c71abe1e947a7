"""Draw captions under pictures, and each word's attention over a picture."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import io
import math
import textwrap
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from captioner.config import ConfigError
from captioner.generation.caption import Caption
from captioner.storage import DataError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NARROWEST = 320  # pixels; minimum width for the text under small pictures
LARGEST = 1600  # pixels of the longer side of a drawing
PANEL = 360  # pixels of the longer side of one panel of a figure
COLUMNS = 5
READABLE = 400  # pixels; minimum length of the longer side of a word's map
INCH = 100  # pixels
COLOURS = "viridis"  # perceptually uniform: equal differences in weight are equal differences in brightness
OVER = 0.65  # opacity of the colours over the picture, which is grey so that every colour stands for a weight
LEAST_RANGE = 0.5  # fraction of the mean weight; attention with a smaller range is drawn as nearly uniform
FONTS = ("DejaVuSans.ttf", "NotoSans-Regular.ttf", "Arial.ttf", "arial.ttf")  # Pillow's default font has no accents


def captioned(picture: np.ndarray, captions: Sequence[str]) -> Image.Image:
    """Draw captions under a picture, wrapped to its width.

    Args:
        picture: (height, width, 3) uint8.
        captions: drawn one below the other, numbered if there are several. Letters missing in the font are empty boxes.
    """
    image = _shrunk(picture, LARGEST)
    width = max(image.width, NARROWEST)
    font = _font(max(15, round(width / 28)))
    margin = round(font.size * 0.6)
    numbered = [f"{rank}. {text}" for rank, text in enumerate(captions, 1)] if len(captions) > 1 else captions
    text = "\n".join(line for caption in numbered for line in _wrapped(caption, font, width - 2 * margin))
    spacing = round(font.size * 0.3)
    box = ImageDraw.Draw(image).multiline_textbbox((0, 0), text, font, spacing=spacing)
    page = Image.new("RGB", (width, image.height + math.ceil(box[3]) + 2 * margin), "white")
    page.paste(image, ((width - image.width) // 2, 0))
    ImageDraw.Draw(page).multiline_text((margin, image.height + margin), text, "black", font, spacing=spacing)
    return page


@functools.cache
def _font(size: int) -> Any:
    """Return the first of FONTS that is installed, or Pillow's default font."""
    for name in FONTS:
        with contextlib.suppress(OSError):
            return ImageFont.truetype(name, size)
    return ImageFont.load_default(size)


def _shrunk(picture: np.ndarray, longest: int, shortest: int = 0) -> Image.Image:
    """Return a picture whose longer side has between `shortest` and `longest` pixels."""
    image = Image.fromarray(picture)
    scale = min(longest, max(shortest, *image.size)) / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image if size == image.size else image.resize(size, Image.Resampling.LANCZOS)


def _wrapped(text: str, font: Any, width: float) -> Iterator[str]:
    """Yield the lines of a text; a word that is longer than a line is split."""
    line = ""
    for word in text.split():
        longer = f"{line} {word}" if line else word
        if font.getlength(longer) <= width:
            line = longer
            continue
        if line:
            yield line
        while font.getlength(word) > width and len(word) > 1:
            fitting = next(end for end in range(len(word), 0, -1) if end == 1 or font.getlength(word[:end]) <= width)
            yield word[:fitting]
            word = word[fitting:]
        line = word
    yield line


def require_matplotlib(what: str) -> None:
    """Check that the plot extra is installed.

    Raises:
        ConfigError: it is not installed; the message begins with `what`, the option that needs it.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise ConfigError(f"{what}: needs matplotlib; pip install 'captioner[plot]'")


def attention_maps(
    picture: np.ndarray, caption: Caption, encoder: Mapping[str, Any] | None = None
) -> list[Image.Image]:
    """Draw the attention of each word of a caption as a colour map over the grey picture.

    Args:
        picture: (height, width, 3) uint8.
        caption: with attention (tokens, regions), the regions row by row.
        encoder: the encoder's description, which defines the part of the picture that its grid covers, and possibly
            the grid's shape; without it, the grid is square and covers the whole picture.

    Returns:
        one picture per word; a colour stands for the same weight in all of them.

    Raises:
        DataError: the caption has no attention, or its regions are not a grid.
    """
    image, attention = _shrunk(picture, LARGEST, READABLE), _attention(caption)
    return [_overlaid(image, weights, _limits(attention), encoder) for weights in attention]


def attention_figure(picture: np.ndarray, caption: Caption, encoder: Mapping[str, Any] | None = None) -> Figure:
    """Draw a whole caption as one figure: the picture, each word's attention map, and the colour scale.

    Args and raises: as `attention_maps`.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure
    from matplotlib.ticker import PercentFormatter

    image, attention = _shrunk(picture, PANEL, PANEL), _attention(caption)
    low, high = _limits(attention)
    maps = [_overlaid(image, weights, (low, high), encoder) for weights in attention]
    panels = [("", image), *zip(caption.tokens, maps, strict=True)]
    columns = min(COLUMNS, len(panels))
    rows = math.ceil(len(panels) / columns)
    title = textwrap.wrap(caption.text, max(20, round(columns * image.width / INCH * 7)))
    panel_wide, panel_high = image.width / INCH + 0.12, image.height / INCH + 0.42  # inches per panel with its word
    above, below = 0.2 + 0.32 * len(title), 0.75
    wide, tall = max(3.6, columns * panel_wide), rows * panel_high + above + below
    figure = Figure((wide, tall), dpi=INCH)
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for axis, (word, panel) in zip(axes.flat, panels, strict=False):
        axis.imshow(np.asarray(panel))
        axis.set_title(_plain(word), fontsize=16)
    figure.suptitle(_plain("\n".join(title)), fontsize=17, y=1 - 0.1 / tall, va="top")
    figure.subplots_adjust(0.01, below / tall, 0.99, 1 - (above + 0.3) / tall, wspace=0.04, hspace=0.16)
    scale = figure.add_axes((0.06, 0.45 / tall, 0.88, 0.16 / tall))
    share = PercentFormatter(1.0, decimals=0 if high >= 0.1 else 1)
    mappable = ScalarMappable(Normalize(low, high), COLOURS)
    bar = figure.colorbar(mappable, cax=scale, orientation="horizontal", format=share)
    bar.ax.tick_params(labelsize=11)
    bar.set_label("a region's share of a word's attention", fontsize=11)
    return figure


def to_png(drawn: Figure | Image.Image) -> bytes:
    """Return a figure or a picture as the bytes of a PNG file."""
    file = io.BytesIO()
    if isinstance(drawn, Image.Image):
        drawn.save(file, "PNG")
    else:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph .* missing from font")  # the letter is drawn as an empty box
            drawn.savefig(file, format="png", facecolor="white")
    return file.getvalue()


def _plain(text: str) -> str:
    return text.replace("$", r"\$")  # matplotlib renders text between two dollar signs as mathematics


def _attention(caption: Caption) -> np.ndarray:
    if caption.attention is None:
        raise DataError("this model has no attention to draw, because its architecture does not use regions")
    return caption.attention


def _limits(attention: np.ndarray) -> tuple[float, float]:
    """Return the weights at the ends of the colour scale, the same for all words of a caption."""
    low, high, mean = float(attention.min()), float(attention.max()), float(attention.mean())
    if high - low < LEAST_RANGE * mean:  # otherwise noise would look like a result
        low, high = max(0.0, mean * (1 - LEAST_RANGE / 2)), mean * (1 + LEAST_RANGE / 2)
    return low, max(high, low + 1e-9)


def _overlaid(
    image: Image.Image, weights: np.ndarray, limits: tuple[float, float], encoder: Mapping[str, Any] | None
) -> Image.Image:
    from matplotlib import colormaps

    low, high = limits
    size = (image.height, image.width)
    largest = float(weights.max())
    heat = (attention_heat(weights, size, encoder) * largest - low) / (high - low)  # (height, width)
    colour = colormaps[COLOURS](heat.clip(0, 1))[..., :3] * 255
    grey = np.asarray(image.convert("L"), np.float32)[..., None]  # (height, width, 1)
    left, top, right, bottom = covered(size, encoder)
    seen = np.zeros((*size, 1), np.float32)  # parts outside the encoder's grid have no colour
    seen[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)] = OVER
    return Image.fromarray(np.uint8(np.rint(colour * seen + grey * (1 - seen))))


def attention_heat(weights: np.ndarray, size: tuple[int, int], encoder: Mapping[str, Any] | None = None) -> np.ndarray:
    """Spread a word's weights over a picture.

    Args:
        weights: (regions,), row by row.
        size: (height, width) of the picture in pixels.
        encoder: see `attention_maps`.

    Returns:
        (height, width) from 0 to 1, 1 at the largest weight.

    Raises:
        DataError: the regions are not a grid.
    """
    rows, columns = _grid(len(weights), encoder)
    left, top, right, bottom = covered(size, encoder)
    grid = Image.fromarray(np.asarray(weights, np.float32).reshape(rows, columns) / max(float(weights.max()), 1e-12))
    spread = np.asarray(grid.resize((right - left, bottom - top), Image.Resampling.BICUBIC)).clip(0, 1)
    heat = np.zeros(size, np.float32)
    inside = np.s_[max(top, 0) : min(bottom, size[0]), max(left, 0) : min(right, size[1])]
    heat[inside] = spread[max(-top, 0) :, max(-left, 0) :][: heat[inside].shape[0], : heat[inside].shape[1]]
    return heat


def _grid(regions: int, encoder: Mapping[str, Any] | None) -> tuple[int, int]:
    told = (encoder or {}).get("grid")
    if isinstance(told, list | tuple) and len(told) == 2 and math.prod(told) == regions:
        return int(told[0]), int(told[1])
    side = math.isqrt(regions)
    if side * side != regions:
        raise DataError(f"attention over {regions} regions cannot be drawn, because they are not a square grid")
    return side, side


def covered(size: tuple[int, int], encoder: Mapping[str, Any] | None) -> tuple[int, int, int, int]:
    """Return the part of a picture that an encoder's grid covers.

    Args:
        size: (height, width) of the picture in pixels.
        encoder: the encoder's description; see `captioner.images.decode.resize` for the kinds of resizing.

    Returns:
        left, top, right, bottom in pixels; outside of the picture if it was padded.
    """
    height, width = size
    encoder = encoder or {}
    resizing = encoder.get("resizing", "whole")
    if resizing == "whole":
        return 0, 0, width, height
    high, wide = encoder["input_size"]
    scale = (max if resizing == "crop" else min)(high / height, wide / width)
    left, top = (width - wide / scale) / 2, (height - high / scale) / 2
    return round(left), round(top), round(width - left), round(height - top)
