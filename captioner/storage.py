"""Atomic writes, so that a file is complete or does not exist; reading of text and JSON; manifests and digests."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import json
import os
import re
import stat
import struct
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from captioner.encoding import decode, encode
from captioner.missing import way_out

MANIFEST_VERSION = 1
LONGEST_LINE = 2**20  # bytes of a line, or of JSON between line ends and quotes
_CHUNK = 2**16
_LONGEST_REASON = 200
_LONGEST_NAME = 120  # bytes of a name to repeat in a temporary name; encrypted file systems allow 143, not 255
_LONGEST_SUFFIX = 32  # bytes; a longer suffix is the rest of a title that contains a full stop
_LEFTOVER = re.compile(r"(\..+\.)(\d{1,100})(\.tmp.*)", re.DOTALL)
_DAMAGED = (
    ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError, MemoryError, csv.Error,
    struct.error,
)  # fmt: skip


_leftovers: dict[str, dict[str, list[int]]] = {}  # folder -> see _find_leftovers


class DataError(Exception):
    """A file or its content cannot be used. The message is one line: the file, what is wrong and what to do."""


@contextlib.contextmanager
def reading(path: str | Path) -> Iterator[None]:
    """Turn unexpected errors of a reader into a DataError that names the file.

    Raises:
        DataError: instead of the errors that parsers raise on damaged or hostile content.
    """
    try:
        yield
    except _DAMAGED as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:_LONGEST_REASON]
        raise DataError(f"{path}: damaged, or not in the expected format ({reason}); get it again") from error


@contextlib.contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` if the block succeeds, remove it otherwise.

    The temporary name keeps the suffix, because writers such as `keras.Model.save` depend on it. Temporary files of the
    same target are removed if a process that was killed before this one's first write into the folder left them.
    Where `path` is a link, the file that it points to is written.

    Raises:
        DataError: the folder cannot be created or written to, or the disk is full; or `path` is a device or a pipe.
    """
    path = Path(path)
    require_regular(path)
    if path.is_symlink():
        path = path.resolve()
    temporary = path.with_name(_temporary_name(path, os.getpid()))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(path)
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        folder_is_file = isinstance(error, FileExistsError | NotADirectoryError)
        reason = f"{path.parent} is not a folder" if folder_is_file else error.strerror or error
        intact = "; the existing file is unchanged" if path.exists() else ""
        raise DataError(f"{path}: cannot be written ({reason}){intact}") from error
    finally:
        with contextlib.suppress(OSError):  # if the folder is a file, unlink fails too and would hide the reason
            temporary.unlink()


def require_regular(path: Path) -> None:
    """Refuse to replace a device, a pipe or a socket. Raises DataError."""
    try:
        kind = path.stat().st_mode
    except (OSError, ValueError):  # nothing is there, or the name is impossible
        return
    if not stat.S_ISREG(kind) and not stat.S_ISDIR(kind):
        raise DataError(f"{path}: is a device or a pipe and cannot be replaced by a file; name another file")


def _temporary_name(path: Path, pid: int | str) -> str:
    """Return a hidden name beside `path` that no other process uses; a long name is shortened to stay valid."""
    if len(os.fsencode(path.name + path.suffix)) <= _LONGEST_NAME:
        return f".{path.name}.{pid}.tmp{path.suffix}"
    suffix = path.suffix if len(os.fsencode(path.suffix)) <= _LONGEST_SUFFIX else ""
    return f".{digest_bytes(os.fsencode(path.name))[:16]}.{pid}.tmp{suffix}"


def _remove_leftovers(path: Path) -> None:
    """Remove temporary files of a target that killed processes left; each folder is scanned once per process."""
    folder = str(path.parent.absolute())
    if (found := _leftovers.get(folder)) is None:
        found = _leftovers[folder] = _find_leftovers(folder)
    for pid in found.pop(_temporary_name(path, "*"), ()) if found else ():
        if not _is_alive(pid):
            path.with_name(_temporary_name(path, pid)).unlink(missing_ok=True)


def _find_leftovers(folder: str) -> dict[str, list[int]]:
    """Return the ids of processes that left temporary files, by the file name with a star for the process id."""
    found: dict[str, list[int]] = {}
    with contextlib.suppress(OSError), os.scandir(folder) as entries:  # a folder can be writable but not readable
        for entry in entries:
            if entry.name.startswith(".") and (parts := _LEFTOVER.fullmatch(entry.name)):
                found.setdefault(f"{parts[1]}*{parts[3]}", []).append(int(parts[2]))
    return found


