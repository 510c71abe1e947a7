"""The built-in captioner: how it is made, and what comes with the package."""

import numpy as np
import pytest
from PIL import Image

import captioner
import captioner.captioner as captioner_module
from captioner.captioner import load
from captioner.pretrained import box
from captioner.run_folder import CAPTIONER
from captioner.storage import DataError
from captioner.training.familiarity import Familiarity


@pytest.fixture
def no_weights(monkeypatch):
    """An installation in which no encoder's weights can be had."""

    def missing(*arguments, **settings):
        raise DataError("the weights are not installed")

    monkeypatch.setattr(captioner_module, "encoder_from_description", missing)


@pytest.mark.slow
def test_a_box_needs_nothing_but_its_file(run, tmp_path, request):
    picture = np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)
    expected = load(run).caption([picture])[0]
    file = box.make_box(run, tmp_path / "box.keras")
    request.getfixturevalue("no_weights")
    with pytest.raises(DataError, match="weights are not installed"):
        load(run).caption([picture])
    found = load(file).caption([picture])[0]
    assert found.text == expected.text
    assert found.log_prob == pytest.approx(expected.log_prob, abs=0.02)


@pytest.mark.slow
def test_weights_are_kept_in_half_the_space(run, tmp_path):
    load(run).with_encoder_inside().save_to(tmp_path / "whole.keras")
    file = box.make_box(run, tmp_path / "box.keras")
    assert file.stat().st_size < 0.55 * (tmp_path / "whole.keras").stat().st_size
    loaded = load(file)
    assert {str(weight.dtype) for weight in loaded.weights if str(weight.dtype).startswith("float")} == {"float32"}
    for weight in loaded.weights:
        value = np.asarray(weight)
        if value.dtype == np.float32:
            np.testing.assert_array_equal(value, value.astype(np.float16).astype(np.float32))


@pytest.mark.slow
def test_a_box_can_be_trained_and_saved_again(run, tmp_path):
    loaded = load(box.make_box(run, tmp_path / "box.keras"))
    loaded.save_to(tmp_path / "again.keras")
    again = load(tmp_path / "again.keras")
    for one, other in zip(loaded.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
def test_a_box_still_tells_pictures_that_are_unlike_its_training(run, tmp_path, said):
    model = load(run)
    model.familiarity = Familiarity(np.eye(1280)[:1], 0.0, 0.0, 1.0)
    (tmp_path / "run").mkdir()
    model.save_to(tmp_path / "run" / CAPTIONER)
    load(box.make_box(tmp_path / "run", tmp_path / "box.keras")).caption(np.zeros((30, 30, 3), np.uint8))
    assert "unlike the pictures that this captioner was trained on" in said[-1]


def test_a_weight_beyond_float16_is_refused(run, tmp_path):
    model = load(run)
    model.decoder.weights[0].assign(np.full(model.decoder.weights[0].shape, 1e6, "float32"))
    (tmp_path / "run").mkdir()
    model.save_to(tmp_path / "run" / CAPTIONER)
    with pytest.raises(DataError, match="exceeds the range of float16"):
        box.make_box(tmp_path / "run", tmp_path / "box.keras")
    assert not (tmp_path / "box.keras").exists()


def test_without_a_box_the_message_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr(box, "BOX", tmp_path / "none.keras")
    with pytest.raises(DataError, match="no built-in captioner; train one and name it with --model"):
        captioner.load()


def test_the_box_captions_a_picture_without_weights_of_others(tmp_path, no_weights):
    model = captioner.load()
    assert box.BOX.stat().st_size <= box.LARGEST
    assert box.CARD.is_file()
    picture = np.zeros((120, 160, 3), np.uint8)
    picture[:70] = (90, 160, 230)
    picture[70:] = (60, 140, 50)
    Image.fromarray(picture).save(tmp_path / "field.png")
    caption = model.caption(tmp_path / "field.png")
    assert 3 <= len(caption.tokens) <= 20 and caption.log_prob < 0
    assert caption.attention.shape[0] == len(caption.tokens)
    assert caption.attention.sum(axis=1) == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("options", [{}, {"consensus": 0, "n": 3}, {"beam_size": 7, "n": 2}], ids=str)
def test_the_box_has_the_same_consensus_without_keras(options):
    rng = np.random.default_rng(1)
    pictures = [rng.integers(0, 256, (40, 60, 3), dtype=np.uint8), Image.new("RGB", (90, 70), (30, 90, 200))]
    slow, quick = (captioner.load(fast=fast).caption_batch(pictures, **options) for fast in (False, True))
    for one, other in zip(slow, quick, strict=True):
        assert [caption.text for caption in one] == [caption.text for caption in other]
        for name in ("consensus", "score", "confidence"):
            found = [getattr(caption, name) for caption in other]
            assert found == pytest.approx([getattr(caption, name) for caption in one], abs=1e-3), name
