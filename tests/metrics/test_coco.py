"""Beside the COCO caption evaluation code itself: the same scores, corpus and per picture."""

import random

import numpy as np
import pytest

from captioner.data.dataset import read_captions
from captioner.metrics.scorer import score
from captioner.recipe import in_the_box
from captioner.text.ptb import tokenize
from tests.metrics.coco import coco_scores, needs_pycocoevalcap
from tests.shared import COCO_MINI, FLICKR8K, needs_coco_mini, needs_flickr8k

KEYS = ("bleu_1", "bleu_2", "bleu_3", "bleu_4", "rouge_l", "cider_d")


def assert_equal(candidates, references):
    """Check our scores of raw captions, and those of the evaluation code on our tokens, within 1e-6."""
    ours = score(candidates, references)
    given = {image_id: [tokenize(text) for text in references[image_id]] for image_id in candidates}
    theirs = coco_scores({image_id: tokenize(text) for image_id, text in candidates.items()}, given)
    assert tuple(ours.corpus) == KEYS
    for key, (corpus, each) in theirs.items():
        assert ours.corpus[key] == pytest.approx(corpus, abs=1e-6)
        mine = [row[key] for row in ours.per_image.values()]
        np.testing.assert_allclose(mine, each, atol=1e-6, rtol=0, err_msg=key)


@needs_pycocoevalcap
def test_the_samples_captions():
    references = dict(list(read_captions(in_the_box("data/sample/captions.txt")).items())[:120])
    others = [texts[0] for texts in references.values()]
    assert_equal(dict(zip(references, others[7:] + others[:7], strict=True)), references)


@needs_pycocoevalcap
def test_any_captions():
    """Of any length, with words repeated, none at all, one reference or many, and several that are equal."""
    draw = random.Random(4)
    words = ["a", "dog", "the", "cat", "runs", "on", "grass", "1 1/2", "cups", "café", "кот"]

    def caption(shortest):
        return " ".join(draw.choices(words, k=draw.randint(shortest, 12)))

    references = {f"p{n}": [caption(1) for _ in range(draw.randint(1, 6))] for n in range(60)}
    references["p3"] = ["a dog", "a dog", "the cat runs"]
    candidates = {image_id: caption(0) for image_id in references}
    candidates |= {"p3": "a dog", "p4": "", "p5": " . ", "p6": references["p6"][0]}
    assert_equal(candidates, references)


@pytest.mark.slow
@needs_pycocoevalcap
@needs_flickr8k
def test_all_of_flickr8k():
    references = read_captions(FLICKR8K / "Flickr8k.token.txt")
    given = {image_id: texts[1:] for image_id, texts in references.items() if len(texts) > 1}
    others = [texts[0] for image_id, texts in references.items() if image_id in given]
    assert_equal(dict(zip(given, others[1:] + others[:1], strict=True)), given)


@pytest.mark.slow
@needs_pycocoevalcap
@needs_coco_mini
def test_cocos_own_captions():
    references = read_captions(COCO_MINI / "captions_train2017_mini80.json")
    assert_equal({i: texts[0] for i, texts in references.items()}, {i: texts[1:] for i, texts in references.items()})
