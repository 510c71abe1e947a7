import pytest

from captioner.config import ConfigError
from captioner.models.architectures import build_decoder, model_config


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
