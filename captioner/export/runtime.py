"""onnxruntime, imported so that it keeps to itself."""

from __future__ import annotations

import os
from typing import Any


def import_onnxruntime() -> Any:
    """Return the module onnxruntime.

    Its official builds report their use over the network and keep an identifier on the disk.
    captioner promises that nothing leaves the machine: that is off, unless ORT_DISABLE_TELEMETRY says otherwise.

    Raises:
        ImportError: it is not installed.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read when the module is loaded
    import onnxruntime

    return onnxruntime
