"""Reads damaged copies of one file, round after round; whatever is not an error of ours ends this process badly."""

import os
import resource
import sys
import tempfile
from pathlib import Path

import numpy as np

from captioner.features.formats import read_pickle
from captioner.features.store import open_features
from captioner.images.decode import load_image
from captioner.storage import DataError


def read_store(path):
    """Open an HDF5 file and read every row of it."""
    store = open_features(path)
    store.gather(list(store))


READERS = {"pickle": read_pickle, "picture": load_image, "hdf5": read_store}
MEMORY = 2**30
SECONDS_A_ROUND = 2


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    """Return a copy with flipped bits, and now and then a piece removed, repeated or cut off."""
    copy = bytearray(data)
    for _ in range(rng.integers(1, 6)):
        copy[rng.integers(len(copy))] ^= 1 << rng.integers(8)
    start, end = sorted(rng.integers(0, len(copy), 2))
    kind = rng.integers(8)
    if kind == 0:
        del copy[start:end]
    elif kind == 1:
        copy[start:start] = copy[start:end]
    elif kind == 2:
        del copy[start:]
    elif kind == 3:
        copy[start : start + 4] = b"\xff\xff\xff\x7f"
    return bytes(copy)


def main() -> None:
    read, data = READERS[sys.argv[1]], Path(sys.argv[2]).read_bytes()
    rounds, rng = int(sys.argv[3]), np.random.default_rng(int(sys.argv[4]))
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (10 + SECONDS_A_ROUND * rounds,) * 2)
    accepted = 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ("damaged.h5" if sys.argv[1] == "hdf5" else "damaged")
        for number in range(rounds):
            path.write_bytes(damaged(data, rng))
            try:
                read(path)
                accepted += 1
            except DataError as error:
                if "\n" in str(error):
                    raise
            except BaseException:
                os.write(2, f"round {number}\n".encode())
                raise
    print(accepted, rounds)


if __name__ == "__main__":
    main()
