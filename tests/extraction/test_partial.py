import contextlib
import multiprocessing
import os
import time
from pathlib import Path

import numpy as np
import pytest

from captioner.extraction.partial import SOURCE, EncodedBatch, PartialFeatures
from captioner.images.index import IdIndex
from captioner.images.listing import Paths, Pictures
from captioner.storage import DataError

HEADER = {"encoder": "tiny", "precision": "float32"}
NAMES = "abcdefg"
ROWS = [("float16", (2, 3)), ("float32", (4,))]


def listing(names=NAMES):
    places = np.array([NAMES.index(name) for name in names])
    return Pictures(Path(), IdIndex.of(list(names)), Paths(b"", places, places), 100 + places, 10**18 + places)


def grid(place):
    return np.arange(place * 6, place * 6 + 6, dtype=np.float16).reshape(2, 3)


def batch(pictures, names, skipped=None):
    places = pictures.ids.find(list(names))
    sources = np.zeros(len(places), SOURCE)
    sources["bytes"], sources["modified"] = pictures.bytes[places], pictures.modified[places]
    sources["digest"] = [name.encode() * 16 for name in names]
    features = [np.stack([grid(NAMES.index(name)) for name in names]), np.ones((len(names), 4), np.float32)]
    broken = {int(pictures.ids.find([name])[0]): reason for name, reason in (skipped or {}).items()}
    return EncodedBatch(places, sources, broken, features)


@contextlib.contextmanager
def opened(path, pictures=None, rows=ROWS):
    partial = PartialFeatures(path)
    with contextlib.closing(partial):
        pictures = pictures or listing()
        partial.changed = partial.begin(HEADER, pictures, rows, go_on=partial.header == HEADER)
        yield partial


@pytest.fixture
def path(tmp_path):
    """Three batches: a, b and a broken c; d; and one of a broken e."""
    pictures = listing()
    with opened(tmp_path / "f.partial") as partial:
        partial.append(batch(pictures, "abc", {"c": "broken"}))
        partial.append(batch(pictures, "d"))
        partial.append(batch(pictures, "e", {"e": "empty"}))
    return tmp_path / "f.partial"


def held(partial):
    return "".join(NAMES[place] for place in np.flatnonzero(partial.extracted()))


def left(partial):
    return "".join(NAMES[place] for place in np.flatnonzero(partial.undone()))


def test_it_goes_on_where_it_was(path):
    with opened(path) as partial:
        assert (held(partial), left(partial), partial.done) == ("abd", "fg", 5)
        assert partial.skipped == {2: "broken", 4: "empty"}
        assert partial.features(1, 0).dtype == np.float16
        np.testing.assert_array_equal(partial.features(3, 0), grid(3))
        assert partial.features(3, 1).tolist() == [1] * 4
        source = partial.source(3)
        assert (source["bytes"], source["modified"], source["digest"].tobytes()) == (103, 10**18 + 3, b"d" * 16)
        partial.append(batch(listing(), "fg"))
        np.testing.assert_array_equal(partial.features(1, 0), grid(1))
    with opened(path) as partial:
        assert (held(partial), left(partial), partial.changed) == ("abdfg", "", [])


def test_batches_may_come_in_any_order(tmp_path):
    with opened(tmp_path / "f.partial") as partial:
        for names in ("fg", "ab", "de"):
            partial.append(batch(listing(), names))
        assert left(partial) == "c"
    with opened(tmp_path / "f.partial") as partial:
        assert (held(partial), left(partial)) == ("abdefg", "c")
        np.testing.assert_array_equal(partial.features(5, 0), grid(5))


def test_a_file_cut_anywhere_keeps_its_whole_batches(path, tmp_path):
    data = path.read_bytes()
    cut = tmp_path / "cut.partial"
    kept = set()
    for length in range(0, len(data) + 1, 3):
        cut.write_bytes(data[:length])
        with opened(cut) as partial:
            kept.add((held(partial), *partial.skipped.values()))
            partial.append(batch(listing(), "g"))
        with opened(cut) as again:
            np.testing.assert_array_equal(again.features(6, 0), grid(6))
    cut.write_bytes(data)
    with opened(cut) as partial:
        kept.add((held(partial), *partial.skipped.values()))
    assert kept == {("",), ("ab", "broken"), ("abd", "broken"), ("abd", "broken", "empty")}


def test_bytes_that_a_crash_has_changed_are_dropped(path):
    data = path.read_bytes()
    row = data.index(grid(3).tobytes())
    for changed in (data[:row] + b"\1" + data[row + 1 :], data[: row - 8] + bytes(len(data))):
        path.write_bytes(changed)
        with opened(path) as partial:
            assert held(partial) == "ab"


def test_pictures_that_changed_or_went_since_are_not_taken_over(path):
    pictures = listing()
    pictures.bytes[0] += 1  # a
    pictures.modified[2] += 1  # c, which was broken
    with opened(path, pictures) as partial:
        assert (held(partial), left(partial), partial.changed) == ("bd", "acfg", [0])
        partial.append(batch(pictures, "a"))
        assert held(partial) == "abd"
    with opened(path, pictures) as partial:
        assert (held(partial), partial.changed) == ("abd", [])
    fewer = listing("abdg")
    with opened(path, fewer) as partial:
        assert (partial.extracted().tolist(), partial.skipped) == ([False, True, True, False], {})
        np.testing.assert_array_equal(partial.features(2, 0), grid(3))


def test_another_header_begins_anew(path):
    with contextlib.closing(PartialFeatures(path)) as partial:
        assert partial.header == HEADER
        partial.begin({**HEADER, "precision": "bfloat16"}, listing(), ROWS, go_on=False)
        assert partial.done == 0
        partial.close(remove=True)
    assert not path.exists()
    path.write_bytes(b"\x00\xff\n")
    with contextlib.closing(PartialFeatures(path)) as partial:
        assert partial.header is None


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="cannot be written"):
        PartialFeatures(tmp_path / "file" / "f.partial")


def test_a_second_writer_is_refused_until_the_first_is_done(path):
    first = PartialFeatures(path)
    with pytest.raises(DataError, match=r"f\.partial: another process is writing it"):
        PartialFeatures(path)
    first.close()
    PartialFeatures(path).close()


def hold(path, ready):
    _writer = PartialFeatures(Path(path))
    ready.set()
    time.sleep(60)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="locks of other systems")
def test_the_lock_of_a_killed_writer_is_gone(path):
    ways = multiprocessing.get_context("spawn")
    ready = ways.Event()
    writer = ways.Process(target=hold, args=(str(path), ready), daemon=True)
    writer.start()
    assert ready.wait(60)
    with pytest.raises(DataError, match="another process"):
        PartialFeatures(path)
    writer.kill()
    writer.join()
    with opened(path) as partial:
        assert held(partial) == "abd"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="has no device that is always full")
def test_closing_hides_no_error_of_a_full_disk(tmp_path):
    partial = PartialFeatures(tmp_path / "features.partial")
    partial._file.close()
    partial._file = Path("/dev/full").open("r+b")  # noqa: SIM115 - closed below
    with pytest.raises(DataError, match=r"features\.partial: cannot be written \(No space left on device\)"):
        partial._write(b"abc")
    partial.close()
    assert partial._file.closed
