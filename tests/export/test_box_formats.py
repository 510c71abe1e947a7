"""The built-in captioner in every format, on real photographs: the captions equal those of Keras, except for ties."""

import numpy as np
import pytest

import captioner
from captioner.export.graphs import whole_piece
from captioner.export.litert import write_litert
from captioner.export.onnx_file import write_onnx
from captioner.export.saved_model import write_saved_model
from tests.export.cases import TIE
from tests.export.test_formats import run_litert, run_onnx, run_saved_model
from tests.shared import FLICKR8K, needs_flickr8k

PICTURES, TOGETHER = 100, 10
BEAMS = (1, 3)


@pytest.fixture(scope="module")
def model():
    return captioner.load()


@pytest.fixture(scope="module")
def prepared(model):
    """Photographs of the dev split, of the encoder's size: (pictures, height, width, 3) uint8."""
    names = (FLICKR8K / "Flickr_8k.devImages.txt").read_text().split()[:PICTURES]
    return np.stack([model.prepare(FLICKR8K / "Flicker8k_Dataset" / name) for name in names])


@pytest.fixture(scope="module")
def expected(model, prepared):
    plain = {"consensus": 0}  # exported graphs hold no training pictures
    return {beams: model.caption_batch(list(prepared), beams, beam_size=beams, **plain) for beams in BEAMS}


def write(name, path, model, beams):
    """Export with the whole beam; return what runs it on some pictures."""
    if name == "onnx":
        write_onnx(path, whole_piece(model, beams, beam_size=beams), "float32", {})
        return run_onnx
    if name == "litert":
        write_litert(path, whole_piece(model, beams, pictures=1, beam_size=beams), "float32")
        return run_litert
    write_saved_model(path, model, beams, "float32", beam_size=beams)
    return run_saved_model


@pytest.mark.slow
@needs_flickr8k
@pytest.mark.parametrize("beams", BEAMS)
@pytest.mark.parametrize("name", ["onnx", "saved_model", "litert"])
def test_photographs_have_the_same_captions(name, beams, model, prepared, expected, tmp_path):
    run = write(name, tmp_path / "exported", model, beams)
    parts = [run(tmp_path / "exported", prepared[start : start + TOGETHER]) for start in range(0, PICTURES, TOGETHER)]
    tokens, log_probs = map(np.concatenate, zip(*parts, strict=True))
    ties = []
    for row, captions in enumerate(expected[beams]):
        for rank, caption in enumerate(captions):
            assert abs(log_probs[row, rank] - caption.log_prob) < TIE, (row, rank)
            if (words := model.vocabulary.decode(tokens[row, rank])) != list(caption.tokens):
                ties.append((row, rank, " ".join(words), caption.text))
    print(f"{name}, beam {beams}: {len(ties)} ties within {TIE}: {ties}")
    assert len(ties) < PICTURES // 10
