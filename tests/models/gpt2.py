"""Small GPT-2 models of KerasHub with random weights, saved as presets."""

import atexit
import functools
import shutil
import tempfile

import pytest

LETTERS = "etaoinshrdlcumwfgypbvkjxqz"
MERGES = ["Ġ a", "Ġ r", "e d", "Ġr ed", "Ġ d", "o g", "Ġd og", "Ã ©", "Ġ .", "' s", "Ġ c", "Ġc a", "Ġca f", "Ġcaf Ã©"]


def keras_hub_of():
    """Return KerasHub, or skip the test where it is not installed."""
    return pytest.importorskip("keras_hub")


def pieces_of(size):
    """Return `size` pieces, the last one the end: some letters, then what merges make of them, then more letters."""
    first = ["Ġ", "a", "Ġa", "r", "e", "d", "o", "g", "Ġr", "ed", "Ġred", "Ġd", "og", "Ġdog", "Ã", "©", "Ã©", "Ġ.", "."]
    more = ["c", "f", "Ġc", "Ġca", "Ġcaf", "ĠcafÃ©", "'", "s", "'s", *(x for x in LETTERS if x not in "aredogcfs")]
    pieces = [*first, *more]
    pieces += [f"x{number}" for number in range(size)]
    return [*pieces[: size - 1], "<|endoftext|>"]


@functools.cache
def small_gpt2(size, width=8, dropout=0.1):
    """Return the folder of a GPT-2 with so many pieces, the end among them, which is removed at the end."""
    keras_hub = keras_hub_of()
    folder = tempfile.mkdtemp(prefix="captioner-gpt2-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    backbone = keras_hub.models.GPT2Backbone(size, 2, 2, width, 2 * width, dropout, max_sequence_length=64)
    for weight in backbone.weights:
        if len(weight.shape) > 1 and width == 8:
            weight.assign(weight * 20)  # KerasHub's random weights are so small that every word is as likely
    pieces = pieces_of(size)
    known = set(pieces)
    merges = ["Ġ a"] + [merge for merge in MERGES[1:] if {*merge.split(), merge.replace(" ", "")} <= known]
    tokenizer = keras_hub.models.GPT2Tokenizer({piece: number for number, piece in enumerate(pieces)}, merges)
    backbone.save_to_preset(folder)
    tokenizer.save_to_preset(folder)
    return folder
