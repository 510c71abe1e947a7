import keras
import numpy as np
import pytest

from captioner.models.architectures import build_decoder
from captioner.training import chunked_loss
from captioner.training.chunked_loss import TrainedInChunks, loss_of, suits
from captioner.training.config import TrainConfig
from captioner.training.fit import compiled
from captioner.training.losses import CaptionLoss
from tests.speed import slow_but

ROWS, WIDTH, WORDS = 23, 6, 11
on_tensorflow = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="XLA has its own ways")


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(chunked_loss, "CHUNK", 5 * WORDS)  # 23 rows in 5 uneven chunks


def layer(scale=1.0):
    rng = np.random.default_rng(0)
    inputs, matrix = rng.normal(size=(ROWS, WIDTH)), scale * rng.normal(size=(WIDTH, WORDS))
    targets, weights = rng.integers(0, WORDS, ROWS), rng.uniform(size=ROWS) * (np.arange(ROWS) % 7 > 0)
    arrays = [array.astype("float32") for array in (inputs, matrix, rng.normal(size=WORDS), weights)]
    return *arrays[:3], targets.astype("int32"), arrays[3]


@on_tensorflow
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("scale", [1.0, 60.0])  # the latter has probabilities that are 0 in a float
def test_loss_and_gradients_are_those_of_all_logits_at_once(smoothing, scale):
    import tensorflow as tf

    *arrays, targets, weights = layer(scale)
    found = []
    for whole in (True, False):
        parts = [tf.Variable(array) for array in arrays]
        with tf.GradientTape() as tape:
            if whole:
                inputs, matrix, bias = parts
                loss = CaptionLoss(smoothing)(targets, tf.matmul(inputs, matrix) + bias, weights)
            else:
                loss = loss_of(tf.identity(parts[0]), *parts[1:], targets, weights, smoothing)
            loss = 3.0 * loss
        found.append([loss, *tape.gradient(loss, parts)])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


NO_DROPOUT = {"feature_dropout": 0.0, "word_dropout": 0.0, "embedding_size": 6}
MODELS = {
    "merge": {"units": 8, "l2": {"output": 0.01, "words": 0.01}},
    "merge tied": {"units": 8, "tied": True},
    "attention": {"units": 8, "attention_units": 4, "doubly_stochastic": 0.5},
    "adaptive": {"units": 8, "attention_units": 4},
    "transformer": {"layers": 1, "heads": 2, "dropout": 0.0, "tied": True},
}


def decoder_of(name):
    keras.utils.set_random_seed(0)
    architecture = name.split()[0]
    shape = (5,) if architecture == "merge" else (3, 5)
    model = {"architecture": architecture, **NO_DROPOUT, **MODELS[name]}
    return build_decoder(model, WORDS, shape), shape


@on_tensorflow
@pytest.mark.parametrize("name", slow_but(MODELS, "merge", "attention"))
def test_a_step_trains_every_architecture_as_the_logits_of_all_words_do(name):
    rng = np.random.default_rng(0)
    tokens = rng.integers(3, WORDS, (2, 3, 4)).astype("int32")
    positions = np.arange(24, dtype="int32")
    targets, weights = rng.integers(0, WORDS, 24).astype("int32"), np.ones(24, "float32")
    losses, weights_after = [], []
    for in_chunks in (True, False):
        decoder, shape = decoder_of(name)
        features = np.random.default_rng(1).normal(size=(2, *shape)).astype("float32")
        assert suits(decoder)
        model = TrainedInChunks(decoder, 0.1) if in_chunks else decoder
        model.compile(keras.optimizers.SGD(0.5), None if in_chunks else CaptionLoss(0.1), jit_compile=False)
        inputs = (features, tokens, positions)
        losses.append([float(model.train_on_batch(inputs, targets, sample_weight=weights)) for _ in range(3)])
        weights_after.append(decoder.get_weights())
    np.testing.assert_allclose(*losses, rtol=1e-5)
    for one, other in zip(*weights_after, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_a_checkpoint_holds_the_same_variables_either_way(monkeypatch):
    decoder, _ = decoder_of("merge")
    found = []
    for chunks in (True, False):
        monkeypatch.setattr("captioner.training.fit.suits", lambda _, chunks=chunks: chunks)
        model, _ = compiled(decoder, TrainConfig(), 10)
        assert isinstance(model, TrainedInChunks) == chunks
        found.append([id(variable) for variable in model.variables])
    assert found[0] == found[1]


def test_a_decoder_with_an_output_layer_of_its_own_keeps_it():
    class Other(type(decoder_of("merge")[0])):
        def logits(self, hidden, training=False):
            return 2 * super().logits(hidden, training=training)

    decoder, _ = decoder_of("merge")
    other = Other(decoder.config, WORDS, (5,))
    assert not suits(other)
    assert suits(decoder) == (keras.backend.backend() == "tensorflow")


def test_it_can_be_saved_and_loaded():
    decoder, _ = decoder_of("merge")
    again = TrainedInChunks.from_config(TrainedInChunks(decoder, 0.1).get_config())
    assert again.label_smoothing == 0.1
    assert [w.shape for w in again.get_weights()] == [w.shape for w in decoder.get_weights()]
