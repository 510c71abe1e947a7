"""The loop that every search shares, shown on every search."""

import itertools

import keras
import numpy as np
import pytest
from keras import ops

from captioner.generation.beam import BeamSearch
from captioner.generation.config import GenerationConfig
from captioner.generation.decode import generate, make_search
from captioner.generation.greedy import GreedySearch
from captioner.models.architectures import build_decoder
from captioner.models.config import MergeConfig
from captioner.models.merge import MergeDecoder
from captioner.text.vocabulary import SPECIALS, Vocabulary
from tests.generation.toy import (
    VOCABULARY,
    TableDecoder,
    assert_same,
    caption_of,
    log_prob_of,
    log_softmax,
    random_features,
    random_table,
    run,
    run_compiled,
    search,
)

SEARCHES = {
    "greedy": {"beam_size": 1},
    "beam": {"beam_size": 4, "n": 2},
    "diverse": {"beam_size": 6, "groups": 3, "n": 3},
    "sampling": {"sampling": True, "n": 3},
    "nucleus": {"sampling": True, "top_p": 0.7, "temperature": 1.5, "n": 2},
}


@pytest.fixture(params=SEARCHES)
def settings(request):
    return {**SEARCHES[request.param], "max_length": 8}


def test_a_batch_equals_single_calls_though_it_shrinks_as_pictures_finish(settings):
    decoder = TableDecoder(random_table(8, seed=10, end=0.5), regions=5)
    features = random_features(48, seed=2)
    together = search(decoder, features, **settings)
    assert len(np.unique(together["lengths"].max(axis=1))) > 4  # the pictures finish at different times
    for rows in (slice(0, 16), slice(16, 32), slice(32, 48), slice(5, 6), slice(40, 41)):  # too few to shrink
        assert_same(together, search(decoder, features[rows], first=rows.start, **settings), rows)


def test_specials_are_never_emitted(settings):
    table = random_table(8, seed=7)
    table[:, :, [0, 1, 3]] += 20.0
    result = search(TableDecoder(table), random_features(4), **settings)
    for picture, rank in itertools.product(range(4), range(settings.get("n", 1))):
        assert not set(caption_of(result, picture, rank)) & {0, 1, 3}


def test_unk_is_emitted_when_allowed(settings):
    table = random_table(8, seed=7)
    table[:, :, 3] += 20.0
    result = search(TableDecoder(table), random_features(4), allow_unk=True, **settings)
    assert (result["tokens"] == 3).any(axis=(1, 2)).all() and not (result["tokens"] == 1).any()


def test_a_model_that_never_ends_returns_max_length_words(settings):
    result = search(TableDecoder(random_table(8, seed=8, end=-60.0)), random_features(3), **settings)
    assert (result["lengths"] == 8).all()
    assert (result["tokens"] >= 4).all()


def test_captions_end_once_and_are_padded_after_it(settings):
    result = search(TableDecoder(random_table(8, seed=3, end=1.0)), random_features(20), **settings)
    for tokens, length in zip(result["tokens"].reshape(-1, 8), result["lengths"].ravel(), strict=True):
        assert (tokens[length:] == 0).all() and (tokens[:length] >= 2).all()
        assert 2 not in tokens[: length - 1] and (length == 8 or tokens[length - 1] == 2)


def test_log_probs_are_the_sum_over_the_words_of_the_caption(settings):
    table = random_table(8, seed=9)
    features = random_features(5, seed=1)
    result = search(TableDecoder(table), features, **settings)
    for picture, rank in itertools.product(range(5), range(settings.get("n", 1))):
        expected = log_prob_of(log_softmax(table + features[picture]), caption_of(result, picture, rank))
        assert result["log_probs"][picture, rank] == pytest.approx(expected, abs=1e-4)


def test_attention_follows_its_hypothesis(settings):
    decoder = TableDecoder(random_table(8, seed=12), regions=9)
    result = search(decoder, random_features(40, seed=5), **settings)
    for picture, rank in itertools.product(range(40), range(settings.get("n", 1))):
        read = [1, *caption_of(result, picture, rank)[:-1]]
        looked = result["attention"][picture, rank][: len(read)]
        np.testing.assert_array_equal(looked.argmax(axis=-1), read)
        np.testing.assert_allclose(looked.sum(axis=-1), 1.0)


def test_one_word_of_room(settings):
    settings["max_length"] = 1
    result = search(TableDecoder(random_table(1, seed=2)), random_features(3), **settings)
    assert (result["lengths"] == 1).all() and (result["tokens"] >= 2).all()


def test_more_captions_than_the_model_has_come_back_as_fewer():
    table = np.full((2, 5, 5), -1e4, "float32")
    table[:, :, 4], table[:, :, 2] = 1.0, 2.0
    vocabulary = Vocabulary([*SPECIALS, "a"], "ptb", 40, {})
    made = make_search(TableDecoder(table), GenerationConfig(beam_size=8, max_length=2), 8)
    captions = generate(made, np.zeros((2, 5), "float32"), vocabulary)
    assert [[caption.text for caption in picture] for picture in captions] == [["", "a", "a a"]] * 2


@pytest.fixture(scope="module")
def merge():
    """A merge decoder of real size whose random weights make captions of many words and lengths."""
    decoder = build_decoder({"architecture": "merge"}, 2500, (512,))
    rng = np.random.default_rng(0)
    scales = {"words/embedding/embeddings": 3.0, "words/output/kernel": 0.1, "words/output/bias": 0.0}
    weights = decoder.weights
    decoder.set_weights(
        [rng.normal(size=weight.shape).astype("float32") * scales.get(weight.path, 0.05) for weight in weights]
    )
    features = rng.normal(size=(200, 512)).astype("float32")
    tokens = np.concatenate([np.ones((200, 1), "int32"), rng.integers(4, 2500, (200, 9))], axis=1)
    logits = ops.convert_to_numpy(decoder((features, tokens)))  # (pictures, time, words)
    bias = np.zeros(2500, "float32")
    bias[2] = np.quantile(logits.max(axis=-1) - logits[..., 2], 0.4)  # <end> wins that often
    decoder.words.output_layer.bias.assign(bias)
    return decoder


