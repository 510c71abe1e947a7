"""Describes scenes as several people would: with different words, in a different order, with more or less detail."""

from __future__ import annotations

from random import Random
from typing import TypeVar

from sample_scenes import Group, Scene

T = TypeVar("T")

CAPTIONS_PER_PICTURE = 5

# The first of several words is used four times in five.
NOUNS: dict[str, tuple[tuple[str, str], ...]] = {
    "circle": (("circle", "circles"), ("disc", "discs")),
    "square": (("square", "squares"), ("box", "boxes")),
    "triangle": (("triangle", "triangles"),),
    "star": (("star", "stars"),),
    "heart": (("heart", "hearts"),),
    "house": (("house", "houses"), ("cottage", "cottages")),
    "tree": (("tree", "trees"),),
    "car": (("car", "cars"),),
    "fish": (("fish", "fish"),),
    "flower": (("flower", "flowers"), ("blossom", "blossoms")),
}
COUNTS: dict[int, tuple[str, ...]] = {1: ("a", "one"), 2: ("two", "a pair of"), 3: ("three",), 4: ("four",)}
SIZES = {"big": ("big", "large", "huge"), "small": ("small", "little", "tiny"), "": ("",)}

WHERE: dict[str, tuple[str, ...]] = {  # after what is seen
    "sky": ("in the sky", "in a cloudy sky", "among the clouds"),
    "grass": ("on the grass", "on green grass", "in a meadow"),
    "sand": ("on the sand", "on a sandy beach", "at the beach"),
    "night": ("at night", "in the night sky", "in the dark"),
    "snow": ("in the snow", "on white snow", "in winter"),
    "water": ("in the water", "in the sea", "on the waves"),
}
PLACES: dict[str, tuple[str, ...]] = {  # before what is seen
    "sky": ("a cloudy sky with",),
    "grass": ("a green meadow with",),
    "sand": ("a sandy beach with",),
    "night": ("a dark night with",),
    "snow": ("a snowy field with",),
    "water": ("a wavy sea with",),
}
DOING: dict[str, tuple[str, ...]] = {
    "circle": ("floating",),
    "square": ("floating",),
    "triangle": ("floating",),
    "star": ("shining",),
    "heart": ("floating",),
    "house": ("standing",),
    "tree": ("growing",),
    "car": ("parked",),
    "fish": ("swimming",),
    "flower": ("growing",),
}
RELATIONS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {  # said of the first group, said of the second
    "above": (("above", "over"), ("below", "under")),
    "left": (("left of", "to the left of"), ("right of", "to the right of")),
}


def describe(scene: Scene, random: Random) -> tuple[str, ...]:
    """Return CAPTIONS_PER_PICTURE different captions of a scene."""
    sentences = _of_one(scene, random) if len(scene.groups) == 1 else _of_two(scene, random)
    random.shuffle(sentences)
    return tuple(sentences[:CAPTIONS_PER_PICTURE])


def _of_one(scene: Scene, random: Random) -> list[str]:
    group = scene.groups[0]
    wheres = _shuffled(WHERE[scene.background], random)
    doing = _pick(DOING[group.kind], random)

    def things() -> str:
        return _name(group, random, scene.size)

    return [
        f"{things()} {wheres[0]}",
        f"{things()} {wheres[1]}",
        f"{_there(things())} {wheres[0]}",
        f"{things()} {doing} {wheres[2]}",
        f"{_pick(PLACES[scene.background], random)} {things()}",
    ]


def _of_two(scene: Scene, random: Random) -> list[str]:
    first, second = scene.groups
    wheres = _shuffled(WHERE[scene.background], random)
    forth, back = RELATIONS[scene.relation]
    beside = ("next to", "beside") if scene.relation == "left" else forth

    def a() -> str:
        return _name(first, random)

    def b() -> str:
        return _name(second, random)

    return [
        f"{a()} {_pick(forth, random)} {b()}",
        f"{b()} {_pick(back, random)} {a()} {wheres[0]}",
        f"{a()} {_pick(beside, random)} {b()} {wheres[1]}",
        f"{_there(a())} and {b()} {wheres[2]}",
        f"{_pick(PLACES[scene.background], random)} {a()} {_pick(beside, random)} {b()}",
    ]


def _there(phrase: str) -> str:
    return f"there {'is' if phrase.startswith(('a ', 'an ', 'one ')) else 'are'} {phrase}"


def _name(group: Group, random: Random, size: str = "") -> str:
    """Return a group as a noun phrase: "two yellow stars"."""
    noun = _pick(NOUNS[group.kind], random)[group.count > 1]
    words = [_pick(SIZES[size], random) if random.random() < 0.75 else "", group.colour, noun]
    phrase = " ".join(word for word in words if word)
    count = _pick(COUNTS[group.count], random)
    if count == "a" and phrase[0] in "aeiou":
        count = "an"
    return f"{count} {phrase}"


def _pick(words: tuple[T, ...], random: Random) -> T:
    return words[0] if len(words) == 1 or random.random() < 0.8 else random.choice(words[1:])


def _shuffled(words: tuple[str, ...], random: Random) -> list[str]:
    return random.sample(words, len(words))
