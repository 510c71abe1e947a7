from collections import defaultdict
from itertools import islice
from pathlib import Path
from random import Random

import numpy as np
import pytest
from nltk.translate.bleu_score import corpus_bleu
from PIL import Image

import make_sample  # isort: skip
from sample_captions import CAPTIONS_PER_PICTURE, describe  # isort: skip
from sample_pictures import SIZE, draw_picture  # isort: skip
from sample_scenes import HIDDEN, draw_scenes  # isort: skip

SAMPLE = Path(__file__).resolve().parents[2] / "data" / "sample"


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sample")
    make_sample.make_sample(folder)
    return folder


def read_captions(folder):
    references = defaultdict(list)
    for line in (folder / "captions.txt").read_text(encoding="utf-8").splitlines():
        key, caption = line.split("\t")
        name, number = key.split("#")
        assert int(number) == len(references[name])
        references[name].append(caption)
    return references


def read_split(folder, split):
    return (folder / f"{split}.txt").read_text(encoding="utf-8").splitlines()


def pixels(path):
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"), dtype=float)


@pytest.mark.slow
def test_the_committed_sample_is_what_the_script_draws(drawn):
    for name in ("captions.txt", "train.txt", "dev.txt", "test.txt", "LICENSE"):
        assert (SAMPLE / name).read_text(encoding="utf-8") == (drawn / name).read_text(encoding="utf-8")
    names = [path.name for path in sorted((SAMPLE / "images").iterdir())]
    assert names == [path.name for path in sorted((drawn / "images").iterdir())]
    for name in names[::10]:  # another JPEG library may round otherwise
        difference = np.abs(pixels(SAMPLE / "images" / name) - pixels(drawn / "images" / name))
        assert difference.mean() < 3, name


def test_the_same_seed_draws_the_same_pixels_and_another_seed_others():
    first, again, other = (draw_picture(next(draw_scenes(Random(seed))), Random(seed)) for seed in (1, 1, 2))
    assert first.tobytes() == again.tobytes()
    assert first.tobytes() != other.tobytes()


def test_every_picture_is_in_one_split_and_has_five_different_captions():
    references = read_captions(SAMPLE)
    splits = [read_split(SAMPLE, split) for split in ("train", "dev", "test")]
    assert [len(split) for split in splits] == list(make_sample.SPLITS.values())
    listed = [name for split in splits for name in split]
    assert len(set(listed)) == len(listed)
    assert set(listed) == set(references) == {path.name for path in (SAMPLE / "images").iterdir()}
    for name, captions in references.items():
        assert len(set(captions)) == CAPTIONS_PER_PICTURE, name


def test_the_sample_is_small():
    assert sum(path.stat().st_size for path in SAMPLE.rglob("*") if path.is_file()) < 5_000_000
    with Image.open(SAMPLE / "images" / "sample_0000.jpg") as picture:
        assert picture.size == (SIZE, SIZE)


def test_captions_of_another_picture_score_a_quarter_at_most():
    references = read_captions(SAMPLE)
    tokens = [[caption.split() for caption in captions] for captions in references.values()]
    candidates = [captions[0] for captions in tokens]
    others = [captions[1:] for captions in tokens]
    right = corpus_bleu(others, candidates)
    shuffled = corpus_bleu(others, candidates[1:] + candidates[:1])
    assert right > 0.4
    assert shuffled < right / 4


def test_no_scene_comes_twice_and_nothing_is_hidden_by_its_background():
    scenes = list(islice(draw_scenes(Random(3)), 900))
    assert len(set(scenes)) == len(scenes)
    assert not [scene for scene in scenes for group in scene.groups if group.colour in HIDDEN[scene.background]]


def test_later_pictures_are_of_the_same_forms_as_earlier_ones():
    forms = [len(scene.groups) for scene in islice(draw_scenes(Random(3)), 1000)]
    assert np.mean(forms[:500]) == pytest.approx(np.mean(forms[500:]), abs=0.1)


def test_every_word_of_the_unseen_captions_is_learnt():
    references = read_captions(SAMPLE)
    words = {
        split: {word for name in read_split(SAMPLE, split) for caption in references[name] for word in caption.split()}
        for split in make_sample.SPLITS
    }
    assert words["dev"] | words["test"] <= words["train"]


def test_articles_agree_with_the_word_that_follows():
    for number, scene in enumerate(islice(draw_scenes(Random(4)), 300)):
        for caption in describe(scene, Random(number)):
            assert "  " not in caption
            assert "are a " not in caption and "is two" not in caption
            for word, following in zip(caption.split(), caption.split()[1:], strict=False):
                assert not (word == "a" and following[0] in "aeiou"), caption
                assert not (word == "an" and following[0] not in "aeiou"), caption
