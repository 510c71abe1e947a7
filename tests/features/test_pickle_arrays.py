import io
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest

from captioner.features.formats import read_pickle
from captioner.storage import DataError

HEAD, BATCH = b"\x80\x02", b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR"


def read(tmp_path, data):
    path = tmp_path / "f.pkl"
    path.write_bytes(data)
    held = read_pickle(path)
    return dict(zip(held.ids, held.rows, strict=True))


def fault(tmp_path, data):
    with pytest.raises(DataError, match=r"f\.pkl: \S") as caught:
        read(tmp_path, data)
    assert "\n" not in str(caught.value)
    return str(caught.value)


class Python2(pickle._Pickler):
    """Writes texts and bytes as Python 2 does, as 8-bit strings; protocol 0 as its repr on a line."""

    dispatch = dict(pickle._Pickler.dispatch)  # noqa: RUF012  (as the base class has it)

    def save_text(self, text):
        data = text.encode() if isinstance(text, str) else text
        if self.proto == 0:
            self.write(b"S" + repr(data)[1:].encode() + b"\n")
        else:
            short = len(data) < 256
            self.write((b"U" + bytes([len(data)]) if short else b"T" + struct.pack("<i", len(data))) + data)
        self.memoize(text)

    dispatch[str] = dispatch[bytes] = save_text


def python2(content, protocol):
    file = io.BytesIO()
    Python2(file, protocol).dump(content)
    return file.getvalue().replace(b"numpy._core.", b"numpy.core.").replace(b"copyreg", b"copy_reg")


@pytest.mark.parametrize("protocol", range(3))
@pytest.mark.parametrize("channels", [3, 300])
def test_what_python_2_wrote(tmp_path, protocol, channels):
    rng = np.random.default_rng(0)
    content = {f"é{index}.jpg": rng.normal(size=(1, channels)).astype("f4") for index in range(4)}
    found = read(tmp_path, python2(content, protocol))
    assert list(found) == [f"é{index}" for index in range(4)]
    np.testing.assert_array_equal(np.stack(list(found.values())), np.concatenate(list(content.values())))


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("dtype", ["<f2", ">f2", "<f4", ">f4", "<f8", ">f8", "|i1", "|u1", "<i8", ">u2"])
def test_every_plain_number_in_either_order(tmp_path, protocol, dtype):
    values = np.arange(600).reshape(3, 200) % 100
    content = {"c": values.astype(dtype), "fortran": np.asfortranarray(values.astype(dtype))}
    content["part"] = np.repeat(values.astype(dtype), 2, axis=1)[:, ::2]
    found = read(tmp_path, pickle.dumps(content, protocol))
    for name in content:
        np.testing.assert_array_equal(found[name], values, err_msg=name)
        assert found[name].dtype == np.float32


@pytest.mark.parametrize("protocol", range(6))
def test_numbers_and_texts_of_numpy_as_keys(tmp_path, protocol):
    row = np.float32([1, 2])
    content = {np.int64(42): row, np.str_("ä.jpg"): row, np.bytes_(b"b"): row, 7.0: row, np.uint8(3): row}
    assert list(read(tmp_path, pickle.dumps(content, protocol))) == ["42", "ä", "b", "7", "3"]


def test_one_array_under_many_ids(tmp_path):
    row = np.ones(3, np.float32)
    assert len(read(tmp_path, pickle.dumps(dict.fromkeys("abc", row)))) == 3
    row = np.ones(10**5, np.float32)
    many = pickle.dumps({f"{index}": row for index in range(2000)})
    assert "one array under many ids" in fault(tmp_path, many)


@pytest.mark.parametrize(
    ("module", "name", "way_out"),
    [
        ("torch._utils", "_rebuild_tensor_v2", r"contains torch tensors; save tensor.cpu().numpy()"),
        ("tensorflow.python.framework.ops", "convert_to_tensor", "contains TensorFlow tensors; save tensor.numpy()"),
        ("pandas.core.frame", "DataFrame", "contains a pandas table; save a dict"),
        ("joblib.numpy_pickle", "NumpyArrayWrapper", "contains arrays of joblib; read it with joblib.load"),
        ("jax._src.array", "_reconstruct_array", "contains JAX arrays"),
        ("numpy.ma.core", "_mareconstruct", "save numpy.asarray(array, 'float32')"),
        ("collections", "defaultdict", "save dict(features)"),
        ("posix", "system", "refused, it asks for posix.system, which no file of this kind needs; it may be hostile"),
        ("os", "x\x1b[2J", "it may be hostile"),
    ],
)
def test_what_others_pickled_is_named_with_the_way_out(tmp_path, module, name, way_out):
    lines = f"c{module}\n{name}\n".encode()
    stacked = b"".join(b"\x8c" + bytes([len(text)]) + text.encode() for text in (module, name)) + b"\x93"
    for data in (b"(dS'a'\n" + lines + b"s.", one(lines + b")R"), b"\x80\x04}\x8c\x01a" + stacked + b")\x81s."):
        message = fault(tmp_path, data)
        assert way_out in message and "\x1b" not in message


