import numpy as np
import pytest
from keras import ops

from captioner.models.architectures import build_decoder
from captioner.numpy_rnn.layers import affine_forward, embedding_forward
from captioner.numpy_rnn.model import CaptioningRNN
from captioner.numpy_rnn.sequence import sequence_forward

WORDS, CHANNELS, UNITS, SIZE = 13, 6, 5, 4


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_init_inject_equals_the_model_written_out_in_numpy(cell):
    plain = CaptioningRNN(CHANNELS, WORDS, cell=cell, embedding=SIZE, units=UNITS, seed=1)
    decoder = build_decoder(
        {"architecture": "init-inject", "cell": cell, "units": UNITS, "embedding_size": SIZE}, WORDS, (CHANNELS,)
    )
    w = plain.weights
    decoder.picture.set_weights([w["picture_w"], w["picture_b"]])
    decoder.recurrent.set_weights([w["kernel"], w["recurrent_kernel"], w["bias"]])
    decoder.words.set_weights([w["embedding"], w["vocabulary_w"], w["vocabulary_b"]])
    rng = np.random.default_rng(2)
    features = rng.normal(size=(3, CHANNELS)).astype("float32")
    tokens = rng.integers(1, WORDS, (3, 7)).astype("int32")
    h0, _ = affine_forward(features, w["picture_w"], w["picture_b"])
    words, _ = embedding_forward(tokens, w["embedding"])
    hidden, _ = sequence_forward(words, h0, plain._cell_weights(), plain.cell)
    expected, _ = affine_forward(hidden, w["vocabulary_w"], w["vocabulary_b"])
    np.testing.assert_allclose(ops.convert_to_numpy(decoder((features, tokens))), expected, atol=1e-5)


def test_pre_inject_reads_the_picture_as_a_word():
    decoder = build_decoder({"architecture": "pre-inject", "units": UNITS, "embedding_size": SIZE}, WORDS, (CHANNELS,))
    # Make the picture's layer give word 7's embedding: the model then behaves as if 7 had been the first word.
    table = ops.convert_to_numpy(decoder.words.embedding.embeddings)
    decoder.picture.set_weights([np.zeros((CHANNELS, SIZE), "float32"), table[7]])
    state = decoder.recurrent.initial_state(1)
    for token in (7, 1, 5):
        output, state = decoder.recurrent.step(ops.convert_to_tensor(table[[token]]), state)
    logits = decoder((np.ones((1, CHANNELS), "float32"), np.array([[1, 5]], "int32")))
    np.testing.assert_allclose(logits[0, 1], decoder.logits(output)[0], atol=1e-5)
