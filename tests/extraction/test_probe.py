from threading import Lock

import numpy as np
import pytest

from captioner.extraction import probe
from captioner.extraction.probe import Chosen, choose, least_cosine

SAME, OTHER = [[1, 2], [3, 4]], [[1, 2], [4, -3]]
PICTURES = np.zeros((2, 4, 4, 3), np.uint8)


class Clock:
    """Time that passes when an encoder says so, whatever else the machine does."""

    def __init__(self):
        self.seconds, self.lock = 0.0, Lock()

    def perf_counter(self):
        return self.seconds

    def pass_by(self, seconds):
        with self.lock:  # passes run in threads; each has the machine to itself
            self.seconds += seconds


CLOCK = Clock()


class Timed:
    """An encoder whose passes take as long as they are told to."""

    def __init__(self, seconds, features=SAME, narrow=None, precision="float32"):
        self.seconds, self.features, self.narrow = seconds, np.float32(features), narrow
        self.description = {"precision": precision}

    def in_precision(self, precision):
        assert precision == "bfloat16"
        return self.narrow

    def encode_layers(self, pictures):
        CLOCK.pass_by(self.seconds(len(pictures)))
        return [self.features, self.features]


def constant(seconds):
    return lambda count: seconds


@pytest.fixture(autouse=True)
def always_worth_it(monkeypatch):
    monkeypatch.setattr(probe, "WORTH_PROBING", 0)
    monkeypatch.setattr(probe, "time", CLOCK)


@pytest.mark.parametrize(
    ("wide_seconds", "narrow_seconds", "features", "precision"),
    [
        (0.02, 0.001, SAME, "bfloat16"),
        (0.001, 0.02, SAME, "float32"),
        (0.02, 0.001, OTHER, "float32"),
        (0.02, 0.001, [[1, 2], [np.nan, 4]], "float32"),
    ],
)
def test_the_faster_precision_is_taken_if_it_agrees(wide_seconds, narrow_seconds, features, precision):
    narrow = Timed(constant(narrow_seconds), features, precision="bfloat16")
    wide = Timed(constant(wide_seconds), SAME, narrow)
    encoder, chosen = choose(wide, PICTURES, 1000, "auto", 16, accelerated=False)
    assert encoder is (narrow if precision == "bfloat16" else wide)
    assert (chosen.precision, chosen.batch_size) == (precision, 16)
    assert ("its features differ" in str(chosen)) == (features == OTHER)
    assert Chosen(**chosen.to_json()) == chosen or np.isnan(chosen.cosine)


def test_little_work_is_not_worth_another_network(monkeypatch):
    monkeypatch.setattr(probe, "WORTH_PROBING", 20)
    wide = Timed(constant(0.001), narrow=None)
    assert choose(wide, PICTURES, 1000, "auto", 16, accelerated=False)[1] == Chosen("float32", 16)


def test_batches_grow_as_long_as_that_pays():
    saturating = Timed(lambda count: 0.02 + count / 1000 if count <= 32 else count / 600)
    _, chosen = choose(saturating, PICTURES, 10**6, "float32", "auto", accelerated=False)
    assert chosen.batch_size == 32
    assert list(chosen.batch_rates) == ["8", "16", "32", "64"]
    assert "with 64: batches of 32" in str(chosen)


def test_no_more_time_is_spent_than_the_run_is_worth():
    linear = Timed(lambda count: 0.01 * count)
    _, chosen = choose(linear, PICTURES, 20, "float32", "auto", accelerated=False)
    assert chosen == Chosen("float32", probe.DEFAULT_BATCH_SIZE)


def test_on_an_accelerator_batches_grow_until_its_memory_is_full():
    def seconds(count):
        if count > 256:
            raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory")
        return 0.01 + count / 20000

    _, chosen = choose(Timed(seconds), PICTURES, 10**6, "float32", "auto", accelerated=True)
    assert chosen.batch_size == 256
    assert list(chosen.batch_rates) == ["32", "64", "128", "256"]

    def broken(count):
        if count > 32:
            raise RuntimeError("something else")
        return 0.001

    with pytest.raises(RuntimeError, match="something else"):
        choose(Timed(broken), PICTURES, 10**6, "float32", "auto", accelerated=True)


def test_least_cosine_is_that_of_the_worst_picture():
    assert least_cosine(np.float32(SAME), np.float32(SAME)) == pytest.approx(1)
    assert least_cosine(np.float32(SAME), np.float32(OTHER)) == pytest.approx(0)
    grids = np.ones((2, 3, 4), np.float32)
    assert least_cosine(grids, 2 * grids) == pytest.approx(1)
