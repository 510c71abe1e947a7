"""Downloads large files over HTTP: resumable, with checks of size and content."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import logging
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from captioner.output_places import require_space
from captioner.progress import Progress, amount
from captioner.storage import DataError, read_json, write_json

logger = logging.getLogger(__name__)

CHUNK = 2**20
TIMEOUT = 30.0  # seconds without a byte
TRIES = 5  # in a row without new bytes
WAITS = (1.0, 2.0, 5.0, 10.0)  # seconds between tries
MAX_BYTES = 100 * 10**9  # of a file of unknown size

_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
# Temporary errors: a busy server or a broken connection.
_PASSING = (408, 425, 429, 500, 502, 503, 504)


@dataclass(frozen=True)
class RemoteFile:
    """A file to download.

    Attributes:
        url: its address.
        size: in bytes, if known.
        digest: `sha256:...` or `md5:...` in hexadecimal digits, if known.
    """

    url: str
    size: int | None = None
    digest: str | None = None


class _PassingError(Exception):
    """An error after which another try may succeed."""


def fetch(remote: RemoteFile, path: Path, waits: tuple[float, ...] = WAITS) -> None:
    """Download a file to `path`; a partial download in `path`.part is continued.

    Args:
        remote: the file.
        path: the output; it only exists when it is complete and checked.
        waits: seconds between tries without new bytes.

    Raises:
        DataError: the server does not have the file or breaks off repeatedly, the file is not the expected one, or the
            disk is full.
    """
    part = path.with_name(path.name + ".part")
    path.parent.mkdir(parents=True, exist_ok=True)
    failures, reached = 0, _size(part)
    while True:
        try:
            _continue(remote, part)
            break
        except _PassingError as error:
            failures = 1 if _size(part) > reached else failures + 1
            reached = max(reached, _size(part))
            if failures >= TRIES:
                raise DataError(
                    f"{remote.url}: {error}; run the same command again to continue, or name a --mirror"
                ) from None
            wait = waits[min(failures - 1, len(waits) - 1)]
            logger.info(f"{path.name}: {error}; trying again in {wait:g} s")
            time.sleep(wait)
        except OSError as error:
            raise DataError(f"{part}: cannot be written ({error.strerror or error})") from error
    _require_digest(remote, part)
    part.replace(path)
    _note(part).unlink(missing_ok=True)


def require_known(remote: RemoteFile, path: Path) -> None:
    """Check the size and the digest of a file, if they are known.

    Raises:
        DataError: a value differs; the message has both values.
    """
    size = _size(path)
    if remote.size is not None and size != remote.size:
        raise DataError(f"{path}: has {size:,} bytes, expected {remote.size:,}; remove it and get it again")
    if remote.digest is not None:
        kind, _, expected = remote.digest.partition(":")
        with path.open("rb") as file:
            found = hashlib.file_digest(file, kind).hexdigest()
        if found != expected:
            raise DataError(f"{path}: its {kind} is {found[:12]}, expected {expected[:12]}; remove it and get it again")


def _require_digest(remote: RemoteFile, part: Path) -> None:
    """Check the downloaded file and remove a wrong one, which the next call would otherwise continue."""
    try:
        require_known(remote, part)
    except DataError as error:
        part.unlink()
        _note(part).unlink(missing_ok=True)
        fault = str(error).removeprefix(f"{part}: ").removesuffix("; remove it and get it again")
        raise DataError(
            f"{remote.url}: is not the expected file ({fault}); it was removed, try again or name a --mirror"
        ) from None


def _continue(remote: RemoteFile, part: Path) -> None:
    """Download the rest of `part`; raise _PassingError if the connection breaks."""
    had = _size(part)
    if remote.size is not None and had > remote.size:
        part.unlink()
        had = 0
    if remote.size is not None and had == remote.size:
        return
    with _opened(remote.url, had, _validator(part)) as answer:
        extent = _extent(answer, had)
        if extent is None:
            part.unlink(missing_ok=True)
            raise _PassingError("does not send the rest of the file; starting again")
        start, total = extent
        if remote.size is not None and total is not None and total != remote.size:
            raise DataError(f"{remote.url}: has {total:,} bytes, expected {remote.size:,}; name a --mirror")
        end = total if total is not None else remote.size
        if start == end:
            return
        require_space(part.parent, (end or 0) - start, part.stem)
        if start == 0:
            write_json(_note(part), {"validator": answer.headers.get("ETag") or answer.headers.get("Last-Modified")})
        _copy(answer, part, start, end)


def _copy(answer: Any, part: Path, start: int, end: int | None) -> None:
    most = MAX_BYTES if end is None else end
    done = start
    with part.open("r+b" if start else "wb") as file, Progress(part.stem, end, "B", done=start) as progress:
        file.truncate(start)
        file.seek(start)
        while True:
            try:
                chunk = answer.read(min(CHUNK, most - done + 1))
            except (OSError, http.client.HTTPException) as error:
                raise _PassingError(f"broke off after {amount(done, 'B')} ({_reason(error)})") from None
            if not chunk:
                break
            file.write(chunk[: most - done])
            progress.advance(len(chunk))
            done += len(chunk)
            if done > most:
                raise DataError(f"{answer.url}: sends more than {amount(most, 'B')}; name a --mirror")
    if end is not None and done < end:
        raise _PassingError(f"broke off after {amount(done, 'B')} of {amount(end, 'B')}")


def _extent(answer: Any, had: int) -> tuple[int, int | None] | None:
    """Return the answer's first byte in the file and the file's size; None if the answer cannot be used."""
    if answer.status == 200:
        length = answer.headers.get("Content-Length", "")
        return 0, int(length) if length.isdecimal() else None
    extent = answer.headers.get("Content-Range", "")
    if answer.status == 416:  # there are no more bytes
        return (had, had) if extent == f"bytes */{had}" else None
    found = _RANGE.fullmatch(extent)
    if answer.status != 206 or found is None or int(found[1]) != had:
        return None
    return had, None if found[3] == "*" else int(found[3])


@contextlib.contextmanager
def _opened(url: str, had: int, validator: str | None) -> Iterator[Any]:
    headers = {"Accept-Encoding": "identity", "User-Agent": "captioner"}
    if had:
        headers["Range"] = f"bytes={had}-"
        if validator:
            headers["If-Range"] = validator  # if the file has changed, the server sends all of it
    try:
        answer = _opener().open(urllib.request.Request(url, headers=headers), timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == 416:
            answer = error
        elif error.code in _PASSING:
            raise _PassingError(f"answers {error.code} {error.reason}") from None
        else:
            raise DataError(f"{url}: answers {error.code} {error.reason}; name a --mirror that has the file") from None
    except (OSError, http.client.HTTPException) as error:
        raise _PassingError(f"cannot be reached ({_reason(error)})") from None
    except ValueError as error:
        raise DataError(f"{url}: not a valid address ({error}), and not a folder; use http:// or https://") from None
    with answer:
        yield answer


def _opener() -> urllib.request.OpenerDirector:
    """Return an opener for HTTP only: a redirection must not read local files."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener


def _reason(error: BaseException) -> str:
    inner = getattr(error, "reason", None) or error  # urllib wraps the error of the system
    reason = getattr(inner, "strerror", None) or inner
    return " ".join(str(reason).split()) or type(error).__name__


def _note(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _validator(part: Path) -> str | None:
    """Return the server's name of the version of the file that `part` begins."""
    if not _note(part).is_file():
        return None
    note = read_json(_note(part))
    validator = note.get("validator") if isinstance(note, dict) else None
    return validator if isinstance(validator, str) and not validator.startswith("W/") else None


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
