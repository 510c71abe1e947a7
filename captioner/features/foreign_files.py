"""Descriptions of files that are not pickles of features, and of how to convert them."""

from __future__ import annotations

from captioner.pickle_values import ForeignPickleError

# other objects in pickles, by the first part of their module
_FOREIGN = {
    "torch": "torch tensors; save tensor.cpu().numpy() for each picture",
    "tensorflow": "TensorFlow tensors; save tensor.numpy() for each picture",
    "keras": "Keras objects; save keras.ops.convert_to_numpy(tensor) for each picture",
    "jax": "JAX arrays; save numpy.asarray(array) for each picture",
    "jaxlib": "JAX arrays; save numpy.asarray(array) for each picture",
    "pandas": "a pandas table; save a dict id -> numpy array: {i: row.to_numpy() for i, row in table.iterrows()}",
    "joblib": "arrays of joblib; read it with joblib.load and save a dict id -> numpy array with pickle.dump",
    "scipy": "SciPy matrices; save matrix.toarray() for each picture",
    "PIL": "pictures, not features; `captioner extract` makes features of a folder of pictures",
    "ml_dtypes": "numbers in a format of ml_dtypes; save array.astype('float32') for each picture",
    "cupy": "CuPy arrays; save array.get() for each picture",
    "mxnet": "MXNet arrays; save array.asnumpy() for each picture",
    "paddle": "Paddle tensors; save tensor.numpy() for each picture",
    "datasets": "a Hugging Face data set; save a dict id -> numpy array with pickle.dump",
    "transformers": "outputs of transformers; save tensor.cpu().numpy() for each picture",
}

MAGIC = {
    b"\x1f\x8b": "compressed by gzip; unpack it with `gunzip`",
    b"BZh": "compressed by bzip2; unpack it with `bunzip2`",
    b"\xfd7zXZ": "compressed by xz; unpack it with `unxz`",
    b"\x28\xb5\x2f\xfd": "compressed by zstd; unpack it with `unzstd`",
    b"\x04\x22\x4d\x18": "compressed by LZ4; unpack it with `unlz4`",
    b"PK\x03\x04": "a zip archive, as torch.save and numpy.savez write; save a dict id -> numpy array with pickle.dump",
    b"\x93NUMPY": "a file of numpy.save, without ids; save a dict id -> numpy array with pickle.dump",
    b"\x89HDF": "HDF5; let its name end in .h5",
    b"PAR1": "a Parquet table; save a dict id -> numpy array with pickle.dump",
    b"ARROW1": "an Arrow table; save a dict id -> numpy array with pickle.dump",
    b"MATLAB": "a MATLAB file; save a dict id -> numpy array with pickle.dump",
    b"x\x9c": "compressed by zlib, as joblib writes; read it with joblib.load and save it with pickle.dump",
    b"x\x5e": "compressed by zlib, as joblib writes; read it with joblib.load and save it with pickle.dump",
    b"x\x01": "compressed by zlib, as joblib writes; read it with joblib.load and save it with pickle.dump",
}


def describe_foreign(error: ForeignPickleError) -> str:
    """Return a description of a pickle that needs an unexpected name, and how to convert it."""
    if (found := _FOREIGN.get(error.module.partition(".")[0])) is not None:
        return f"contains {found}"
    if error.module.startswith("numpy"):
        return f"contains {error.module}.{error.name}; save numpy.asarray(array, 'float32') for each picture"
    if (error.module, error.name) == ("collections", "defaultdict"):
        return "contains a defaultdict; save dict(features) instead"
    name = "".join(letter if letter.isprintable() else "?" for letter in f"{error.module}.{error.name}"[:100])
    return f"refused, it asks for {name}, which no file of this kind needs; it may be hostile"
