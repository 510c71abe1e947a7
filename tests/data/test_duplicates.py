import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance

from captioner.data.duplicates import BITS, FARTHEST, confirmed, hash_pictures, near_duplicates, perceptual_hash
from captioner.images.listing import list_images
from captioner.recipe import in_the_box
from tests.shared import FLICKR8K, needs_flickr8k


def draw(seed: int) -> Image.Image:
    rng = random.Random(seed)
    picture = Image.new("RGB", (160, 120), tuple(rng.randrange(256) for _ in range(3)))
    for _ in range(6):
        x, y, side = rng.randrange(140), rng.randrange(100), rng.randrange(10, 70)
        ImageDraw.Draw(picture).ellipse((x, y, x + side, y + side), fill=tuple(rng.randrange(256) for _ in range(3)))
    return picture


@pytest.mark.parametrize("change", ["smaller", "worse", "grey", "brighter", "trimmed"])
def test_a_picture_saved_otherwise_looks_alike(tmp_path: Path, change: str) -> None:
    for seed in range(20):
        picture = draw(seed)
        picture.save(tmp_path / "a.png")
        changed = {
            "smaller": lambda picture: picture.resize((80, 60)),
            "worse": lambda picture: picture,
            "grey": lambda picture: picture.convert("L"),
            "brighter": lambda picture: ImageEnhance.Brightness(picture).enhance(1.1),
            "trimmed": lambda picture: picture.crop((1, 1, 159, 119)),
        }[change](picture)
        changed.save(tmp_path / "b.jpg", quality=40)
        distance = (perceptual_hash(tmp_path / "a.png") ^ perceptual_hash(tmp_path / "b.jpg")).bit_count()
        assert distance <= FARTHEST


def test_other_pictures_do_not(tmp_path: Path) -> None:
    for seed in range(30):
        draw(seed).save(tmp_path / f"{seed:02}.png")
    hashes = hash_pictures(list_images(tmp_path))
    assert len(hashes) == 30 and near_duplicates(hashes) == []


def test_a_picture_that_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    draw(0).save(tmp_path / "a.png")
    (tmp_path / "b.jpg").write_text("no picture")
    assert set(hash_pictures(list_images(tmp_path))) == {"a"}


def groups_by_brute_force(hashes: dict[str, int], farthest: int) -> set[frozenset[str]]:
    groups = [{name} for name in hashes]
    for one in hashes:
        for other in hashes:
            if (hashes[one] ^ hashes[other]).bit_count() <= farthest:
                first, second = (next(group for group in groups if name in group) for name in (one, other))
                if first is not second:
                    groups.remove(second)
                    first |= second
    return {frozenset(group) for group in groups if len(group) > 1}


@pytest.mark.parametrize("farthest", [0, 3, 6])
def test_the_bands_miss_no_pair(farthest: int) -> None:
    rng = np.random.default_rng(farthest)
    hashes = {}
    for index in range(300):
        value = int(rng.integers(0, 2**BITS, dtype=np.uint64))
        hashes[f"{index}"] = value
        for copy in range(int(rng.integers(0, 3))):
            flips = rng.choice(BITS, size=int(rng.integers(0, farthest + 3)), replace=False)
            hashes[f"{index}-{copy}"] = value ^ sum(1 << int(bit) for bit in flips)
    found = near_duplicates(hashes, farthest)
    assert {frozenset(group) for group in found} == groups_by_brute_force(hashes, farthest)
    assert [list(group) for group in found] == [[name for name in hashes if name in group] for group in found]


def test_a_thousand_equal_pictures_are_one_group_at_once() -> None:
    assert near_duplicates({f"{index}": 5 for index in range(20_000)}) == [tuple(f"{index}" for index in range(20_000))]
    assert near_duplicates({}) == []


@pytest.mark.slow
@needs_flickr8k
def test_the_two_identical_pictures_of_flickr8k_are_found() -> None:
    hashes = hash_pictures(list_images(FLICKR8K / "Flicker8k_Dataset"))
    assert len(hashes) == 7000
    assert near_duplicates(hashes) == [("2851198725_37b6027625", "3050606344_af711c726c")]


def test_no_drawings_of_the_sample_are_taken_for_each_other() -> None:
    pictures = list_images(in_the_box("data/sample/images"))
    groups = near_duplicates(hash_pictures(pictures))
    assert groups and confirmed(groups, pictures) == []


def test_copies_are_confirmed_and_other_pictures_are_not(tmp_path: Path) -> None:
    for seed in range(8):
        picture = draw(seed)
        picture.save(tmp_path / f"{seed}a.png")
        picture.resize((80, 60)).save(tmp_path / f"{seed}b.jpg", quality=40)
        ImageEnhance.Brightness(picture).enhance(1.1).save(tmp_path / f"{seed}c.jpg", quality=40)
        picture.convert("L").save(tmp_path / f"{seed}d.png")
        Image.merge("RGB", picture.split()[::-1]).save(tmp_path / f"{seed}e.png")
    pictures = list_images(tmp_path)
    copies = [tuple(f"{seed}{kind}" for kind in "abcd") for seed in range(8)]
    assert confirmed(copies, pictures) == copies
    assert confirmed([tuple(sorted(pictures))], pictures) != [tuple(sorted(pictures))]


@needs_flickr8k
def test_saved_again_photographs_are_confirmed(tmp_path: Path) -> None:
    pictures = {}
    for path in sorted((FLICKR8K / "Flicker8k_Dataset").iterdir())[:400:10]:
        with Image.open(path) as picture:
            worse = picture.convert("RGB").resize((picture.width // 2, picture.height // 2))
        worse.save(tmp_path / path.name, quality=20)
        pictures |= {path.stem: path, f"{path.stem}2": tmp_path / path.name}
    pairs = [(name, f"{name}2") for name in pictures if f"{name}2" in pictures]
    assert confirmed(pairs, pictures) == pairs