def test_beam_of_one_equals_greedy_on_a_thousand_pictures(merge):
    features = np.random.default_rng(1).normal(size=(1000, 512)).astype("float32")
    config = GenerationConfig(beam_size=1, max_length=16)
    beam, greedy = BeamSearch(merge, config), GreedySearch(merge, config)
    for start in range(0, 1000, 250):
        part = features[start : start + 250]
        found, expected = run_compiled(beam, part), run_compiled(greedy, part)
        assert len(np.unique(expected["lengths"])) > 5 and len(np.unique(expected["tokens"])) > 100
        assert_same(found, expected)


@pytest.mark.slow
def test_a_compiled_batch_equals_single_calls_at_real_size(merge):
    features = np.random.default_rng(2).normal(size=(64, 512)).astype("float32")
    made = make_search(merge, GenerationConfig(beam_size=5, max_length=16), 5)
    together = run_compiled(made, features)
    for picture in range(0, 64, 9):
        assert_same(together, run_compiled(made, features[picture : picture + 1]), slice(picture, picture + 1))


def test_more_captions_than_beams_is_refused():
    with pytest.raises(ValueError, match="n must be between 1 and the beam size 2, found 3"):
        BeamSearch(TableDecoder(random_table(2)), GenerationConfig(beam_size=2), n=3)


@pytest.mark.slow
def test_a_search_exports_with_its_whole_loop(tmp_path):
    tensorflow = pytest.importorskip("tensorflow")
    if keras.backend.backend() != "tensorflow":
        pytest.skip("a SavedModel is TensorFlow's")
    settings = {"beam_size": 4, "max_length": 6, "no_repeat_ngram": 1, "bad_endings": ("a",), "min_length": 1}
    made = make_search(TableDecoder(random_table(6, seed=4), regions=3), GenerationConfig(**settings), 2, VOCABULARY)
    module = tensorflow.Module()
    module.search = made
    module.serve = tensorflow.function(made.call, [tensorflow.TensorSpec([None, 9])], jit_compile=False)
    tensorflow.saved_model.save(module, str(tmp_path))
    loaded = tensorflow.saved_model.load(str(tmp_path))
    for pictures in (1, 40):
        features = random_features(pictures, seed=6)
        result = {name: value.numpy() for name, value in loaded.serve(ops.convert_to_tensor(features)).items()}
        assert_same(result, run(made, features))


@pytest.mark.parametrize(
    "settings",
    [
        {"beam_size": 1},
        {"beam_size": 3, "normalization": "wu", "banned_words": ("the",)},
        {"beam_size": 4, "groups": 2, "diversity": 0.3},
        {"sampling": True, "top_p": 0.9, "seed": 4},
        {"beam_size": 3, "must_include": ("dog",), "start": "a"},
    ],
    ids=lambda settings: "-".join(map(str, settings)),
)
def test_a_search_survives_a_keras_file(settings, tmp_path):
    config = MergeConfig(embedding_size=8, units=8)
    decoder = MergeDecoder(config, len(VOCABULARY), (6,))
    made = make_search(
        decoder, GenerationConfig(max_length=6, **settings), 2 if settings.get("beam_size") != 1 else 1, VOCABULARY
    )
    made.save(tmp_path / "search.keras")
    loaded = keras.saving.load_model(tmp_path / "search.keras")
    assert type(loaded) is type(made) and loaded.config == made.config
    features = np.random.default_rng(0).normal(size=(5, 6)).astype(np.float32)
    before, after = run(made, features), run(loaded, features)
    assert before.keys() == after.keys()
    for name in before:
        np.testing.assert_array_equal(before[name], after[name])


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"normalization": "none"}, -6.0),
        ({"normalization": "average", "length_penalty": 1.0}, -6.0 / 7),
        ({"normalization": "average", "length_penalty": 0.5}, -6.0 / 7**0.5),
        ({"normalization": "wu", "length_penalty": 1.0}, -3.0),
        ({"normalization": "wu", "length_penalty": 2.0}, -1.5),
    ],
)
def test_the_score_of_seven_words(settings, expected):
    made = make_search(TableDecoder(random_table(8)), GenerationConfig(**settings), 1, VOCABULARY)
    assert made.score(-6.0, 7) == pytest.approx(expected)
    assert float(made._normalized(ops.convert_to_tensor([-6.0]), ops.convert_to_tensor([7]))[0]) == pytest.approx(
        expected
    )


@pytest.mark.parametrize("normalization", ["none", "average", "wu"])
def test_captions_are_ranked_by_their_score(normalization):
    """Captions of different lengths, from all hypotheses of a beam."""
    config = GenerationConfig(beam_size=6, max_length=8, normalization=normalization, length_penalty=1.3)
    made = make_search(TableDecoder(random_table(8, seed=3, end=1.0)), config, 6, VOCABULARY)
    found = run(made, random_features(20, seed=4))
    assert len(np.unique(found["lengths"])) > 4
    for log_probs, lengths in zip(found["log_probs"], found["lengths"], strict=True):
        scores = [made.score(log_prob, length) for log_prob, length in zip(log_probs, lengths.tolist(), strict=True)]
        assert scores == sorted(scores, reverse=True)
    by_probability = np.diff(found["log_probs"], axis=1).max() <= 0
    assert by_probability == (normalization == "none")
