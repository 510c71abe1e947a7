"""Pictures in tar files, such as webdataset shards, with their offsets, so that each can be read directly."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from captioner.images.ids import EXTENSIONS
from captioner.storage import DataError
from captioner.tar_archives import BROKEN, fault_of, open_tar

SUFFIX = ".tar"


class TarMember(NamedTuple):
    """A picture in a tar file.

    Attributes:
        name: its path there.
        offset: offset of its content in bytes.
        size: size of its content in bytes.
        modified: its modification time in nanoseconds.
    """

    name: str
    offset: int
    size: int
    modified: int


def is_tar(path: Path) -> bool:
    """Return whether a path names a tar file."""
    return path.suffix.lower() == SUFFIX and path.is_file()


def split_name(name: str) -> tuple[Path, str]:
    """Return the tar file and the member of a name such as `shard.tar!folder/name.jpg`."""
    end = name.lower().index(f"{SUFFIX}!") + len(SUFFIX)
    return Path(name[:end]), name[end + 1 :]


def members_of(path: Path) -> Iterator[TarMember]:
    """Yield the pictures in a tar file, without hidden ones, in their order.

    Raises:
        DataError: it is not a tar file, is truncated, or is compressed, so that pictures cannot be read directly.
    """
    try:
        with open_tar(path, packed=False) as tar:
            for member in tar:
                name = member.name.rpartition("/")[2]
                if member.isreg() and not name.startswith(".") and name.rpartition(".")[2].lower() in EXTENSIONS:
                    yield TarMember(member.name, member.offset_data, member.size, int(member.mtime * 10**9))
    except BROKEN as error:
        hint = "; unpack compressed ones first" if _is_compressed(path) else ""
        raise DataError(f"{path}: not a readable tar file ({fault_of(error)}){hint}") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error


def read_member(path: Path, offset: int, size: int, name: str) -> bytes:
    """Return a member's content.

    Raises:
        DataError: the tar file is gone, or shorter than it was.
    """
    try:
        with path.open("rb") as file:
            file.seek(offset)
            data = file.read(size)
    except OSError as error:
        raise DataError(f"{name}: cannot be read ({error.strerror or error})") from error
    if len(data) < size:
        raise DataError(f"{name}: cut off, {path} ends before it does")
    return data


def _is_compressed(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(6).startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"(\xb5/\xfd"))
