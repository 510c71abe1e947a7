import json

import numpy as np
import pytest

import captioner
from captioner.config import ConfigError
from captioner.export import fast
from captioner.export.fast import FOLDER, STEP, FastCaptioner, NoGraphError, load_fast
from captioner.export.fast_graph import write_fast_graph, write_graphs
from captioner.generation.config import GenerationConfig
from captioner.metrics.calibration import Calibration
from captioner.storage import DataError, write_bytes
from captioner.text.vocabulary import Vocabulary
from captioner.training.baseline import as_directions
from captioner.training.familiarity import Familiarity
from tests.export.cases import IN_ONNX, TIE, keras_captions, make, pictures
from tests.speed import slow_but

OPTIONS = (
    (1, {"beam_size": 1}),
    (3, {}),
    (2, {"no_repeat_ngram": 1, "bad_endings": ("a", "the"), "min_length": 4}),
    (2, {"no_repeat_ngram": 2, "banned_words": ("dog",), "normalization": "wu", "max_length": 5}),
    (2, {"beam_size": 4, "groups": 2, "diversity": 1.5}),
    (30, {"beam_size": 30, "max_length": 2}),
    (3, {"sample": True, "seed": 3}),
    (2, {"start": "the dog", "no_repeat_ngram": 1, "banned_words": ("a",)}),
    (2, {"start": "a", "sample": True, "seed": 5}),
    (2, {"must_include": ("dog", "box|cat"), "beam_size": 3}),
    (3, {"must_include": ("dog",), "start": "a", "min_length": 4, "bad_endings": ("dog",), "normalization": "wu"}),
    (1, {"must_include": ("ball",), "beam_size": 1, "max_length": 3}),
    (30, {"must_include": ("dog|ball",), "beam_size": 30, "max_length": 2}),
    (2, {"top_p": 0.8, "top_k": 9, "temperature": 0.7, "max_length": 11}),
)


def assert_equal(ours, theirs):
    """Check Captions of two captioners: words, log-probabilities to rounding, attention."""
    assert [len(one) for one in ours] == [len(one) for one in theirs]
    pairs = [pair for row, other in zip(ours, theirs, strict=True) for pair in zip(row, other, strict=True)]
    for one, other in pairs:
        assert (one.text, one.tokens) == (other.text, other.tokens)
        assert abs(one.log_prob - other.log_prob) < TIE
        assert (one.attention is None) == (other.attention is None)
        if one.attention is not None:
            np.testing.assert_allclose(one.attention, other.attention, atol=1e-4)


@pytest.mark.parametrize("architecture", slow_but(IN_ONNX, "transformer"))
def test_every_search_gives_what_keras_gives(architecture, tmp_path):
    model = make(architecture)
    write_graphs(tmp_path, model, "")
    quick = FastCaptioner(tmp_path)
    features = model.encode(list(pictures(5)))
    np.testing.assert_allclose(quick.encode(list(pictures(5))), features, atol=1e-4)
    for n, options in OPTIONS if architecture == "merge" else OPTIONS[:2]:
        assert_equal(quick.caption_features(features, n, **options), keras_captions(model, features, n, **options))


@pytest.fixture(scope="module")
def model():
    from tests.encoders.tiny import BACKBONES, Backbone, tiny

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(BACKBONES, "tiny", Backbone(tiny, (9, 13), "caffe", None, (4, 6, 6), 168))
        yield make("merge")


@pytest.fixture
def run(model, tmp_path):
    model.save_to(tmp_path / "captioner.keras")
    write_fast_graph(tmp_path / "captioner.keras", model)
    return tmp_path


def test_load_gives_one_caption_or_lists_as_captioner_does(model, run):
    quick = captioner.load(run, fast=True)
    large = pictures(3, (40, 30))
    assert quick.caption(large[0]).text == model.caption(large[0]).text
    assert [one.text for one in quick.caption(list(large))] == [one.text for one in model.caption(list(large))]
    assert_equal(quick.caption_batch(list(large), 5), model.caption_batch(list(large), 5))
    assert quick.generation == model.generation and quick.vocabulary.words == model.vocabulary.words
    with pytest.raises(ConfigError, match="beam_size must be 1 or more"):
        quick.caption(large[0], beam_size=0)
    with pytest.raises(TypeError, match="no option 'beams'"):
        quick.caption(large[0], beams=2)


