import io
import os
import pickle
import struct
import sys
import types
from collections import OrderedDict

import numpy as np
import pytest

from captioner.encoders.torch_checkpoint import read_checkpoint
from captioner.storage import DataError

VALUES = np.arange(24, dtype="<f4")


class Tensor:
    """Pickles as torch's tensors did: a view of a storage that is kept outside the pickle."""

    def __init__(self, key, offset, shape, strides):
        self.key, self.view = key, (offset, shape, strides)

    def __reduce__(self):
        return sys.modules["torch._utils"]._rebuild_tensor_v2, (Storage(self.key), *self.view, False, OrderedDict())


class Storage:
    def __init__(self, key):
        self.key = key


class Pickler(pickle.Pickler):
    def persistent_id(self, thing):
        if isinstance(thing, Storage):
            return ("storage", sys.modules["torch"].FloatStorage, thing.key, "cpu", len(VALUES), None)
        return None


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write a checkpoint of the early format, as torch would."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    torch.FloatStorage = type("FloatStorage", (), {"__module__": "torch"})

    def _rebuild_tensor_v2():
        pass

    _rebuild_tensor_v2.__module__, _rebuild_tensor_v2.__qualname__ = "torch._utils", "_rebuild_tensor_v2"
    utils._rebuild_tensor_v2 = _rebuild_tensor_v2

    def write(tensors, magic=0x1950A86A20F9469CFC6C):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, "torch", torch)
            patch.setitem(sys.modules, "torch._utils", utils)
            file = io.BytesIO()
            for part in (magic, 1001, {"little_endian": True}, tensors, ["7"]):
                Pickler(file, 2).dump(part)
        file.write(struct.pack("<q", len(VALUES)) + VALUES.tobytes())
        (tmp_path / "c.pth").write_bytes(file.getvalue())
        return tmp_path / "c.pth"

    return write


def test_tensors_are_views_of_their_storage(write):
    path = write(OrderedDict(plain=Tensor("7", 0, (2, 12), (12, 1)), turned=Tensor("7", 12, (4, 3), (1, 4))))
    tensors = read_checkpoint(path)
    np.testing.assert_array_equal(tensors["plain"], VALUES.reshape(2, 12))
    np.testing.assert_array_equal(tensors["turned"], VALUES[12:].reshape(3, 4).T)


@pytest.mark.parametrize(
    "view", [(0, (25,), (1,)), (20, (5,), (1,)), (0, (2, 2), (23, 1)), (-1, (2,), (1,)), (5, (2,), (-1,))]
)
def test_a_view_beyond_its_storage_is_refused(write, view):
    with pytest.raises(DataError, match="beyond its storage"):
        read_checkpoint(write({"a": Tensor("7", *view)}))


class Hostile:
    def __reduce__(self):
        return os.system, ("echo owned",)


def test_hostile_files_are_refused(write):
    with pytest.raises(DataError, match=r"c\.pth: refused, it refers to posix\.system"):
        read_checkpoint(write({"a": Hostile()}))


def test_other_files(write, tmp_path):
    path = write({"a": Tensor("7", 0, (24,), (1,))})
    data = path.read_bytes()
    for length in (0, 10, 100, len(data) - 1):
        path.write_bytes(data[:length])
        with pytest.raises(DataError, match=r"c\.pth: truncated or not a checkpoint"):
            read_checkpoint(path)
    with pytest.raises(DataError, match="not a torch checkpoint of the early format"):
        read_checkpoint(write({}, magic=1))
    with pytest.raises(DataError, match="no such file"):
        read_checkpoint(tmp_path / "missing.pth")