def _is_alive(pid: int) -> bool:
    if sys.platform == "win32":  # os.kill would end the process on Windows
        return True
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def write_bytes(path: str | Path, data: bytes) -> None:
    """Write `data` to `path` atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: str | Path, text: str) -> None:
    """Write `text` to `path` atomically, in UTF-8 with Unix line ends; surrogates are escaped."""
    write_bytes(path, encode(text))


def write_json(path: str | Path, content: Any) -> None:
    """Write `content` to `path` atomically as indented JSON."""
    write_text(path, json.dumps(content, ensure_ascii=False, indent=1) + "\n")


def read_text(path: str | Path) -> str:
    r"""Read a text file in UTF-8, or in UTF-16 or UTF-32 with a byte-order mark; return it with `\n` as line ends.

    Raises:
        DataError: the file is missing, unreadable, not in such an encoding, or contains zero bytes or a line that is
            too long (the message names the line).
    """
    return _read_text(Path(path), b"\n\r")


def _read_text(path: Path, ends: bytes) -> str:
    try:
        data = _read_bounded(path, ends)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; {way_out(path)}") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    try:
        text = decode(data)
    except UnicodeDecodeError as error:
        name = error.encoding.upper()
        before = decode(error.object[: error.start], "replace")
        raise DataError(f"{path}: line {before.count(chr(10)) + 1} is not {name}; save the file as UTF-8") from None
    if (place := text.find("\0")) >= 0:
        line = text.count("\n", 0, place) + 1
        raise DataError(f"{path}: line {line} contains a zero byte; the file is damaged or not text, get it again")
    return text


def _read_bounded(path: Path, ends: bytes) -> bytearray:
    """Return a file's bytes; refuse a stretch without one of `ends` that is much longer than `LONGEST_LINE`."""
    data, since, escape = bytearray(), 0, b""
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            data += chunk
            seen = escape + chunk
            if b'"'[0] in ends:  # an escaped quote does not end a JSON string
                seen = seen.replace(rb"\\", b"").replace(rb"\"", b"")
                escape = seen[-1:] if seen.endswith(b"\\") else b""
            since = 0 if any(end in seen for end in ends) else since + len(chunk)
            if since > LONGEST_LINE:
                line = data.count(b"\n") + 1
                raise DataError(
                    f"{path}: line {line} has a text of more than {LONGEST_LINE:,} bytes; correct or remove it"
                )
    return data


def read_json(path: str | Path, *, different_keys: bool = False) -> Any:
    """Read a JSON file.

    Args:
        path: the file.
        different_keys: refuse an object with the same key twice, of which the last value would count.

    Raises:
        DataError: the file is missing, unreadable or not JSON (the message names the line), or has a key twice.
    """
    text = _read_text(Path(path), b'\n\r"')
    try:
        return json.loads(text, object_pairs_hook=_different if different_keys else None)
    except json.JSONDecodeError as error:
        raise DataError(f"{path}: line {error.lineno} is not JSON ({error.msg})") from None
    except (
        ValueError,
        RecursionError,
    ) as error:  # a number with thousands of digits, or brackets nested thousands deep
        raise DataError(f"{path}: cannot be read as JSON ({error})") from None


def _different(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        [(twice, _)] = Counter(key for key, _ in pairs).most_common(1)
        raise ValueError(f"the key {twice!r} is there twice; join its values")
    return found


def digest_bytes(data: bytes) -> str:
    """Return the SHA-256 of `data` as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def digest_file(path: str | Path) -> str:
    """Return the SHA-256 of a file's content as 64 hexadecimal digits.

    Raises:
        DataError: the file is missing or unreadable.
    """
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; {way_out(path)}") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error


def digest_json(content: Any) -> str:
    """Return the SHA-256 of `content` in canonical JSON, which does not depend on the order of keys."""
    return digest_bytes(encode(json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))))


def manifest_path(output: str | Path) -> Path:
    """Return the path of the manifest of `output`: inside a folder, beside a file."""
    output = Path(output)
    return output / "manifest.json" if output.is_dir() else output.with_name(output.name + ".manifest.json")


def write_manifest(output: str | Path, stage: str, **content: Any) -> None:
    """Write the manifest of `output`. It is written last, because it marks the stage as finished."""
    write_json(manifest_path(output), {"manifest": MANIFEST_VERSION, "stage": stage, **content})


def remove_manifest(output: str | Path) -> None:
    """Remove the manifest of `output` before rewriting it, so that an interrupted write leaves no wrong manifest."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        manifest_path(output).unlink()


def read_manifest(output: str | Path) -> dict[str, Any] | None:
    """Return the manifest of `output`, or None if it does not exist.

    Raises:
        DataError: the manifest was not written by captioner, or was written by a newer version.
    """
    path = manifest_path(output)
    if not path.is_file():
        return None
    content = read_json(path)
    version = content.get("manifest") if isinstance(content, dict) else None
    if not isinstance(version, int) or "stage" not in content:
        raise DataError(f"{path}: is not a manifest of captioner; remove it, or create {output} again")
    if version > MANIFEST_VERSION:
        raise DataError(f"{path}: written by a newer captioner (manifest {version}); update captioner")
    return content
