"""Unpacks untrusted zip and tar archives: no path outside of the folder, no links, no bombs."""

from __future__ import annotations

import contextlib
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from captioner.output_places import require_space
from captioner.progress import Progress, amount
from captioner.storage import DataError
from captioner.tar_archives import BROKEN, BYTES_A_BYTE, FREE_BYTES, fault_of, open_tar, require_end

MAX_FILES = 1_000_000
MAX_BYTES = 200 * 10**9
CHUNK = 2**20
# Added to zip files by macOS.
JUNK = ("__MACOSX", ".DS_Store")
_ENCRYPTED = 0x1
# Errors of the libraries for broken archives; RuntimeError and NotImplementedError for unknown compressions.
_BROKEN = (zipfile.BadZipFile, *BROKEN, RuntimeError)


@dataclass(frozen=True)
class ArchiveMember:
    """A file in an archive.

    Attributes:
        name: its path in the archive.
        size: its size in bytes, as the archive claims.
        open: opens its content.
    """

    name: str
    size: int
    open: Callable[[], IO[bytes]]


def unpack(
    archive: Path,
    folder: Path,
    *,
    max_bytes: int = MAX_BYTES,
    max_files: int = MAX_FILES,
) -> list[Path]:
    """Unpack a zip or a tar into `folder`; existing files are replaced.

    Everything is first unpacked into a hidden folder inside `folder` and then moved. So a refused archive leaves
    nothing behind, and the next call repeats an unpacking that was killed.

    Args:
        archive: the file.
        folder: the output folder; files keep their names in the archive.
        max_bytes, max_files: an archive with more is refused.

    Returns:
        the files.

    Raises:
        DataError: the archive is broken or encrypted; a name in it is absolute, leads out of the folder or occurs
            twice; it contains a link or a device, or more than it may contain or claims; or the disk is full.
    """
    staging = folder / f".{archive.name}.unpacking"
    _remove(staging)
    try:
        staging.mkdir(parents=True)
        with _members(archive) as members:
            _check(archive, members, max_bytes, max_files)
            require_space(folder, sum(member.size for member in members), f"unpacking {archive.name}")
            with Progress(f"unpacking {archive.name}", len(members), "files") as progress:
                for member in members:
                    _extract(archive, member, staging)
                    progress.advance(1)
        return [_move(staging, folder, member.name) for member in members]
    except _BROKEN as error:
        raise DataError(f"{archive}: broken, or not a zip or tar ({fault_of(error)}); download it again") from error
    except OSError as error:
        raise DataError(f"{folder}: {archive.name} cannot be unpacked there ({error.strerror or error})") from error
    finally:
        _remove(staging)


@contextlib.contextmanager
def _members(archive: Path) -> Iterator[list[ArchiveMember]]:
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as zipped:
            files = [entry for entry in zipped.infolist() if not entry.filename.endswith("/")]
            yield [_zip_member(archive, zipped, entry) for entry in files if not _is_junk(entry.filename)]
        return
    with open_tar(archive) as tarred:
        members = [member for member in tarred if not member.isdir() and not _is_junk(member.name)]
        require_end(tarred)
        yield [_tar_member(archive, tarred, member) for member in members]


def _is_junk(name: str) -> bool:
    return any(part in JUNK for part in PurePosixPath(name).parts)


def _zip_member(archive: Path, zipped: zipfile.ZipFile, entry: zipfile.ZipInfo) -> ArchiveMember:
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        raise DataError(
            f"{archive}: {entry.filename!r} is a link or a device; data sets need none, so the archive may be hostile"
        )
    if entry.flag_bits & _ENCRYPTED:
        raise DataError(f"{archive}: {entry.filename!r} is encrypted; unpack it by hand")
    return ArchiveMember(entry.filename, entry.file_size, lambda: zipped.open(entry))


def _tar_member(archive: Path, tarred: tarfile.TarFile, member: tarfile.TarInfo) -> ArchiveMember:
    if not member.isreg():
        raise DataError(
            f"{archive}: {member.name!r} is a link or a device; data sets need none, so the archive may be hostile"
        )

    def read() -> Any:
        return tarred.extractfile(member)

    return ArchiveMember(member.name, member.size, read)


def _check(archive: Path, members: list[ArchiveMember], max_bytes: int, max_files: int) -> None:
    """Check the sizes and names that an archive claims, before anything is written."""
    if len(members) > max_files:
        raise DataError(f"{archive}: contains {len(members):,} files, more than {max_files:,}; it may be hostile")
    total = sum(member.size for member in members)
    if total > (most := min(max_bytes, FREE_BYTES + BYTES_A_BYTE * archive.stat().st_size)):
        raise DataError(f"{archive}: unpacks to {amount(total, 'B')}, more than {amount(most, 'B')}; it may be hostile")
    seen: set[str] = set()
    for member in members:
        path = PurePosixPath(member.name)
        odd = "\\" in member.name or "\0" in member.name or ":" in path.parts[0] if path.parts else True
        if path.is_absolute() or odd or ".." in path.parts:
            raise DataError(f"{archive}: {member.name!r} leads out of the folder; the archive may be hostile")
        if (key := path.as_posix().casefold()) in seen:
            raise DataError(f"{archive}: {member.name!r} occurs twice; the archive may be hostile")
        seen.add(key)


def _extract(archive: Path, member: ArchiveMember, staging: Path) -> None:
    target = staging / member.name
    target.parent.mkdir(parents=True, exist_ok=True)
    left = member.size
    with member.open() as source, target.open("xb") as file:
        while chunk := source.read(min(CHUNK, left + 1)):
            left -= len(chunk)
            if left < 0:
                raise DataError(f"{archive}: {member.name!r} is larger than it claims; the archive may be hostile")
            file.write(chunk)
    if left:
        raise DataError(f"{archive}: {member.name!r} is cut short; download the archive again")


def _move(staging: Path, folder: Path, name: str) -> Path:
    target = folder / name
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.parent.resolve().is_relative_to(folder.resolve()):
        raise DataError(f"{target.parent}: is a link that leads out of {folder}; remove it")
    (staging / name).replace(target)
    return target


def _remove(staging: Path) -> None:
    if staging.is_symlink():
        staging.unlink()
    elif staging.exists():
        shutil.rmtree(staging)
