"""onnxruntime under captioner keeps to itself."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import captioner
from captioner.export.fast import FOLDER
from captioner.pretrained.box import BOX

ROOT = Path(captioner.__file__).parent.parent
PROGRAM = """
import sys
from captioner.export.fast import _session
_session(__import__("pathlib").Path(sys.argv[1]))
"""


def test_it_leaves_nothing_and_calls_nobody(tmp_path):
    pytest.importorskip("onnxruntime")
    known = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    own = dict.fromkeys(("HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_DATA_HOME"), str(tmp_path))
    command = [sys.executable, "-c", PROGRAM, str(BOX.parent / FOLDER / "step.onnx")]
    subprocess.run(command, env={**known, **own, "PYTHONPATH": str(ROOT)}, check=True)
    assert not list(tmp_path.iterdir())
