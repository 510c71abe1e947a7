"""The device and the precision of training."""

from __future__ import annotations

import os
from typing import Literal

import keras

from captioner.processor import computes_bfloat16

Precision = Literal["float32", "bfloat16"]
Wanted = Literal["float32", "bfloat16", "auto"]
AMPERE = 8.0  # NVIDIA's first compute capability with bfloat16


def resolve_precision(precision: Wanted) -> Precision:
    """Return a recipe's precision; `auto` means bfloat16 if the training device supports it natively.

    JAX on a CPU converts bfloat16 to float32 for products, even if the CPU supports bfloat16.
    """
    if precision != "auto":
        return precision
    backend, devices = keras.backend.backend(), keras.distribution.list_devices()
    kinds = {device.partition(":")[0] for device in devices} - {"cpu"}
    if not kinds:
        native = backend == "tensorflow" and computes_bfloat16()
    elif "gpu" in kinds:
        native = _gpu_capability(backend) >= AMPERE
    else:
        native = kinds == {"tpu"}
    return "bfloat16" if native else "float32"


def _gpu_capability(backend: str) -> float:
    """Return the lowest compute capability of the NVIDIA GPUs; 0.0 if it is unknown."""
    if backend == "jax":
        import jax

        found = [float(getattr(device, "compute_capability", 0.0)) for device in jax.local_devices()]
    else:
        import tensorflow as tf

        details = map(tf.config.experimental.get_device_details, tf.config.list_physical_devices("GPU"))
        found = [float(".".join(map(str, one.get("compute_capability", (0, 0))))) for one in details]
    return min(found, default=0.0)


def describe_device(precision: str) -> str:
    """Return one line for the user: devices, backend and precision."""
    devices = keras.distribution.list_devices()
    accelerators = [device for device in devices if not device.startswith("cpu")]
    where = ", ".join(accelerators) if accelerators else f"CPU ({os.cpu_count()} cores)"
    return f"device: {where}; backend: {keras.backend.backend()}; precision: {precision}"
