import numpy as np
import pytest

from captioner.export.fast import FastCaptioner
from captioner.export.fast_graph import write_graphs
from captioner.export.graph_likelihood import GraphLikelihood
from captioner.generation.likelihood import Likelihood
from captioner.generation.padding import padded
from tests.export.cases import IN_ONNX, make
from tests.speed import slow_but


@pytest.mark.parametrize("architecture", slow_but(IN_ONNX, "merge", "attention"))
def test_texts_are_as_likely_by_the_graph_as_by_keras(architecture, tmp_path):
    model = make(architecture)
    write_graphs(tmp_path, model, "")
    rng = np.random.default_rng(0)
    features = rng.normal(size=(70, *model.decoder.feature_shape)).astype("float32")  # more than one part
    words = rng.integers(4, len(model.vocabulary), 6).tolist()
    tokens = padded([[1, *words[:2], 2], [1, *words, 2], [1, *words, *words, 2]], 8)  # the last is cut off
    found = GraphLikelihood(FastCaptioner(tmp_path), 8).of_all(features, tokens)
    np.testing.assert_allclose(found, Likelihood(model.decoder, 8).of_all(features, tokens), rtol=1e-3)
    assert found.shape == (70, 3) and np.ptp(found[:, 0]) > 0.01
