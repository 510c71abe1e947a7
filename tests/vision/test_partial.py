import contextlib

import numpy as np
import pytest

from captioner.storage import DataError
from captioner.vision.partial import PartialFeatures, read_header

HEADER = {"encoder": "tiny", "precision": "float32"}


@contextlib.contextmanager
def opened(path, header=HEADER):
    with contextlib.closing(PartialFeatures(path, header, (2, 3), "float16")) as partial:
        yield partial


def rows(start, count):
    return np.arange(start, start + count * 6, dtype=np.float16).reshape(count, 2, 3)


@pytest.fixture
def path(tmp_path):
    """Three batches: a, b and a broken c; d; and one of a broken e."""
    with opened(tmp_path / "f.partial") as partial:
        partial.append(["a", "b"], rows(0, 2), {"c": "broken"})
        partial.append(["d"], rows(100, 1), {})
        partial.append([], rows(0, 0), {"e": "empty"})
    return tmp_path / "f.partial"


def held(path):
    with opened(path) as partial:
        return list(partial)


def test_it_goes_on_where_it_was(path):
    with opened(path) as partial:
        assert list(partial) == ["a", "b", "d"]
        assert partial.skipped == {"c": "broken", "e": "empty"}
        assert partial.done == 5
        assert partial["b"].dtype == np.float16
        np.testing.assert_array_equal(partial["d"], rows(100, 1)[0])
        partial.append(["f"], rows(200, 1), {})
        np.testing.assert_array_equal(partial["b"], rows(6, 1)[0])
    assert held(path) == ["a", "b", "d", "f"]


def test_a_file_cut_anywhere_keeps_its_whole_batches(path, tmp_path):
    data = path.read_bytes()
    cut = tmp_path / "cut.partial"
    kept = set()
    for length in range(len(data) + 1):
        cut.write_bytes(data[:length])
        with opened(cut) as partial:
            kept.add((*partial, *partial.skipped))
            partial.append(["x"], rows(7, 1), {})
        with opened(cut) as again:
            np.testing.assert_array_equal(again["x"], rows(7, 1)[0])
    assert kept == {(), ("a", "b", "c"), ("a", "b", "d", "c"), ("a", "b", "d", "c", "e")}


def test_bytes_that_a_crash_has_changed_are_dropped(path):
    data = path.read_bytes()
    row = data.index(rows(100, 1).tobytes())
    path.write_bytes(data[:row] + b"\1" + data[row + 1 :])
    assert held(path) == ["a", "b"]
    path.write_bytes(data[: row - 8] + bytes(len(data)))
    assert held(path) == ["a", "b"]


def test_another_header_begins_anew(path):
    assert read_header(path) == HEADER
    with opened(path, {**HEADER, "precision": "bfloat16"}) as partial:
        assert partial.done == 0
        partial.close(remove=True)
    assert read_header(path) is None
    path.write_bytes(b"\x00\xff\n")
    assert read_header(path) is None


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="cannot be written"), opened(tmp_path / "file" / "f.partial"):
        pass
