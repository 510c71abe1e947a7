"""Import onnxruntime without telemetry."""

from __future__ import annotations

import os
from typing import Any


def import_onnxruntime() -> Any:
    """Return the module onnxruntime.

    Its official builds report their use over the network and store an identifier on disk. captioner sends nothing, so
    this is disabled unless ORT_DISABLE_TELEMETRY is set otherwise.

    Raises:
        ImportError: onnxruntime is not installed.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # onnxruntime reads it during the import
    import onnxruntime

    return onnxruntime
