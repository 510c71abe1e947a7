"""The architectures and cells that every test of the decoder contract runs over. A new architecture is a new row."""

import keras

from captioner.models.architectures import build_decoder
from captioner.text.vocabulary import SPECIALS
from tests.models.gpt2 import small_gpt2

WORDS, CHANNELS, REGIONS = 11, 6, 4
SMALL = {"embedding_size": 4, "normalize": True}
RECURRENT = {**SMALL, "units": 5}

# name -> settings and the shape of the features; the first of an architecture has its default cell.
CASES = {
    "merge-lstm-add": ({**RECURRENT, "architecture": "merge"}, (CHANNELS,)),
    "merge-gru-multiply": ({**RECURRENT, "architecture": "merge", "cell": "gru", "combine": "multiply"}, (CHANNELS,)),
    "merge-rnn-concatenate": (
        {**RECURRENT, "architecture": "merge", "cell": "rnn", "combine": "concatenate"},
        (CHANNELS,),
    ),
    "transformer": (
        {**SMALL, "embedding_size": 8, "architecture": "transformer", "heads": 2, "feedforward_units": 16},
        (REGIONS, CHANNELS),
    ),
    "transformer-encoder-layers": (
        {
            **SMALL,
            "architecture": "transformer",
            "embedding_size": 8,
            "heads": 2,
            "feedforward_units": 16,
            "layers": 1,
            "encoder_layers": 1,
            "tied": False,
        },
        (REGIONS, CHANNELS),
    ),
}
PREFIX = {"architecture": "prefix", "prefix_length": 3, "normalize": True, "feature_dropout": 0.5}
CASES["prefix-mlp"] = (PREFIX, (CHANNELS,))
CASES["prefix-one"] = ({**PREFIX, "prefix_length": 1}, (CHANNELS,))
_MAPPING = {"mapping": "transformer", "mapping_layers": 1, "mapping_heads": 2}
CASES["prefix-transformer"] = ({**PREFIX, **_MAPPING}, (CHANNELS,))
DEFAULT = {"merge-lstm-add", "transformer", "prefix-mlp"}
GRIDS = {
    "attention": {"attention_units": 7, "doubly_stochastic": 1.0},
    "adaptive": {"attention_units": 7},
    "attention-on-attention": {"units": 8, "heads": 2},
}
for _name in ("init-inject", "pre-inject", "par-inject", *GRIDS):
    _shape = (REGIONS, CHANNELS) if _name in GRIDS else (CHANNELS,)
    _settings = {**RECURRENT, "architecture": _name, **GRIDS.get(_name, {})}
    DEFAULT.add(f"{_name}-lstm")
    for _cell in ("lstm", "gru", "rnn"):
        CASES[f"{_name}-{_cell}"] = ({**_settings, "cell": _cell}, _shape)
    _deep = {"layers": 2, "layer_norm": True, "recurrent_dropout": 0.2, "layer_dropout": 0.2, "tied": True}
    CASES[f"{_name}-deep-lstm"] = ({**_settings, **_deep}, _shape)


def make(case, **kwargs):
    """Return the case's decoder with fresh weights and changed settings, if any are given in `settings`."""
    keras.utils.set_random_seed(3)
    (settings, shape), words = CASES[case], kwargs.pop("words", WORDS)
    settings = {**settings, **kwargs.pop("settings", {})}
    if settings["architecture"] == "prefix":
        settings = {"language_model": small_gpt2(words - len(SPECIALS) + 1), **settings}
    return build_decoder(settings, words, shape, **kwargs)
