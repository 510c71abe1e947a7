"""Downloads a picture from an http(s) address, with limited size and time, and never from a private network."""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import socket
import ssl
import time
from urllib.parse import SplitResult, urljoin, urlsplit

from captioner.storage import DataError

MAX_BYTES = 32 * 2**20
SECONDS = 20.0  # for the whole download
REDIRECTS = 3
PIECE = 2**16


def is_url(text: str) -> bool:
    """Return whether a text is an http or https address."""
    return text.lower().startswith(("http://", "https://"))


def fetch(url: str, max_bytes: int = MAX_BYTES, seconds: float = SECONDS) -> bytes:
    """Return the content at an address.

    Host names are resolved here, and the connection uses the checked IP address, so a name that resolves differently
    after the check is harmless. Every redirection is checked like the first address.

    Args:
        url: http or https address.
        max_bytes: largest size of the picture.
        seconds: time limit for the whole download, including redirections.

    Raises:
        DataError: the address is private or not http(s), there is no answer, or the answer is too large or too slow.
    """
    until, current = time.monotonic() + seconds, url
    for _ in range(REDIRECTS + 1):
        try:
            answer = _get(url, current, max_bytes, until)
        except DataError:
            raise
        except TimeoutError:
            raise DataError(f"{url}: no answer within {seconds:.0f} s; try again later") from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise DataError(f"{url}: cannot be fetched ({reason})") from None
        if isinstance(answer, bytes):
            return answer
        current = urljoin(current, answer)
    raise DataError(f"{url}: redirects more than {REDIRECTS} times")


def _get(named: str, url: str, max_bytes: int, until: float) -> bytes | str:
    """Return the content at an address, or the address that it redirects to."""
    parts = urlsplit(url)
    if parts.scheme.lower() not in ("http", "https") or not parts.hostname:
        raise DataError(f"{named}: redirects to {url!r}, which is not an http or https address")
    if parts.username or parts.password:
        raise DataError(f"{named}: contains a user name or a password; only public pictures are fetched")
    connection = _connect(named, parts, until)
    with contextlib.ExitStack() as open_ones:
        open_ones.callback(connection.close)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        headers = {"User-Agent": "captioner", "Accept": "image/*", "Accept-Encoding": "identity"}
        connection.request("GET", target, headers=headers)
        answer = open_ones.enter_context(connection.getresponse())
        if answer.status in (301, 302, 303, 307, 308) and (place := answer.headers.get("Location")):
            return place
        if answer.status != 200:
            raise DataError(f"{named}: the server answers {answer.status} {answer.reason}")
        if int(answer.headers.get("Content-Length") or 0) > max_bytes:
            raise DataError(f"{named}: is larger than {max_bytes // 2**20} MB; download and shrink it first")
        data = bytearray()
        while piece := answer.read1(PIECE):
            data += piece
            if len(data) > max_bytes:
                raise DataError(f"{named}: is larger than {max_bytes // 2**20} MB; download and shrink it first")
            _set_timeout(connection, until)
        return bytes(data)


def _connect(named: str, parts: SplitResult, until: float) -> http.client.HTTPConnection:
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme.lower() == "https" else 80)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise DataError(f"{named}: {host} is not known; check the address") from None
    for *_, place in found:
        if not is_public(str(place[0])):
            raise DataError(f"{named}: {host} is in a private network; pictures are only fetched from public addresses")
    place = found[0][4]
    raw = socket.create_connection((str(place[0]), int(place[1])), timeout=_left(until))
    connection = http.client.HTTPConnection(host, port, timeout=_left(until))
    if parts.scheme.lower() == "https":
        raw = ssl.create_default_context().wrap_socket(raw, server_hostname=host)
    connection.sock = raw
    return connection


def is_public(address: str) -> bool:
    """Return whether an IP address belongs to the public internet."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo[1] if found.teredo else None)
        if inner is not None:
            found = inner
        elif found in ipaddress.ip_network("64:ff9b::/96"):  # IPv4 behind a translator
            found = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
    return found.is_global and not found.is_multicast


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _set_timeout(connection: http.client.HTTPConnection, until: float) -> None:
    if connection.sock is not None:
        connection.sock.settimeout(_left(until))
