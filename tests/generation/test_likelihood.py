import keras
import numpy as np
import pytest

from captioner.captioner import Captioner
from captioner.generation import likelihood as module
from captioner.generation.config import GenerationConfig
from captioner.generation.likelihood import Likelihood
from captioner.generation.padding import log_mean_exp
from captioner.models.architectures import build_decoder
from captioner.text.vocabulary import PAD, TextConfig, Vocabulary
from tests.speed import slow

WORDS = [["a", "dog", "runs"], ["a", "cat", "sleeps"], ["the", "dog", "sleeps"]]
PICTURES = 5


@pytest.fixture(scope="module", params=[("merge", (5,)), slow(("attention", (4, 5)))])
def captioner(request):
    keras.utils.set_random_seed(0)
    architecture, shape = request.param
    vocabulary = Vocabulary.fit(WORDS, TextConfig())
    settings = {"architecture": architecture, "units": 8, "embedding_size": 4}
    decoder = build_decoder(settings, len(vocabulary), shape)
    return Captioner(decoder, vocabulary, None, GenerationConfig(max_length=6))


@pytest.fixture(scope="module")
def features(captioner):
    return np.random.default_rng(0).normal(size=(PICTURES, *captioner.decoder.feature_shape)).astype("float32")


def test_a_caption_is_as_likely_as_the_search_says(captioner, features):
    found = captioner.caption_features(features, n=2, beam_size=3)
    likelihood = Likelihood(captioner.decoder, 8)
    texts = []
    for several in found:  # one that has six words has not ended
        numbers = [captioner.vocabulary.encode(caption.tokens) for caption in several]
        texts.append([text[:-1] if len(text) == 8 else text for text in numbers])
    tokens = np.zeros((PICTURES, 2, 9), np.int32)
    for picture, several in enumerate(texts):
        tokens[picture, : len(several)] = likelihood.padded(several)
    scores = likelihood.of_pairs(features, tokens)
    for picture, several in enumerate(found):
        for rank, caption in enumerate(several):
            assert scores[picture, rank] == pytest.approx(caption.log_prob, abs=1e-4)
        assert (scores[picture, len(several) :] == 0).all()  # nothing but padding


def test_batches_of_any_size_say_the_same(captioner, features):
    likelihood = Likelihood(captioner.decoder, 6)
    tokens = likelihood.padded([captioner.vocabulary.encode(words) for words in WORDS])
    whole = likelihood.of_all(features, tokens)
    assert whole.shape == (PICTURES, 3) and (whole < 0).all()
    likelihood._room = 2
    np.testing.assert_allclose(likelihood.of_all(features, tokens), whole, atol=1e-5)


def test_the_words_that_a_picture_calls_up(captioner, features):
    likelihood = Likelihood(captioner.decoder, 6)
    tokens = likelihood.padded([captioner.vocabulary.encode(["a", "dog"])] * PICTURES)
    chances = likelihood.words(features, tokens)
    assert chances.shape == (PICTURES, len(captioner.vocabulary)) and 0 < chances.min() <= chances.max() < 1
    first = np.asarray(keras.ops.softmax(captioner.decoder((features, tokens[:, :1]))))[:, 0]
    assert (chances >= first - 1e-6).all()  # the largest along the caption


def test_a_text_that_is_too_long_is_cut_and_ends():
    likelihood = Likelihood.__new__(Likelihood)
    likelihood.max_length = 3
    assert likelihood.padded([[1, 4, 5, 6, 7, 2], [1, 4, 2]]).tolist() == [[1, 4, 5, 2], [1, 4, 2, 0]]


def test_the_mean_of_probabilities_in_logarithms():
    values = np.log(np.array([[0.5, 1e-3], [0.1, 3e-3]]))
    np.testing.assert_allclose(log_mean_exp(values, axis=0), np.log([0.3, 2e-3]))
    assert log_mean_exp(np.array([[-2000.0]]), axis=0).tolist() == [-2000.0]


def test_little_room_changes_nothing(captioner, features, monkeypatch):
    """More texts and pictures than fit into a batch."""
    pictures = np.concatenate([features] * 4)[:18]
    words = [WORDS[number % 3][: 1 + number % 3] for number in range(11)]
    roomy = Likelihood(captioner.decoder, 6)
    texts = roomy.padded([captioner.vocabulary.encode(text) for text in words])
    monkeypatch.setattr(module, "LARGEST_LOGITS", 1)
    tight = Likelihood(captioner.decoder, 6)
    np.testing.assert_allclose(tight.of_all(pictures, texts), roomy.of_all(pictures, texts), atol=1e-5)
    one_each = texts[np.arange(18) % 11]
    np.testing.assert_allclose(tight.words(pictures, one_each), roomy.words(pictures, one_each), atol=1e-6)


def test_a_words_probability_is_its_largest_at_any_position_of_the_caption(captioner, features):
    """With texts of different lengths, the longest as long as it may be."""
    likelihood = Likelihood(captioner.decoder, 4)
    words = [WORDS[0], ["a"], WORDS[1][:2], WORDS[2], ["the"]]
    tokens = likelihood.padded([captioner.vocabulary.encode(text) for text in words])
    found = likelihood.words(features, tokens)  # (pictures, words)
    for picture, row in enumerate(tokens):
        read = row[:-1][row[:-1] != PAD]
        logits = captioner.decoder((features[picture : picture + 1], read[None, None]))
        chances = keras.ops.convert_to_numpy(keras.ops.softmax(logits)).reshape(len(read), -1)
        np.testing.assert_allclose(found[picture], chances.max(axis=0), atol=1e-5)
