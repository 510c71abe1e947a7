import re
from types import SimpleNamespace

import keras
import pytest

from captioner.training import device


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_precision_that_is_named_is_taken(precision):
    assert device.resolve_precision(precision) == precision


@pytest.mark.parametrize(
    ("backend", "devices", "native", "capability", "expected"),
    [
        ("tensorflow", ["cpu:0"], True, 0.0, "bfloat16"),
        ("tensorflow", ["cpu:0"], False, 0.0, "float32"),
        ("jax", ["cpu:0"], True, 0.0, "float32"),
        ("tensorflow", ["gpu:0"], False, 8.0, "bfloat16"),
        ("tensorflow", ["cpu:0", "gpu:0"], True, 7.5, "float32"),
        ("jax", ["gpu:0", "gpu:1"], False, 9.0, "bfloat16"),
        ("jax", ["tpu:0"], False, 0.0, "bfloat16"),
    ],
)
def test_auto_takes_bfloat16_where_the_device_has_it(monkeypatch, backend, devices, native, capability, expected):
    monkeypatch.setattr(keras.backend, "backend", lambda: backend)
    monkeypatch.setattr(keras.distribution, "list_devices", lambda: devices)
    monkeypatch.setattr(device, "computes_bfloat16", lambda: native)
    monkeypatch.setattr(device, "_gpu_capability", lambda backend: capability)
    assert device.resolve_precision("auto") == expected


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_a_machine_without_gpus_has_no_capability(backend):
    pytest.importorskip(backend)
    if keras.distribution.list_devices()[0].startswith("cpu"):
        assert device._gpu_capability(backend) == 0.0


def test_the_slowest_of_several_gpus_decides(monkeypatch):
    jax = pytest.importorskip("jax")
    gpus = [SimpleNamespace(compute_capability=capability) for capability in ("9.0", "7.5", "8.0")]
    monkeypatch.setattr(jax, "local_devices", lambda: gpus)
    assert device._gpu_capability("jax") == 7.5


def test_a_gpu_that_tensorflow_says_nothing_of_has_no_capability(monkeypatch):
    tensorflow = pytest.importorskip("tensorflow")
    details = {"first": {"compute_capability": (8, 6)}, "second": {}}
    monkeypatch.setattr(tensorflow.config, "list_physical_devices", lambda kind: ["first"])
    monkeypatch.setattr(tensorflow.config.experimental, "get_device_details", details.get)
    assert device._gpu_capability("tensorflow") == 8.6
    monkeypatch.setattr(tensorflow.config, "list_physical_devices", lambda kind: ["first", "second"])
    assert device._gpu_capability("tensorflow") == 0.0


@pytest.mark.parametrize(
    ("devices", "where"), [(["cpu:0"], r"CPU \(\d+ cores\)"), (["cpu:0", "gpu:0", "gpu:1"], "gpu:0, gpu:1")]
)
def test_the_line_for_the_user_names_the_accelerators_or_the_processor(monkeypatch, devices, where):
    monkeypatch.setattr(keras.distribution, "list_devices", lambda: devices)
    found = device.describe_device("bfloat16")
    assert re.fullmatch(rf"device: {where}; backend: {keras.backend.backend()}; precision: bfloat16", found)
