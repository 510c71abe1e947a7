"""Damaged files in child processes: a signal, a hang, more memory than allowed or a foreign error is a failure.

`FUZZ_ROUNDS` says how many a file (by default few enough for every run of the tests), `FUZZ_SEED` which.
"""

import io
import os
import pickle
import subprocess
import sys

import h5py
import numpy as np
import pytest
from PIL import Image, features

from tests.speed import slow_but

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits memory as Linux does")

ROUNDS, SEED = os.environ.get("FUZZ_ROUNDS", "150"), os.environ.get("FUZZ_SEED", "0")
ROWS = {f"p{index}": np.arange(6, dtype=np.float32)[np.newaxis] for index in range(4)}
KINDS = ["JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "AVIF", "JPEG2000", "PPM", "QOI", "SGI", "PCX"]


def picture(kind):
    if kind == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    file = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (40, 56, 3), np.uint8)
    Image.fromarray(noise).save(file, kind)
    return file.getvalue()


def survives(tmp_path, reader, data, rounds=ROUNDS):
    (tmp_path / "whole").write_bytes(data)
    command = [sys.executable, "-m", "tests.fuzz.child", reader, str(tmp_path / "whole"), rounds, SEED]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.returncode}: {done.stderr[-2000:]}"
    assert done.stdout.split()[1] == rounds


@pytest.mark.parametrize("protocol", range(6))
def test_damaged_pickles(tmp_path, protocol):
    survives(tmp_path, "pickle", pickle.dumps(ROWS, protocol))


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_pictures(tmp_path, kind):
    survives(tmp_path, "picture", picture(kind))


@pytest.mark.parametrize("options", slow_but([{}, {"chunks": (1, 6)}, {"chunks": (2, 3), "compression": "gzip"}], {}))
def test_damaged_hdf5_files(tmp_path, options):
    with h5py.File(tmp_path / "a.h5", "w", libver="latest" if options else None) as file:
        file.create_dataset("features", data=np.concatenate(list(ROWS.values())), **options)
        file["ids"] = np.array([name.encode() for name in ROWS])
        file.attrs["encoder"] = "{}"
    # each round starts a process
    survives(tmp_path, "hdf5", (tmp_path / "a.h5").read_bytes(), str(int(ROUNDS) // 10))
