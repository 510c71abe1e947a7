"""The same weights give the same logits on TensorFlow and on JAX, each in a process of its own."""

import os
import subprocess
import sys

import numpy as np
import pytest

from tests.models.cases import CASES, DEFAULT

PROGRAM = """
import sys
from pathlib import Path
import keras
import numpy as np
from keras import ops
from tests.models.cases import WORDS, make

folder, *cases = sys.argv[1:]
logits = {}
for case in cases:
    decoder = make(case)
    file = Path(folder) / f"{case}.weights.h5"
    if keras.backend.backend() == "tensorflow":
        decoder.save_weights(file)
    decoder.load_weights(file)
    rng = np.random.default_rng(0)
    features = rng.normal(size=(3, *decoder.feature_shape)).astype("float32")
    tokens = rng.integers(1, WORDS, (3, 2, 7)).astype("int32")
    logits[case] = ops.convert_to_numpy(decoder((features, tokens)))
np.savez(Path(folder) / keras.backend.backend(), **logits)
"""


def agree(folder, cases):
    for backend in ("tensorflow", "jax"):
        environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
        command = [sys.executable, "-c", PROGRAM, str(folder), *cases]
        result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr[-3000:]
    with np.load(folder / "tensorflow.npz") as ours, np.load(folder / "jax.npz") as theirs:
        for case in cases:
            np.testing.assert_allclose(theirs[case], ours[case], atol=1e-4, err_msg=case)


@pytest.mark.slow
def test_default_cells(tmp_path):
    pytest.importorskip("jax")
    agree(tmp_path, sorted(DEFAULT))


@pytest.mark.slow
def test_other_cells(tmp_path):
    pytest.importorskip("jax")
    agree(tmp_path, sorted(set(CASES) - DEFAULT))
