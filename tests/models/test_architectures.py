import keras
import pytest

from captioner.config import ConfigError
from captioner.models.architectures import build_decoder, differing_settings
from captioner.models.config import model_config


def test_unknown_architecture_says_which_exist():
    with pytest.raises(ConfigError, match=r"model\.architecture: 'merg' does not exist; known: merge"):
        model_config({"architecture": "merg"})


def test_unknown_setting_names_the_nearest():
    with pytest.raises(ConfigError, match=r"model\.unitz: unknown setting; did you mean units"):
        model_config({"unitz": 3})


def test_impossible_dropout():
    with pytest.raises(ConfigError, match=r"model: word_dropout must be at least 0 and below 1, found 1\.5"):
        model_config({"word_dropout": 1.5})


def test_unknown_cell_says_which_exist():
    with pytest.raises(ConfigError, match=r"model\.cell: expected one of rnn, gru, lstm, found 'gruu'"):
        model_config({"cell": "gruu"})


def test_a_grid_is_refused_by_a_model_that_takes_a_vector():
    with pytest.raises(ConfigError, match="grid of 49 regions x 512"):
        build_decoder({}, 10, (49, 512))


def test_a_misspelt_architecture_key_is_recognised():
    with pytest.raises(ConfigError, match=r"model\.archtecture: unknown setting; did you mean architecture\?"):
        model_config({"archtecture": "merge"})


@pytest.mark.parametrize("architecture", ["attention", "transformer"])
def test_a_vector_is_refused_by_a_model_that_reads_regions(architecture):
    with pytest.raises(ConfigError, match="reads a grid of regions, but the features are one vector of 512 numbers"):
        build_decoder({"architecture": architecture}, 10, (512,))


@pytest.mark.parametrize("architecture", ["init-inject", "pre-inject", "par-inject"])
def test_a_grid_is_refused_by_the_inject_models(architecture):
    with pytest.raises(ConfigError, match="grid of 49 regions x 512"):
        build_decoder({"architecture": architecture}, 10, (49, 512))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"freeze_embeddings": True}, "freeze_embeddings needs embeddings"),
        ({"layers": 0}, "layers must be 1 or more, found 0"),
        ({"layer_dropout": 0.2}, "layer_dropout needs 2 layers or more"),
        ({"l2": {"words": -1.0}}, r"l2: words must be 0 or more, found -1\.0"),
        ({"architecture": "transformer", "heads": 3}, "heads must divide embedding_size 256, found 3"),
        ({"architecture": "transformer", "encoder_layers": -1}, "encoder_layers must be 0 or more"),
        ({"architecture": "attention", "doubly_stochastic": -0.1}, "doubly_stochastic must be 0 or more"),
    ],
)
def test_impossible_settings(settings, message):
    with pytest.raises(ConfigError, match=message):
        model_config(settings)


def test_l2_adds_the_squares_of_its_group_to_the_loss():
    decoder = build_decoder({"l2": {"recurrent": 0.5}, "units": 3, "embedding_size": 2}, 7, (4,))
    cell = decoder.recurrent.layers[0].cell
    kernels = [keras.ops.convert_to_numpy(kernel) for kernel in (cell.kernel, cell.recurrent_kernel)]
    assert sum(map(float, decoder.losses)) == pytest.approx(
        0.5 * sum((kernel**2).sum() for kernel in kernels), rel=1e-5
    )


def test_tied_words_have_one_matrix():
    free, tied = (build_decoder({"tied": tied, "embedding_size": 256}, 50, (4,)) for tied in (False, True))
    assert free.count_params() - tied.count_params() == 256 * 50


@pytest.mark.parametrize(
    ("settings", "others", "found"),
    [
        ({"combine": "add"}, {"combine": "multiply"}, ["combine add and multiply"]),
        ({"normalize": False}, {"normalize": True}, ["normalize False and True"]),
        ({"word_dropout": 0.1, "l2": {"words": 0.1}}, {"word_dropout": 0.5}, []),
        ({"architecture": "init-inject"}, {"architecture": "pre-inject"}, ["InitInjectDecoder and PreInjectDecoder"]),
    ],
)
def test_settings_in_which_models_with_the_same_weights_differ(settings, others, found):
    one, other = (build_decoder({"units": 4, "embedding_size": 4, **each}, 10, (3,)) for each in (settings, others))
    assert differing_settings(one, other) == found
