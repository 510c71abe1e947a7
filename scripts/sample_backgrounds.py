"""The sample's backgrounds: a vertical colour gradient, and details that identify the place."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from PIL import Image, ImageDraw

RGB = tuple[int, int, int]

RUNS: dict[str, tuple[RGB, RGB]] = {  # the colour at the top and at the bottom
    "sky": ((110, 184, 246), (196, 228, 252)),
    "grass": ((128, 208, 84), (92, 178, 56)),
    "sand": ((246, 224, 170), (226, 194, 128)),
    "night": ((10, 14, 46), (30, 34, 84)),
    "snow": ((236, 242, 250), (220, 230, 244)),
    "water": ((52, 170, 206), (20, 112, 164)),
}


def draw_background(name: str, side: int, random: Random) -> Image.Image:
    """Return an RGB picture of side x side pixels with one of the backgrounds in `RUNS`."""
    top, bottom = RUNS[name]
    run = Image.new("RGB", (1, 2))
    run.putpixel((0, 0), top)
    run.putpixel((0, 1), bottom)
    picture = run.resize((side, side), Image.Resampling.BILINEAR)
    MARKS[name](ImageDraw.Draw(picture), side, random)
    return picture


def _clouds(draw: ImageDraw.ImageDraw, side: int, random: Random) -> None:
    for column in range(3):
        x, y = side * (column + random.uniform(0.1, 0.7)) / 3, side * random.uniform(0.05, 0.9)
        for shift, rise, radius in ((-0.07, 0, 0.05), (0, -0.03, 0.07), (0.08, 0, 0.055)):
            a, b, r = x + shift * side, y + rise * side, radius * side
            draw.ellipse((a - r, b - 0.7 * r, a + r, b + 0.7 * r), fill=(250, 252, 255))


def _blades(draw: ImageDraw.ImageDraw, side: int, random: Random) -> None:
    for _ in range(110):
        x, y = random.uniform(0, side), random.uniform(0, side)
        height, lean = side * random.uniform(0.03, 0.06), side * random.uniform(-0.02, 0.02)
        draw.line((x, y, x + lean, y - height), fill=random.choice(((62, 150, 40), (160, 226, 104))), width=side // 110)


def _grains(draw: ImageDraw.ImageDraw, side: int, random: Random) -> None:
    for _ in range(130):
        x, y, r = random.uniform(0, side), random.uniform(0, side), side * random.uniform(0.003, 0.007)
        draw.ellipse((x - r, y - r, x + r, y + r), fill=(190, 154, 92))
    for ridge in range(3):
        y = side * (ridge + random.uniform(0.2, 0.8)) / 3
        draw.arc((-0.2 * side, y, 0.9 * side, y + 0.16 * side), 200, 340, fill=(206, 170, 106), width=side // 100)


def _stars(draw: ImageDraw.ImageDraw, side: int, random: Random) -> None:
    for _ in range(45):
        x, y, r = random.uniform(0, side), random.uniform(0, side), side * random.uniform(0.003, 0.008)
        draw.ellipse((x - r, y - r, x + r, y + r), fill=(250, 246, 206))


def _flakes(draw: ImageDraw.ImageDraw, side: int, random: Random) -> None:
    for bank in range(3):
        y = side * (bank + random.uniform(0.3, 0.9)) / 3
        draw.arc((-0.1 * side, y, 1.1 * side, y + 0.3 * side), 190, 350, fill=(190, 206, 230), width=side // 70)
    for _ in range(50):
        x, y, r = random.uniform(0, side), random.uniform(0, side), side * random.uniform(0.005, 0.011)
        draw.ellipse((x - r, y - r, x + r, y + r), fill=(255, 255, 255), outline=(176, 194, 224), width=side // 250)


def _waves(draw: ImageDraw.ImageDraw, side: int, random: Random) -> None:
    step = side / 9
    for line in range(9):
        y, shift = step * (line + random.uniform(0.2, 0.5)), random.uniform(0, step)
        for wave in range(-1, 10):
            x = wave * step + shift
            draw.arc((x, y, x + step, y + 0.5 * step), 0, 180, fill=(150, 220, 236), width=side // 120)


MARKS: dict[str, Callable[[ImageDraw.ImageDraw, int, Random], None]] = {
    "sky": _clouds,
    "grass": _blades,
    "sand": _grains,
    "night": _stars,
    "snow": _flakes,
    "water": _waves,
}