@pytest.mark.slow
def test_pictures_unlike_the_training_are_told_and_captions_have_confidence_as_with_keras(model, tmp_path, said):
    known, strange = pictures(2)
    channels = model.encode([known])[0]
    parts = (model.decoder, model.vocabulary, model.encoder_description, model.generation)
    sure = Calibration(1.0, 2.0, -0.1, 0.3, 100, unfamiliar=-0.2)
    mean = channels / np.linalg.norm(channels)
    similar = float(as_directions(model.encode([strange]))[0] @ mean)
    taught = type(model)(*parts, sure, familiarity=Familiarity([mean], (1 - similar) / 2, 0.0, (1 - similar) / 4))
    write_graphs(tmp_path, taught, "")
    quick = FastCaptioner(tmp_path)
    for one in (taught, quick):
        del said[:]
        one.caption(known)
        assert not said
        one.caption([known, strange])
        one.caption(strange)  # it is said once
        (line,) = said
        assert "unlike the pictures that this captioner was trained on" in line
    assert taught.strangeness(taught.encode([known, strange])) == pytest.approx([0.0, 3.0], abs=1e-2)
    for picture in (known, strange):
        assert quick.caption(picture).confidence == pytest.approx(taught.caption(picture).confidence, abs=1e-4)
    assert quick.facts() == taught.facts() and quick.facts().architecture == "merge"


def test_a_graph_of_another_file_is_refused(model, run):
    write_bytes(run / "captioner.keras", (run / "captioner.keras").read_bytes() + b" ")
    with pytest.raises(NoGraphError, match=r"was made from another file .*captioner export .* writes it again"):
        load_fast(run)


def test_a_broken_graph_is_named(run):
    whole = (run / FOLDER / STEP).read_bytes()
    (run / FOLDER / STEP).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(NoGraphError, match=r"step\.onnx"):
        load_fast(run)
    (run / FOLDER / STEP).unlink()
    with pytest.raises(NoGraphError, match="has no graph for onnxruntime; captioner export"):
        load_fast(run)
    with pytest.raises(DataError, match="no such file"):
        load_fast(run / "nothing")


def test_a_broken_description_is_named(run):
    import onnx

    graph = onnx.load(run / FOLDER / STEP)
    (content,) = (entry for entry in graph.metadata_props if entry.key == fast.KEY)
    whole = json.loads(content.value)
    for broken in ({"similar": {}}, {"vocabulary": 3}, {"generation": {"beam_size": 0}}):
        content.value = json.dumps({**whole, **broken})
        onnx.save(graph, run / FOLDER / STEP)
        with pytest.raises(NoGraphError, match=r"step\.onnx: its description is broken .*captioner export"):
            load_fast(run)


def test_settings_that_only_keras_has_are_refused(run, monkeypatch):
    monkeypatch.setattr(fast, "SETTINGS", fast.SETTINGS - {"no_repeat_ngram"})
    with pytest.raises(ConfigError, match="only Keras supports the setting no_repeat_ngram"):
        load_fast(run).caption(pictures(1)[0], no_repeat_ngram=2)


@pytest.mark.parametrize(("precision", "part"), [("float16", 0.62), ("int8", 0.45)])
def test_narrow_weights_make_small_files_and_near_captions(model, tmp_path, precision, part):
    words = [*model.vocabulary.words, *(f"w{number}" for number in range(3000))]
    large = make("merge", Vocabulary(words, "ptb", 40, dict.fromkeys(words[4:], 1)))
    write_graphs(tmp_path / "wide", large, "")
    write_graphs(tmp_path / "narrow", large, "", precision)
    size, narrow = ((tmp_path / name / STEP).stat().st_size for name in ("wide", "narrow"))
    words_in_metadata = 2 * sum(map(len, words))
    assert narrow - words_in_metadata < part * size
    features = large.encode(list(pictures(2)))
    one, other = (FastCaptioner(tmp_path / name) for name in ("wide", "narrow"))
    logits = []
    for quick in (one, other):
        memory, state = quick.start(features, 4)
        logits.append(quick.step(np.array([1, 1], np.int32), 0, state, memory)[0])
    assert 0 < np.abs(logits[0] - logits[1]).max() < 0.1 * np.abs(logits[0]).max()


def test_a_captioner_of_unknown_features_captions_features_alone(model, tmp_path):
    blind = type(model)(model.decoder, model.vocabulary, None, GenerationConfig(max_length=5))
    write_graphs(tmp_path, blind, "")
    quick = FastCaptioner(tmp_path)
    assert_equal(quick.caption_features(np.ones((1, 6)), 2), blind.caption_features(np.ones((1, 6), "float32"), 2))
    with pytest.raises(DataError, match="without the name of their encoder"):
        quick.caption(pictures(1)[0])
