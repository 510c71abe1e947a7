import numpy as np
import pytest

from captioner.models.cells import STATES, Recurrent
from captioner.models.layout import Layout
from tests.speed import slow

tensorflow = pytest.importorskip("tensorflow")

LENGTHS, TIME, UNITS, CHANNELS = [4, 7, 2, 7, 1, 5], 7, 5, 3  # of two pictures with three captions


@pytest.fixture(params=[slow("rnn"), slow("gru"), "lstm"])
def recurrent(request):
    rng = np.random.default_rng(0)
    layer = Recurrent(request.param, UNITS)
    layer.build((None, None, CHANNELS))
    for weight in layer.weights:
        weight.assign(rng.normal(size=weight.shape) * 0.5)
    return layer


def test_outputs_and_gradients_are_those_of_keras_layers(recurrent):
    rng = np.random.default_rng(1)
    places = [row * TIME + step for row, length in enumerate(LENGTHS) for step in range(length)]
    words = rng.normal(size=(len(places), CHANNELS)).astype("float32")
    state = [rng.normal(size=(6, UNITS)).astype("float32") for _ in range(STATES[recurrent.cell_name])]
    upstream = rng.normal(size=(len(places), UNITS)).astype("float32")

    def by_keras(words, layout, *state):
        return layout.in_a_row(recurrent.layers[0](layout.by_caption(words), initial_state=list(state)))

    def by_hand(words, layout, *state):
        return recurrent.read_captions(words, [state], layout)

    def outputs_and_gradients(read):
        sizes = [tensorflow.TensorSpec((None, CHANNELS)), tensorflow.TensorSpec((None,), tensorflow.int32)]

        @tensorflow.function(input_signature=[*sizes, *[tensorflow.TensorSpec((None, UNITS))] * len(state)])
        def compiled(words, places, *state):
            with tensorflow.GradientTape() as tape:
                tape.watch((words, *state))
                outputs = read(words, Layout(places, 2, 3, TIME), *state)
                loss = tensorflow.reduce_sum(outputs * upstream)
            return outputs, tape.gradient(loss, [words, *state, *[weight.value for weight in recurrent.weights]])

        outputs, gradients = compiled(words, np.array(places, "int32"), *state)
        return [outputs.numpy(), *(tensorflow.convert_to_tensor(gradient).numpy() for gradient in gradients)]

    found, expected = map(outputs_and_gradients, (by_hand, by_keras))
    assert len(found) == 2 + len(state) + 3
    for ours, theirs in zip(found, expected, strict=True):
        assert ours == pytest.approx(theirs, abs=2e-5)


def test_what_is_dropped_is_the_same_for_all_words_of_a_caption():
    layer = Recurrent("rnn", UNITS, recurrent_dropout=0.5)
    layer.build((None, None, UNITS))
    kernel, recurrent_kernel, bias = layer.weights
    kernel.assign(np.zeros((UNITS, UNITS)))
    recurrent_kernel.assign(np.eye(UNITS))
    bias.assign(np.zeros(UNITS))
    layout = Layout(np.arange(12, dtype="int32"), 2, 2, 3)
    start = ((np.full((4, UNITS), 0.01, "float32"),),)
    outputs = layer.read_captions(np.zeros((12, UNITS), "float32"), start, layout, training=True)
    steps = np.asarray(outputs).reshape(4, 3, UNITS)  # (captions, time, units): what is kept doubles, step by step
    kept = steps[:, 0] > 0
    assert kept.any()
    assert not kept.all()
    assert (steps[:, 2][kept] > steps[:, 0][kept]).all()
    assert (steps[:, 2][~kept] == 0).all()


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_the_layers_of_keras_which_cudnn_runs_give_what_running_by_hand_gives(cell, monkeypatch):
    layer = Recurrent(cell, UNITS, layers=2, layer_norm=True)
    layer.build((None, None, CHANNELS))
    rng = np.random.default_rng(0)
    for weight in layer.weights:
        weight.assign(rng.normal(size=weight.shape))
    places = [row * TIME + step for row, length in enumerate(LENGTHS) for step in range(length)]
    layout = Layout(np.array(places, "int32"), 2, 3, TIME)
    words = rng.normal(size=(len(places), CHANNELS)).astype("float32")
    by_hand = np.asarray(layer.read_captions(words, layer.initial_state(6), layout))
    monkeypatch.setattr(Recurrent, "_has_cudnn", staticmethod(lambda: True))
    by_keras = np.asarray(layer.read_captions(words, layer.initial_state(6), layout))
    np.testing.assert_allclose(by_keras, by_hand, atol=2e-5)
    gamma = layer.norms[0].gamma
    gamma.assign(gamma * 2)
    assert np.abs(np.asarray(layer.read_captions(words, layer.initial_state(6), layout)) - by_keras).max() > 1e-2
