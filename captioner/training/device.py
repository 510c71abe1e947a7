"""Which device computes, and in which precision."""

from __future__ import annotations

import os

import keras


def describe_device(precision: str) -> str:
    """Return one line for the user: devices, backend and precision."""
    devices = keras.distribution.list_devices()
    accelerators = [device for device in devices if not device.startswith("cpu")]
    where = ", ".join(accelerators) if accelerators else f"CPU ({os.cpu_count()} cores)"
    return f"device: {where}; backend: {keras.backend.backend()}; precision: {precision}"
