import keras
import numpy as np
import pytest

from captioner.models.architectures import build_decoder
from captioner.models.fine_tuned import FineTunedDecoder
from captioner.storage import DataError
from captioner.text.vocabulary import Vocabulary
from captioner.training.begin_from import begin_from

WORDS = ["<pad>", "<start>", "<end>", "<unk>", "a", "ball"]


def vocabulary(*more):
    return Vocabulary.from_json({"rules": "ptb", "max_words": 20, "words": [*WORDS, *more], "counts": {}})


def decoder(seed, shape=(3,), **settings):
    keras.utils.set_random_seed(seed)
    return build_decoder({"architecture": "merge", "units": 6, "embedding_size": 4, **settings}, len(WORDS), shape)


def assert_equal(weights, others):
    for weight, other in zip(weights, others, strict=True):
        np.testing.assert_array_equal(weight, other)


def test_the_weights_are_those_of_the_earlier_run():
    trained, new = decoder(0), decoder(1)
    assert any((one != other).any() for one, other in zip(trained.get_weights(), new.get_weights(), strict=True))
    begin_from("run", trained, vocabulary(), new, vocabulary())
    assert_equal(new.get_weights(), trained.get_weights())


def test_another_vocabulary_is_refused_with_both_numbers_of_words():
    with pytest.raises(DataError, match=r"run: was trained with 7 words .* has 6 .*text settings of that run"):
        begin_from("run", decoder(0), vocabulary("red"), decoder(1), vocabulary())


def test_another_model_is_refused_with_both_numbers_of_weights():
    trained, new = decoder(0), decoder(1, units=8)
    message = rf"run: has a \w+ with {trained.count_params():,} weights, but .* {new.count_params():,}; use the model"
    with pytest.raises(DataError, match=message):
        begin_from("run", trained, vocabulary(), new, vocabulary())


def test_layers_of_the_encoder_keep_their_weights_unless_the_earlier_run_has_trained_them():
    def fine_tuned(seed):
        keras.utils.set_random_seed(seed)
        tail = keras.Sequential([keras.Input((4, 6, 3)), keras.layers.Conv2D(5, 3, strides=2, padding="same")])
        return FineTunedDecoder(decoder(seed, (2 * 3, 5), architecture="attention"), tail)

    trained, new = fine_tuned(1), fine_tuned(2)
    of_encoder = new.tail.get_weights()
    begin_from("run", trained.decoder, vocabulary(), new, vocabulary())
    assert_equal(new.tail.get_weights(), of_encoder)
    assert_equal(new.decoder.get_weights(), trained.decoder.get_weights())
    begin_from("run", trained, vocabulary(), new, vocabulary())
    assert_equal(new.get_weights(), trained.get_weights())


def test_another_way_to_compute_with_the_same_weights_is_refused():
    with pytest.raises(DataError, match=r"run: was trained with other model settings .*: combine multiply and add"):
        begin_from("run", decoder(0, combine="multiply"), vocabulary(), decoder(1), vocabulary())