def test_tables_and_joblibs_files(tmp_path):
    pandas, joblib = pytest.importorskip("pandas"), pytest.importorskip("joblib")
    table = pandas.DataFrame(np.zeros((2, 3), np.float32), index=["a", "b"])
    assert "contains a pandas table" in fault(tmp_path, pickle.dumps(table))
    assert "contains a pandas table" in fault(tmp_path, pickle.dumps({"a": table.loc["a"]}))
    joblib.dump({"a": np.zeros(3)}, tmp_path / "j.pkl")
    assert "joblib.load" in fault(tmp_path, (tmp_path / "j.pkl").read_bytes())
    joblib.dump({"a": np.zeros(3)}, tmp_path / "j.pkl", compress=3)
    assert "joblib.load" in fault(tmp_path, (tmp_path / "j.pkl").read_bytes())


@pytest.mark.parametrize(
    ("beginning", "way_out"),
    [
        (b"\x1f\x8b\x08", "gunzip"),
        (b"PK\x03\x04", "torch.save"),
        (b"\x93NUMPY", "numpy.save"),
        (b"\x89HDF\r\n", "in .h5"),
        (b"x\x9c", "joblib.load"),
    ],
)
def test_other_files_are_named(tmp_path, beginning, way_out):
    assert way_out in fault(tmp_path, beginning + bytes(100))


def array(
    shape=b"K\x02\x85", dtype=b"U\x02f4", state=b"(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t", data=8
):
    number = b"cnumpy\ndtype\n(" + dtype + b"\x89\x88tR" + state + b"b"
    return BATCH + b"(K\x01" + shape + number + b"\x89U" + bytes([data]) + bytes(data) + b"tb"


def one(value):
    return HEAD + b"}U\x01a" + value + b"s."


def test_the_forged_files_are_forged_in_one_thing_only(tmp_path):
    assert read(tmp_path, one(array()))["a"].tolist() == [0, 0]


@pytest.mark.parametrize(
    "value",
    [
        array(data=4),
        array(data=12),
        array(shape=b"J\xff\xff\xff\xffJ\xfe\xff\xff\xff\x86"),
        array(shape=b"\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00\x01\x85"),
        array(shape=b"(" + b"K\x01" * 40 + b"K\x02t"),
        array(shape=b"G?\xf0\x00\x00\x00\x00\x00\x00\x85"),
        array(dtype=b"U\x02O8"),
        array(dtype=b"U\x02V4"),
        array(dtype=b"U\x04f4,f4"),
        array(dtype=b"U\x02f3"),
        array(dtype=b"U\x02c8"),
        array(dtype=b"U\x0af400000000"),
        array(dtype=b"]"),
        array(state=b"(K\x03U\x01|N(U\x01atJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x3ft"),
        array(state=b"(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x3ft"),
        array(state=b"(K\x03U\x01<NNNK\x40J\xff\xff\xff\xffK\x00t"),
        array(state=b"(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00}t"),
        array(state=b"N"),
        BATCH,
        array() + b"N" + array()[:0] + b"b",
        array() + b"(K\x01K\x02\x85Nb",
        b"cnumpy\nndarray\n)R",
        b"cnumpy\nndarray\n(K\x02tR",
        b"cnumpy.core.multiarray\n_reconstruct\n(ccollections\nOrderedDict\n(K\x00tU\x01btR",
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(J\x00\x00\x00\x7ftU\x01btR",
        b"cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n(U\x03V16\x89\x88tRU\x10" + bytes(16) + b"tR",
        b"ccollections\nOrderedDict\n(](U\x01bK\x01eatR",
        b"c_codecs\nencode\n(X\x01\x00\x00\x00aX\x08\x00\x00\x00punycodetR",
        b"c_codecs\nencode\n(X\x01\x00\x00\x00aX\x04\x00\x00\x00zlibtR",
        b"c__builtin__\nbytes\n(J\x00\x00\x00\x7ftR",
        b"]" * 50 + b"a" * 49,
        b")" + b"\x85" * 10**6,
    ],
)
def test_what_is_forged_is_refused(tmp_path, value):
    fault(tmp_path, one(value))


def test_a_nested_key_is_never_hashed(tmp_path):
    fault(tmp_path, HEAD + b"})" + b"\x85" * 10**6 + b"N" + b"s.")
    fault(tmp_path, HEAD + b"}}" + array() + b"s.")
    fault(tmp_path, HEAD + b"}\x8b\x00\x08\x00\x00" + b"\x7f" * 2048 + array() + b"s.")
    assert "..." in fault(tmp_path, HEAD + b"}X\xff\x00\x00\x00" + b"a" * 255 + b"N" + b"s.")


def test_the_samples_kept_beside_the_project(tmp_path):
    cases = Path(__file__).parents[2] / "../shared/cases"
    if not cases.is_dir():
        pytest.skip(f"{cases} is missing")
    assert "array of records" in fault(tmp_path, (cases / "hostile/od.pkl").read_bytes())
    assert len(read(tmp_path, (cases / "py2-features/features.pkl").read_bytes())) == 720
