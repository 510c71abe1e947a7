"""The folder of an export: complete or not there. Needs no Keras."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from captioner.output_places import require_place
from captioner.storage import DataError, manifest_path, read_manifest

PART = ".new"  # in the folder, until the export is complete


def require_free(folder: Path, overwrite: bool) -> None:
    """Refuse a folder that is not empty, except for an earlier export that may be replaced or one that was killed.

    Raises:
        DataError: the folder is in use, or cannot be written to.
    """
    require_place(folder)
    if not folder.exists() or (folder.is_dir() and all(path.name == PART for path in folder.iterdir())):
        return
    manifest = (read_manifest(folder) or {}) if folder.is_dir() else {}
    was_killed = not manifest and (folder / PART).is_dir()
    if manifest.get("stage") != "export" and not was_killed:
        raise DataError(f"{folder}: is not empty and is not an earlier export; name a new folder")
    if manifest and not overwrite:
        raise DataError(f"{folder}: contains an earlier export; --overwrite replaces it, or name a new folder")


@contextlib.contextmanager
def completed(folder: Path) -> Iterator[Path]:
    """Yield a folder to write an export and its manifest into; then replace the content of `folder` by it.

    If writing fails, an earlier export stays as it is.

    Raises:
        DataError: the folder cannot be created or changed.
    """
    part = folder / PART
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        try:
            yield part
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            with contextlib.suppress(OSError):
                folder.rmdir()  # only if it is empty
            raise
        last = manifest_path(part).name
        for old in sorted(folder.iterdir(), key=lambda path: path.name != last):  # the old manifest first
            if old.name != PART:
                shutil.rmtree(old) if old.is_dir() and not old.is_symlink() else old.unlink()
        for new in sorted(part.iterdir(), key=lambda path: path.name == last):
            new.replace(folder / new.name)
        part.rmdir()
    except OSError as error:
        raise DataError(f"{folder}: cannot be written ({error.strerror or error}); name another folder") from error
