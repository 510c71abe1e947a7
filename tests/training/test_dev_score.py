import math

import numpy as np
import pytest

from captioner.data.dataset import load_captions
from captioner.features.store import open_features
from captioner.models.architectures import build_decoder
from captioner.text.vocabulary import Vocabulary
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
    score = DevScore(*parts)
    expected, words = 0.0, 0
    for (features, tokens, positions), targets, weights in list(score.batches):
        logits = np.asarray(decoder((features, tokens, positions)), "float64")
        log_probs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        expected -= (log_probs[np.arange(len(targets)), np.asarray(targets)] * np.asarray(weights)).sum()
        words += np.asarray(weights).sum()
    scores = score(captions=False)
    assert scores.keys() == {"val_loss", "val_perplexity"}
    assert scores["val_loss"] == pytest.approx(expected / words, rel=1e-4)
    assert scores["val_perplexity"] == pytest.approx(math.exp(scores["val_loss"]))


def test_captions_of_the_same_few_pictures_are_shown_each_time(parts, said):
    score = DevScore(*parts)
    score()
    score()
    shown = [line.partition(":")[0].strip() for line in said]
    assert shown == ["p40", "p42", "p45"] * 2


def test_of_many_dev_pictures_some_can_be_captioned(parts, said):
    score = DevScore(*parts, pictures=4, examples=0)
    assert list(score.references) == ["p40", "p42", "p44", "p46"]
    whole = DevScore(*parts, examples=0)
    assert score(captions=False) == pytest.approx(whole(captions=False))
    assert score().keys() == whole().keys()
    assert said == []


def test_spread_takes_ids_at_even_distances():
    assert spread("abcdefgh", 2) == ["a", "e"]
    assert spread("abc", None) == spread("abc", 7) == ["a", "b", "c"]
