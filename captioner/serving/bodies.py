"""Read request bodies within limits of size, time and total memory."""

from __future__ import annotations

import asyncio

from starlette.requests import Request

from captioner.serving.limits import MIB, Limits
from captioner.serving.refusal import RefusalError

DRAINED = 4  # a body of up to this factor of the limit is read to its end and discarded before it is refused


class BodyReader:
    """Read bodies into memory; one reader serves all requests, because it counts their total size."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.held = 0  # bytes

    async def read(self, request: Request, limit: int | None = None) -> bytes:
        """Return a request's body.

        Args:
            request: the request.
            limit: maximum size in bytes; None for the limit of all bodies.

        Raises:
            RefusalError: the body is too large (413) or too slow (408), or too many bodies are being read (503).
            starlette.requests.ClientDisconnect: the client disconnected.
        """
        limit = limit or self.limits.body_bytes
        announced = request.headers.get("content-length", "")
        too_large = RefusalError(
            413, f"the request is larger than {limit / MIB:.3g} MiB; send less at once", close=True
        )
        if announced.isdecimal() and int(announced) > limit and "expect" in request.headers:
            raise too_large  # the client waits for a response before it sends the body
        chunks: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self.limits.reading):
                async for chunk in request.stream():
                    size += len(chunk)
                    if size > limit:
                        # A client that is still sending would see a broken connection instead of the response.
                        self._release(chunks)
                        if size > DRAINED * limit:
                            raise too_large
                        continue
                    self.held += len(chunk)
                    chunks.append(chunk)
                    if self.held > self.limits.reading_bytes:
                        raise RefusalError(503, "too many requests at the same time; try again later", 1, close=True)
            if size > limit:
                raise too_large
            return b"".join(chunks)
        except TimeoutError:
            waited = f"{self.limits.reading:g} s"
            raise RefusalError(
                408, f"the request was not complete within {waited}; send it faster", close=True
            ) from None
        finally:
            self._release(chunks)

    def _release(self, chunks: list[bytes]) -> None:
        self.held -= sum(map(len, chunks))
        chunks.clear()
