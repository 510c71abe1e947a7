"""What the prefix adds to the decoder contract, which test_contract.py checks: it is KerasHub's GPT-2 that speaks."""

import shutil
from dataclasses import replace

import keras
import numpy as np
import pytest
from keras import ops

import captioner
from captioner.config import ConfigError, build
from captioner.models.architectures import build_decoder
from captioner.models.config import PrefixConfig
from captioner.stages.train import train
from captioner.text.vocabulary import TextConfig
from tests.models.gpt2 import keras_hub_of, small_gpt2
from tests.training.project import make_project

SIZE = 40
WORDS = SIZE + 3
FEATURES = np.random.default_rng(0).normal(size=(2, 6)).astype("float32")


@pytest.fixture(scope="module")
def folder():
    return small_gpt2(SIZE)


def make(folder, **settings):
    settings = {"architecture": "prefix", "language_model": folder, "prefix_length": 3, **settings}
    return build_decoder(settings, WORDS, (6,))


def test_words_after_a_prefix_of_words_are_gpt2_s_own(folder):
    decoder, causal = make(folder), keras_hub_of().models.GPT2CausalLM.from_preset(folder)
    begin = np.array([[5, 9, 2], [7, 7, 30]])  # pieces in the place of the prefix
    embeddings = ops.convert_to_numpy(decoder.language_model.token_embedding.embeddings)
    captions = np.array([[8, 1, 20, 4], [3, 3, 11, 38]])
    pieces = np.concatenate([begin, captions], axis=1)
    theirs = ops.convert_to_numpy(causal({"token_ids": pieces, "padding_mask": np.ones_like(pieces)}))
    for row in range(2):
        decoder.mapping.outer.kernel.assign(0 * decoder.mapping.outer.kernel)
        decoder.mapping.outer.bias.assign(embeddings[begin[row]].ravel())
        tokens = np.concatenate([[[1]], captions[row : row + 1] + 4], axis=1)  # <start> and the words
        ours = ops.convert_to_numpy(decoder((FEATURES[:1], tokens)))[0]  # (time, words)
        np.testing.assert_allclose(ours[:, 4:], theirs[row, 2:, :-1], atol=1e-5)
        np.testing.assert_allclose(ours[:, 2], theirs[row, 2:, -1], atol=1e-5)  # <end> is <|endoftext|>


@pytest.mark.parametrize("mapping", ["mlp", "transformer"])
def test_the_language_model_stays_where_it_is_not_trained(folder, mapping):
    decoder = make(folder, train_language_model=False, mapping=mapping, mapping_layers=1, mapping_heads=2)
    before = [ops.convert_to_numpy(weight) for weight in decoder.language_model.weights]
    old = [ops.convert_to_numpy(weight) for weight in decoder.trainable_weights]
    trained = [decoder.others, *decoder.mapping.trainable_weights]
    assert {id(weight) for weight in decoder.trainable_weights} == {id(weight) for weight in trained}
    decoder.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True), run_eagerly=True)
    tokens = np.array([[1, 5, 9, 2], [1, 8, 8, 2]], "int32")
    decoder.train_on_batch((FEATURES, tokens[:, :-1]), tokens[:, 1:])
    for weight, value in zip(decoder.language_model.weights, before, strict=True):
        np.testing.assert_array_equal(weight, value)
    assert all(np.abs(weight - value).max() > 0 for weight, value in zip(decoder.trainable_weights, old, strict=True))


def test_a_saved_decoder_needs_no_preset(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "preset")
    decoder = make(str(copy))
    decoder.save(tmp_path / "decoder.keras")
    shutil.rmtree(copy)
    loaded = keras.saving.load_model(tmp_path / "decoder.keras")
    tokens = np.array([[1, 5, 9, 2], [1, 8, 8, 2]], "int32")
    np.testing.assert_array_equal(loaded((FEATURES, tokens)), decoder((FEATURES, tokens)))


def test_what_is_not_the_language_model_s_is_refused(folder, tmp_path):
    with pytest.raises(
        ConfigError, match=r"text\.pieces: the vocabulary has 7 words, but .* has 39 pieces without its end"
    ):
        build_decoder({"architecture": "prefix", "language_model": folder}, 11, (6,))
    with pytest.raises(ConfigError, match="a grid of 4 regions"):
        build_decoder({"architecture": "prefix", "language_model": folder}, WORDS, (4, 6))
    keras_hub_of().models.BertBackbone(30, 1, 2, 8, 16).save_to_preset(str(tmp_path))
    with pytest.raises(ConfigError, match=r"model\.language_model: .* is a BertBackbone; prefix needs a GPT2Backbone"):
        build_decoder({"architecture": "prefix", "language_model": str(tmp_path)}, WORDS, (6,))
    with pytest.raises(ConfigError, match="prefix_length must be 1 or more"):
        build(PrefixConfig, {"prefix_length": 0}, "model")


@pytest.mark.slow
def test_it_trains_from_a_recipe_and_captions(folder, tmp_path):
    recipe = make_project(tmp_path, pictures=24)
    model = {"architecture": "prefix", "language_model": folder, "prefix_length": 2}
    text = TextConfig(vocabulary="bpe", pieces=folder)
    recipe = replace(recipe, model=model, text=text, train=replace(recipe.train, epochs=3, learning_rate=0.01))
    progress = train(tmp_path / "run", recipe)
    assert progress.history[-1]["loss"] < progress.history[0]["loss"]
    loaded = captioner.load(tmp_path / "run")
    caption = loaded.caption_features(np.zeros((1, 10), "float32"), beam_size=2, max_length=6)[0][0]
    assert caption.log_prob < 0
    assert "<" not in caption.text
