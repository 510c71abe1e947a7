"""Find the built-in captioner, and make one from a trained run. Finding it needs no Keras."""

from __future__ import annotations

import logging
import shutil
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from captioner.run_folder import newest_run
from captioner.storage import DataError, atomic_path

if TYPE_CHECKING:
    from captioner.captioner import Captioner

logger = logging.getLogger(__name__)

BOX = Path(__file__).parent / "box.keras"
CARD = Path(__file__).parent / "CARD.md"
LARGEST = 25_000_000  # bytes

_WEIGHTS = "model.weights.h5"  # Keras' name for it in a .keras file, which is a zip


def the_box() -> Path:
    """Return the file of the built-in captioner.

    Raises:
        DataError: this installation does not contain it.
    """
    if not BOX.is_file():
        raise DataError(f"{BOX}: this installation has no built-in captioner; train one and name it with --model")
    return BOX


def default_model() -> Path:
    """Return the default model of commands and log it: the built-in captioner, or the newest run if there is none.

    Raises:
        DataError: neither exists.
    """
    if BOX.is_file():
        logger.info("using the built-in captioner; --model RUN uses your own")
        return BOX
    return newest_run()


def make_box(run: Path, output: Path) -> Path:
    """Make a self-contained captioner from a run folder, with its encoder inside and its weights in float16.

    Args:
        run: a finished run whose encoder is available.
        output: a `.keras` file.

    Raises:
        DataError: the run or its encoder is not available, a weight exceeds float16, or the file is too large.
    """
    from captioner.captioner import load

    captioner = load(run).with_encoder_inside()
    _round(captioner, run)
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / "box.keras"
        captioner.save_to(whole)
        with atomic_path(output) as temporary:
            _narrow(whole, temporary)
            size = temporary.stat().st_size
            if size > LARGEST:
                raise DataError(
                    f"{run}: has {size / 1e6:.1f} MB in float16, but a built-in captioner may have at most "
                    f"{LARGEST / 1e6:.0f} MB; train a smaller model"
                )
    return output


def _round(captioner: Captioner, run: Path) -> None:
    """Round all weights to float16, so that the captioner in memory equals the one that will be loaded."""
    for variable in captioner.variables:
        if not str(variable.dtype).startswith("float"):
            continue
        value = np.asarray(variable)
        with np.errstate(over="ignore"):
            narrow = value.astype(np.float16)
        if not np.isfinite(narrow).all():
            raise DataError(f"{run}: the weight {variable.path} exceeds the range of float16; train the run again")
        variable.assign(narrow.astype(value.dtype))


def _narrow(source: Path, target: Path) -> None:
    """Copy a .keras file with its float32 weights as float16; Keras converts them back when it loads the file."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        for item in old.infolist():
            if item.filename != _WEIGHTS:
                new.writestr(item, old.read(item), zipfile.ZIP_DEFLATED)
                continue
            with tempfile.TemporaryDirectory() as folder:
                wide, narrow = Path(folder) / "wide.h5", Path(folder) / "narrow.h5"
                with old.open(item) as stream, wide.open("wb") as file:
                    shutil.copyfileobj(stream, file)
                with h5py.File(wide) as theirs, h5py.File(narrow, "w", libver="latest") as ours:
                    _copy(theirs, ours)
                new.write(narrow, _WEIGHTS)


def _copy(theirs: Any, ours: Any) -> None:
    for name, value in theirs.attrs.items():
        ours.attrs[name] = value
    for name, item in theirs.items():
        if isinstance(item, h5py.Group):
            _copy(item, ours.create_group(name))
            continue
        narrow = item[()].astype(np.float16) if item.dtype == np.float32 else item[()]
        copied = ours.create_dataset(name, data=narrow)
        for key, value in item.attrs.items():
            copied.attrs[key] = value
