"""What the sample's pictures show: groups of things of one kind and colour, before a background."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random

KINDS = ("circle", "square", "triangle", "star", "heart", "house", "tree", "car", "fish", "flower")
COLOURS = ("red", "yellow", "green", "blue", "white", "black")
BACKGROUNDS = ("sky", "grass", "sand", "night", "snow", "water")

# A thing must stand out: these colours are too near to these backgrounds.
HIDDEN = {
    "sky": {"blue", "white"},
    "grass": {"green"},
    "sand": {"yellow", "white"},
    "night": {"black", "blue"},
    "snow": {"white"},
    "water": {"blue"},
}

# Global pooling blurs which colour belongs to which thing, so most pictures show one group and half of the pairs have
# one colour.
PAIR_SHARE = 0.25
SAME_COLOUR_SHARE = 0.5
SMALL_SHARE = 0.35  # of the pictures of a single thing show it small


@dataclass(frozen=True)
class Group:
    """`count` things of one kind and colour."""

    kind: str
    colour: str
    count: int


@dataclass(frozen=True)
class Scene:
    """What one picture shows.

    Attributes:
        background: one of `BACKGROUNDS`.
        groups: one group, or two of different kinds.
        relation: how the first group of two stands to the second, "above" or "left"; "" for one group.
        size: "big" or "small" for a single thing, "" otherwise.
    """

    background: str
    groups: tuple[Group, ...]
    relation: str = ""
    size: str = ""


def draw_scenes(random: Random) -> Iterator[Scene]:
    """Yield scenes without end, no two alike: an unseen picture is never a seen one redrawn."""
    seen = set()
    while True:
        # The form is drawn before the search for an unseen scene: scenes of one group run short first, and the later
        # pictures (the test split) would show more pairs than the earlier ones.
        draw = _draw_pair if random.random() < PAIR_SHARE else _draw_single
        scene = draw(random)
        while scene in seen:
            scene = draw(random)
        seen.add(scene)
        yield scene


def _draw_group(random: Random, background: str, kinds: tuple[str, ...], most: int) -> Group:
    colours = [colour for colour in COLOURS if colour not in HIDDEN[background]]
    return Group(random.choice(kinds), random.choice(colours), random.randint(1, most))


def _draw_single(random: Random) -> Scene:
    background = random.choice(BACKGROUNDS)
    group = _draw_group(random, background, KINDS, most=4)
    size = "" if group.count > 1 else "small" if random.random() < SMALL_SHARE else "big"
    return Scene(background, (group,), size=size)


def _draw_pair(random: Random) -> Scene:
    background = random.choice(BACKGROUNDS)
    first = _draw_group(random, background, KINDS, most=2)
    second = _draw_group(random, background, tuple(kind for kind in KINDS if kind != first.kind), most=2)
    if random.random() < SAME_COLOUR_SHARE:
        second = replace(second, colour=first.colour)
    return Scene(background, (first, second), relation=random.choice(("above", "left")))
