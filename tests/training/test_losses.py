import keras
import numpy as np
import pytest
from keras import ops

from captioner.data.batches import make_batch
from captioner.models.architectures import build_decoder
from captioner.training.losses import CaptionLoss


def logits_and_targets():
    rng = np.random.default_rng(0)
    return rng.normal(size=(7, 5)).astype("float32") * 3, rng.integers(0, 5, 7).astype("int32")


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.4])
def test_equals_cross_entropy_with_the_smoothed_distribution(smoothing):
    logits, targets = logits_and_targets()
    log_probs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    distribution = (1 - smoothing) * np.eye(5)[targets] + smoothing / 5
    expected = -(distribution * log_probs).sum(axis=1).mean()
    assert float(CaptionLoss(smoothing)(targets, logits)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_improbable_words_have_a_finite_and_exact_loss(smoothing):
    logits = np.array([[200.0, 0, 0, 0], [0, 0, 1, 0]], "float32")
    loss = float(CaptionLoss(smoothing)(np.array([1, 2], "int32"), logits))
    second = np.log(3 + np.e) - (1 - smoothing) - smoothing / 4
    assert loss == pytest.approx((200 - smoothing * 50 + second) / 2, rel=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_gradient_is_that_of_the_definition(smoothing):
    logits, targets = logits_and_targets()
    weights = np.array([1, 2, 0.5, 0, 1, 1, 3], "float32")
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    distribution = (1 - smoothing) * np.eye(5)[targets] + smoothing / 5
    expected = (probabilities - distribution) * (weights / weights.sum())[:, None]
    if keras.backend.backend() == "jax":
        import jax

        found = jax.grad(lambda x: CaptionLoss(smoothing)(targets, x, weights))(logits)
    else:
        import tensorflow as tf

        x = tf.constant(logits)
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = CaptionLoss(smoothing)(targets, x, weights)
        found = tape.gradient(loss, x)
    assert ops.convert_to_numpy(found) == pytest.approx(expected, abs=1e-6)


def test_words_of_weight_zero_do_not_count():
    logits, targets = logits_and_targets()
    weights = np.array([1, 1, 1, 1, 0, 0, 0], "float32")
    whole = float(CaptionLoss(0.1)(targets, logits, sample_weight=weights))
    assert whole == pytest.approx(float(CaptionLoss(0.1)(targets[:4], logits[:4])), rel=1e-6)


def test_one_pass_over_captions_equals_one_example_per_prefix():
    """Loss and gradients of the whole-caption pass equal those of the classic formulation: a prefix, then its word."""
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    decoder = build_decoder(
        {"units": 8, "embedding_size": 6, "feature_dropout": 0.0, "word_dropout": 0.0},
        vocabulary_size=12,
        feature_shape=(5,),
    )
    features = rng.normal(size=(2, 5)).astype("float32")
    captions = [[[1, 5, 6, 7, 2], [1, 8, 2]], [[1, 9, 9, 10, 11, 4, 2]]]
    loss = CaptionLoss()
    tensorflow = pytest.importorskip("tensorflow")

    def gradients(function):
        with tensorflow.GradientTape() as tape:
            value = function()
        return float(value), [
            tensorflow.convert_to_tensor(gradient).numpy()
            for gradient in tape.gradient(value, [weight.value for weight in decoder.trainable_weights])
        ]

    def whole():
        batch = make_batch(features, captions)
        return loss(batch.targets, decoder((batch.features, batch.tokens, batch.positions)), batch.weights)

    def per_prefix():
        losses = []
        for picture, its_captions in enumerate(captions):
            for caption in its_captions:
                for end in range(1, len(caption)):
                    prefix = np.array([caption[:end]], "int32")  # one example: (picture, prefix) -> the next word
                    logits = decoder((features[picture : picture + 1], prefix))[:, -1]
                    target = np.array([caption[end]], "int32")
                    losses.append(keras.losses.sparse_categorical_crossentropy(target, logits, from_logits=True))
        return ops.mean(ops.concatenate(losses))

    (one, one_gradients), (many, many_gradients) = gradients(whole), gradients(per_prefix)
    assert one == pytest.approx(many, rel=1e-5)
    for weight, ours, classic in zip(decoder.trainable_weights, one_gradients, many_gradients, strict=True):
        np.testing.assert_allclose(ours, classic, atol=1e-6, err_msg=weight.path)
        assert np.abs(ours).max() > 0, weight.path


def test_config_round_trip():
    assert CaptionLoss.from_config(CaptionLoss(0.2).get_config()).label_smoothing == 0.2
