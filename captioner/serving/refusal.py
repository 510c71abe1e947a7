"""RefusalError: the reason why a request, or one of its pictures, gets no caption."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from captioner.encoding import escape


class RefusalError(Exception):
    """An error that is reported to the client.

    Args:
        status: the HTTP status.
        message: one readable line.
        retry_after: seconds after which the client may try again.
        close: whether the connection must be closed after the response.
    """

    def __init__(self, status: int, message: str, retry_after: int | None = None, close: bool = False) -> None:
        super().__init__(message)
        self.status, self.message, self.retry_after, self.close = status, message, retry_after, close

    @property
    def headers(self) -> dict[str, str]:
        """The response headers."""
        found = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        return found | ({"Connection": "close"} if self.close else {})


async def answer_refusal(_request: Request, refusal: Exception) -> Response:
    """Return the error as JSON, `{"error": "..."}`, which Ollama's clients also understand."""
    assert isinstance(refusal, RefusalError)
    return JSONResponse({"error": escape(refusal.message)}, refusal.status, refusal.headers)
