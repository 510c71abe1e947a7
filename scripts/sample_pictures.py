"""Scenes as pictures: flat shapes with a dark outline before a background, drawn large and scaled down."""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random

from PIL import Image, ImageDraw
from sample_backgrounds import RGB, draw_background
from sample_scenes import Group, Scene

SIZE = 128  # pixels on a side
OVERSAMPLING = 4  # Pillow draws without anti-aliasing; scaling down gives it
CANVAS = SIZE * OVERSAMPLING

Point = tuple[float, float]

PAINTS: dict[str, RGB] = {
    "red": (222, 32, 38),
    "yellow": (252, 222, 36),
    "green": (24, 140, 62),
    "blue": (32, 78, 216),
    "white": (252, 252, 252),
    "black": (24, 24, 28),
}


class Pen:
    """Draws in one thing's own frame: x right and y down from -1 to 1, whatever its place and size."""

    def __init__(self, draw: ImageDraw.ImageDraw, centre: Point, radius: float, paint: RGB) -> None:
        self.draw, self.centre, self.radius, self.paint = draw, centre, radius, paint
        red, green, blue = paint
        self.dark: RGB = (90, 90, 96) if sum(paint) < 120 else (red // 2, green // 2, blue // 2)
        self.line = max(1, round(0.07 * radius))

    def at(self, x: float, y: float) -> Point:
        return self.centre[0] + x * self.radius, self.centre[1] + y * self.radius

    def polygon(self, points: list[Point], fill: RGB | None = None) -> None:
        corners = [self.at(*point) for point in points]
        self.draw.polygon(corners, fill=fill or self.paint)
        self.draw.line([*corners, corners[0], corners[1]], fill=self.dark, width=self.line, joint="curve")

    def ellipse(self, x: float, y: float, width: float, height: float, fill: RGB | None = None) -> None:
        box = (*self.at(x - width, y - height), *self.at(x + width, y + height))
        self.draw.ellipse(box, fill=fill or self.paint, outline=self.dark, width=self.line)

    def box(self, left: float, top: float, right: float, bottom: float, fill: RGB | None = None) -> None:
        self.polygon([(left, top), (right, top), (right, bottom), (left, bottom)], fill)


def _circle(pen: Pen) -> None:
    pen.ellipse(0, 0, 0.95, 0.95)


def _square(pen: Pen) -> None:
    pen.box(-0.88, -0.88, 0.88, 0.88)


def _triangle(pen: Pen) -> None:
    pen.polygon([(0, -0.95), (1, 0.85), (-1, 0.85)])


def _star(pen: Pen) -> None:
    turns = [(1.0 if corner % 2 == 0 else 0.42, math.pi * corner / 5) for corner in range(10)]
    pen.polygon([(radius * math.sin(turn), -radius * math.cos(turn)) for radius, turn in turns])


def _heart(pen: Pen) -> None:
    turns = [2 * math.pi * step / 60 for step in range(60)]
    pen.polygon(
        [
            (
                math.sin(turn) ** 3,
                -(13 * math.cos(turn) - 5 * math.cos(2 * turn) - 2 * math.cos(3 * turn) - math.cos(4 * turn)) / 16,
            )
            for turn in turns
        ]
    )


def _house(pen: Pen) -> None:
    pen.box(-0.75, -0.15, 0.75, 0.95)
    pen.polygon([(0, -1), (1, -0.1), (-1, -0.1)], fill=pen.dark)
    pen.box(-0.18, 0.4, 0.18, 0.95, fill=pen.dark)
    for left in (-0.6, 0.3):
        pen.box(left, 0.1, left + 0.3, 0.4, fill=(250, 240, 180))


def _tree(pen: Pen) -> None:
    pen.box(-0.16, 0.3, 0.16, 1, fill=(112, 72, 40))
    for x, y in ((-0.42, 0.1), (0.42, 0.1), (0, -0.45)):
        pen.ellipse(x, y, 0.5, 0.5)
    pen.draw.ellipse((*pen.at(-0.42, -0.42), *pen.at(0.42, 0.42)), fill=pen.paint)


def _car(pen: Pen) -> None:
    pen.polygon([(-0.6, 0), (-0.35, -0.5), (0.35, -0.5), (0.65, 0)])
    pen.box(-1, -0.02, 1, 0.45)
    pen.polygon([(-0.42, -0.04), (-0.27, -0.38), (-0.04, -0.38), (-0.04, -0.04)], fill=(200, 228, 240))
    pen.polygon([(0.06, -0.04), (0.06, -0.38), (0.28, -0.38), (0.46, -0.04)], fill=(200, 228, 240))
    for x in (-0.55, 0.55):
        pen.ellipse(x, 0.45, 0.26, 0.26, fill=(36, 36, 36))
        pen.ellipse(x, 0.45, 0.1, 0.1, fill=(190, 190, 190))


def _fish(pen: Pen) -> None:
    pen.polygon([(0.45, 0), (1, -0.5), (1, 0.5)])
    pen.polygon([(-0.2, -0.4), (0.2, -0.75), (0.3, -0.3)])
    pen.ellipse(-0.2, 0, 0.78, 0.48)
    pen.ellipse(-0.6, -0.1, 0.12, 0.12, fill=(255, 255, 255))
    pen.ellipse(-0.62, -0.1, 0.04, 0.04, fill=(20, 20, 20))


def _flower(pen: Pen) -> None:
    stem = (30, 110, 40)
    pen.draw.line([pen.at(0, 0), pen.at(0, 1)], fill=stem, width=3 * pen.line)
    pen.draw.ellipse((*pen.at(0.02, 0.55), *pen.at(0.55, 0.8)), fill=stem)
    for petal in range(6):
        turn = math.pi * petal / 3
        pen.ellipse(0.42 * math.sin(turn), -0.3 - 0.42 * math.cos(turn), 0.3, 0.3)
    pen.ellipse(0, -0.3, 0.26, 0.26, fill=(120, 70, 20) if sum(pen.paint) > 440 else (250, 214, 60))


SHAPES: dict[str, Callable[[Pen], None]] = {
    "circle": _circle,
    "square": _square,
    "triangle": _triangle,
    "star": _star,
    "heart": _heart,
    "house": _house,
    "tree": _tree,
    "car": _car,
    "fish": _fish,
    "flower": _flower,
}


def draw_picture(scene: Scene, random: Random) -> Image.Image:
    """Draw a scene as an RGB picture of SIZE x SIZE pixels; `random` moves and scales things a little."""
    picture = draw_background(scene.background, CANVAS, random)
    draw = ImageDraw.Draw(picture)
    for group, places in zip(scene.groups, _places(scene, random), strict=True):
        for x, y, radius in places:
            SHAPES[group.kind](Pen(draw, (x * CANVAS, y * CANVAS), radius * CANVAS, PAINTS[group.colour]))
    return picture.resize((SIZE, SIZE), Image.Resampling.LANCZOS)


def _places(scene: Scene, random: Random) -> list[list[tuple[float, float, float]]]:
    """Return for every group its things' places: (x, y, radius) as parts of the picture's side."""
    if len(scene.groups) == 1:
        layouts = [_alone(scene.groups[0], scene.size, random)]
    elif scene.relation == "above":
        layouts = [_row(group, 0.27 + 0.46 * index) for index, group in enumerate(scene.groups)]
    else:
        layouts = [
            [(y, x, radius) for x, y, radius in _row(group, 0.27 + 0.46 * index)]
            for index, group in enumerate(scene.groups)
        ]
    return [[_jitter(place, random) for place in layout] for layout in layouts]


def _alone(group: Group, size: str, random: Random) -> list[tuple[float, float, float]]:
    if group.count == 1:
        if size == "small":
            return [(random.uniform(0.3, 0.7), random.uniform(0.3, 0.7), 0.15)]
        return [(0.5, 0.5, 0.38)]
    if group.count == 2:
        return [(0.27, 0.5, 0.2), (0.73, 0.5, 0.2)]
    if group.count == 3:
        return [(0.5, 0.27, 0.19), (0.26, 0.72, 0.19), (0.74, 0.72, 0.19)]
    return [(x, y, 0.19) for y in (0.26, 0.74) for x in (0.26, 0.74)]


def _row(group: Group, y: float) -> list[tuple[float, float, float]]:
    return [(0.5, y, 0.23)] if group.count == 1 else [(0.27, y, 0.2), (0.73, y, 0.2)]


def _jitter(place: tuple[float, float, float], random: Random) -> tuple[float, float, float]:
    x, y, radius = place
    return x + random.uniform(-0.03, 0.03), y + random.uniform(-0.03, 0.03), radius * random.uniform(0.92, 1.08)
