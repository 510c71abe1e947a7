import math

import numpy as np
import pytest

from captioner.data.dataset import load_captions
from captioner.features.store import open_features
from captioner.metrics.scorer import score
from captioner.models.architectures import build_decoder
from captioner.text.vocabulary import Vocabulary
from captioner.training import dev_score
from captioner.training.dev_score import DevScore, spread
from captioner.training.losses import CaptionLoss
from tests.training.project import make_project


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    recipe = make_project(tmp_path_factory.mktemp("project"))
    captions, features = load_captions(recipe.data), open_features(recipe.features)
    words = {i: [text.lower().split() for text in texts] for i, texts in captions.references.items()}
    vocabulary = Vocabulary.fit((caption for picture in words.values() for caption in picture), recipe.text)
    encoded = vocabulary.encode_all({i: words[i] for i in captions.split("dev")})
    decoder = build_decoder(recipe.model, len(vocabulary), features.shape)
    return decoder, vocabulary, features, captions, encoded, recipe.generation


def test_the_dev_loss_is_the_cross_entropy_however_training_is_compiled(parts):
    decoder = parts[0]
    decoder.compile(loss=CaptionLoss(0.3), jit_compile=False)
    of_dev = DevScore(*parts)
    expected, words = 0.0, 0
    for (features, tokens, positions), targets, weights in list(of_dev.batches):
        logits = np.asarray(decoder((features, tokens, positions)), "float64")
        log_probs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        expected -= (log_probs[np.arange(len(targets)), np.asarray(targets)] * np.asarray(weights)).sum()
        words += np.asarray(weights).sum()
    scores = of_dev(captions=False)
    assert scores.keys() == {"val_loss", "val_perplexity"}
    assert scores["val_loss"] == pytest.approx(expected / words, rel=1e-4)
    assert scores["val_perplexity"] == pytest.approx(math.exp(scores["val_loss"]))


def test_captions_of_the_same_few_pictures_are_shown_each_time(parts, said):
    of_dev = DevScore(*parts)
    of_dev()
    of_dev()
    shown = [line.partition(":")[0].strip() for line in said]
    assert shown == ["p40", "p42", "p45"] * 2


def test_of_many_dev_pictures_some_can_be_captioned(parts, said):
    some = DevScore(*parts, pictures=4, examples=0)
    assert list(some.references) == ["p40", "p42", "p44", "p46"]
    whole = DevScore(*parts, examples=0)
    assert some(captions=False) == pytest.approx(whole(captions=False))
    assert some().keys() == whole().keys()
    assert said == []


def test_chance_is_the_best_score_of_captions_of_other_pictures(parts):
    of_dev = DevScore(*parts, examples=0)
    ids = of_dev.ids
    first = [of_dev.references[image_id][0] for image_id in ids]
    whole = score(dict(zip(ids, first, strict=True)), of_dev.references, ("cider",)).corpus["cider_d"]
    for turned in range(1, len(ids)):  # each caption is another picture's reference
        candidates = dict(zip(ids, first[-turned:] + first[:-turned], strict=True))
        assert of_dev._chance(candidates) == pytest.approx(whole)


def test_without_other_pictures_or_captions_there_is_no_chance(parts):
    for settings in ({"monitor": "val_loss"}, {"pictures": 1}):
        of_dev = DevScore(*parts, examples=0, **settings)
        assert of_dev._chance({image_id: of_dev.references[image_id][0] for image_id in of_dev.ids}) == 0.0


def test_spread_takes_ids_at_even_distances():
    assert spread("abcdefgh", 2) == ["a", "e"]
    assert spread("abc", None) == spread("abc", 7) == ["a", "b", "c"]


def test_every_word_counts_alike_in_the_loss_of_several_batches(parts, monkeypatch):
    whole = DevScore(*parts)(captions=False)["val_loss"]
    monkeypatch.setattr(dev_score, "BATCH_SIZE", 3)  # 8 pictures with captions of different lengths
    parted = DevScore(*parts)
    assert len(list(parted.batches)) == 3
    assert parted(captions=False)["val_loss"] == pytest.approx(whole, rel=1e-5)
