"""HDF5 files of anybody: forged ones end another process, within bounds, and never this one."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from captioner.features.store import open_features, write_features
from captioner.hdf5 import read_hdf5
from captioner.storage import DataError

CASES = Path(__file__).parents[1] / "../shared/cases/hostile"
ROWS = np.arange(12, dtype="<f4").reshape(4, 3)


def write(path, **datasets):
    with h5py.File(path, "w", libver="latest") as file:
        for name, (values, options) in datasets.items():
            file.create_dataset(name, data=values, **options)
        file.attrs["encoder"] = "{}"
    return path


def rows(content):
    found = np.empty(content.rows.shape, content.rows.dtype)
    for place, row in enumerate(found):
        content.rows.read_into(row, place)
    return found


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"chunks": (1, 3)},
        {"chunks": (2, 2)},
        {"chunks": (1, 3), "compression": "gzip"},
        {"chunks": (1, 3), "fletcher32": True},
        {"dtype": ">f8"},
        {"maxshape": (None, 3), "chunks": (1, 3)},
    ],
)
def test_rows_however_they_are_stored(tmp_path, options):
    path = write(tmp_path / "a.h5", features=(ROWS, options), ids=(np.array([b"a", b"bc"]), {}))
    content = read_hdf5(path, ["ids", "none"], "features", ["encoder", "other"])
    assert sorted(content.names) == ["features", "ids"] and content.attributes == {"encoder": "{}"}
    assert content.arrays["ids"].tolist() == [b"a", b"bc"] and "none" not in content.arrays
    np.testing.assert_array_equal(rows(content), ROWS)
    path.unlink()  # a file that is replaced goes on being read as it was
    np.testing.assert_array_equal(rows(content), ROWS)


def test_what_leads_out_of_the_file_is_left_out(tmp_path):
    write(tmp_path / "secret.h5", features=(ROWS, {}))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["features"] = h5py.ExternalLink("secret.h5", "features")
        file["ids"] = h5py.SoftLink("/features")
        layout = h5py.VirtualLayout((4, 3), "f4")
        layout[:] = h5py.VirtualSource(str(tmp_path / "secret.h5"), "features", (4, 3))
        file.create_virtual_dataset("virtual", layout)
        file.create_dataset("outside", (4,), "f4", external=[(str(tmp_path / "secret.h5"), 0, 16)])
    content = read_hdf5(tmp_path / "a.h5", ["ids", "virtual", "outside"], "features")
    assert content.rows is None and not content.arrays


@pytest.mark.parametrize(
    ("data", "fault"),
    [(b"", "broken, truncated or not HDF5"), (b"hello", "not HDF5"), (b"\x89HDF\r\n\x1a\n" + bytes(99), "not HDF5")],
)
def test_other_files(tmp_path, data, fault):
    (tmp_path / "a.h5").write_bytes(data)
    with pytest.raises(DataError, match=rf"a\.h5: .*{fault}"):
        read_hdf5(tmp_path / "a.h5", ["ids"])


def test_small_files_that_claim_much(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("ids", (10**8,), "S1000", chunks=(1,))
        file.create_dataset("features", (10**8, 512), "f4", chunks=(1, 512))
        file.create_dataset("wide", (1, 10**9), "f4", chunks=(1, 2**20))
    assert path.stat().st_size < 10**5
    for asked in ({"datasets": ["ids"]}, {"rows": "features"}, {"rows": "wide"}):
        with pytest.raises(DataError, match=r"claims|memory|time|not there"):
            read_hdf5(path, **asked)


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("of.h5", "a chunk of /features claims 100000 bytes, but a row has 32"),
        ("hang.h5", "far more time than a file"),
    ],
)
def test_the_hostile_samples(name, fault):
    if not CASES.is_dir():
        pytest.skip(f"{CASES} is missing")
    with pytest.raises(DataError, match=fault):
        open_features(CASES / name)


def test_ids_and_encoders_that_are_none(tmp_path):
    path = tmp_path / "a.h5"
    for encoder, ids in [("[]", [b"a"]), ("{", [b"a"]), ("{}", [b"\xff"]), ("{}", [b""]), ("[" * 10**5, [b"a"])]:
        with h5py.File(path, "w") as file:
            file["features"], file["ids"] = np.zeros((1, 2), "f4"), np.array(ids, "S2")
            file.attrs["encoder"] = encoder
        with pytest.raises(DataError, match=r"a\.h5: its (ids|encoder)"):
            open_features(path)


def test_files_closed_at_once_or_with_their_rows(tmp_path):
    write_features(tmp_path / "f.h5", {"a": np.float32([1, 2])}, None)
    before = len(list(Path("/dev/fd").iterdir())) if Path("/dev/fd").is_dir() else 0
    store = open_features(tmp_path / "f.h5")
    assert store["a"].tolist() == [1, 2]
    del store
    with pytest.raises(DataError):
        read_hdf5(Path(__file__))
    assert not before or len(list(Path("/dev/fd").iterdir())) == before


@pytest.mark.parametrize("value", [[1, 2], 5, 2.0, True, ["a", "b"], h5py.Empty("f4")])
def test_an_encoder_that_is_no_text_is_refused(tmp_path, value):
    path = write(tmp_path / "a.h5", features=(ROWS, {}), ids=(np.array([b"a", b"b", b"c", b"d"]), {}))
    with h5py.File(path, "a") as file:
        file.attrs["encoder"] = value
    with pytest.raises(DataError, match=r"a\.h5: .*its attribute encoder is not text"):
        open_features(path)


@pytest.mark.parametrize(
    "ids",
    [
        np.array([[b"a", b"b", b"c", b"d"]]),
        np.array([b"\xff", b"b", b"c", b"d"]),
        np.array([b"", b"b", b"c", b"d"]),
        np.array([b"a\0b", b"b", b"c", b"d"]),
        h5py.Empty("S4"),
        b"abcd",
        np.zeros(4, [("a", "f4")]),
    ],
)
def test_ids_that_are_no_list_of_texts_are_refused(tmp_path, ids):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["features"], file["ids"] = ROWS, ids
    with pytest.raises(DataError, match=r"a\.h5: ") as refusal:
        open_features(tmp_path / "a.h5")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("name", "shape", "dtype", "chunks"),
    [
        ("features", (2**31, 4), "f4", (1000, 4)),
        ("features", (4, 2**25), "f4", (1, 2**20)),
        ("ids", (4,), "S9000000", (1,)),
    ],
)
def test_claims_of_gigabytes_are_refused_before_they_are_read(tmp_path, name, shape, dtype, chunks):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset(name, shape, dtype, chunks=chunks, compression="gzip")
        other = "ids" if name == "features" else "features"
        file[other] = np.array([b"a", b"b", b"c", b"d"]) if other == "ids" else ROWS
    with pytest.raises(DataError, match="claims far more than the file holds"):
        open_features(tmp_path / "a.h5")
