"""Reading a request's body: never more than is allowed, never longer, never all of them at once."""

from __future__ import annotations

import asyncio

from starlette.requests import Request

from captioner.serving.limits import MIB, Limits
from captioner.serving.refusal import RefusalError

DRAINED = 4  # times the limit: a body of up to that much is read to its end and thrown away before the refusal


class BodyReader:
    """Reads bodies into memory; one for all requests, since it counts what they hold together."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.held = 0  # bytes

    async def read(self, request: Request, limit: int | None = None) -> bytes:
        """Return a request's body.

        Args:
            request: whose body it is.
            limit: bytes; the limit of all bodies otherwise.

        Raises:
            RefusalError: it is too large (413), comes too slowly (408), or too much is being read already (503).
            starlette.requests.ClientDisconnect: the client went away.
        """
        limit = limit or self.limits.body_bytes
        announced = request.headers.get("content-length", "")
        too_large = RefusalError(
            413, f"the request is larger than {limit / MIB:.3g} MiB; send less at once", close=True
        )
        if announced.isdecimal() and int(announced) > limit and "expect" in request.headers:
            raise too_large  # the client waits for a word from us before it sends anything
        chunks: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self.limits.reading):
                async for chunk in request.stream():
                    size += len(chunk)
                    if size > limit:
                        # A client that is still sending does not read: answered now, it would see a broken connection.
                        self._release(chunks)
                        if size > DRAINED * limit:
                            raise too_large
                        continue
                    self.held += len(chunk)
                    chunks.append(chunk)
                    if self.held > self.limits.reading_bytes:
                        raise RefusalError(503, "too many requests are being sent at the same time", 1, close=True)
            if size > limit:
                raise too_large
            return b"".join(chunks)
        except TimeoutError:
            waited = f"{self.limits.reading:g} s"
            raise RefusalError(408, f"the request did not come to its end within {waited}", close=True) from None
        finally:
            self._release(chunks)

    def _release(self, chunks: list[bytes]) -> None:
        self.held -= sum(map(len, chunks))
        chunks.clear()
