"""A store of 100,000 grids: training reads it picture by picture, in memory that does not grow with it."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from captioner.features.formats import Content
from captioner.features.store import open_features, write_content
from captioner.images.index import IdIndex

PICTURES, SHAPE, BATCHES = 100_000, (49, 256), 150
TRAINING = """
import re, sys
from pathlib import Path
from captioner.data.batches import CaptionBatches
from captioner.models.architectures import build_decoder
from captioner.training.losses import CaptionLoss
from captioner.features.store import open_features
store = open_features(sys.argv[1])
captions = {name: [[1, 4 + index % 90, 5, 6, 2]] for index, name in enumerate(store)}
batches = CaptionBatches(store, captions, 64, seed=0).for_keras()
decoder = build_decoder({"architecture": "attention", "units": 32, "embedding_size": 32}, 100, store.shape)
decoder.compile("adam", CaptionLoss())
decoder.fit(batches, epochs=1, steps_per_epoch=int(sys.argv[2]), shuffle=False, verbose=0)
print(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""


def rows():
    block = np.random.default_rng(0).normal(size=(64, *SHAPE)).astype(np.float16)
    for index in range(PICTURES):
        yield block[index % 64] + np.float16(index // 64 % 7)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Two and a half gigabytes."""
    path = tmp_path_factory.mktemp("store") / "f.h5"
    ids = IdIndex.of([f"{index:06}" for index in range(PICTURES)])
    write_content(path, Content(ids, rows(), SHAPE, None, "float16"))
    yield path
    path.unlink()


@pytest.mark.slow
def test_a_random_batch_is_gathered_without_reading_the_file_whole(store):
    features, rng = open_features(store), np.random.default_rng(1)
    wanted = rng.integers(0, PICTURES, 64)
    found = features.gather([f"{place:06}" for place in wanted])
    expected = dict(zip(wanted.tolist(), found, strict=True))
    for place, row in enumerate(rows()):
        if place in expected:
            np.testing.assert_array_equal(expected[place], row.astype(np.float32))


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="needs Linux to tell the memory")
def test_it_trains_in_less_than_two_gigabytes(store):
    command = [sys.executable, "-c", TRAINING, str(store), str(BATCHES)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert store.stat().st_size > 2.4e9
    peak = int(done.stdout.split()[-1]) * 1024
    print(f"peak resident {peak / 1e9:.2f} GB")
    assert peak < 2e9
