"""RefusalError: a request, or one picture of it, that gets no caption, and why."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from captioner.encoding import escape


class RefusalError(Exception):
    """What a client is told.

    Args:
        status: the HTTP status.
        message: one line for people.
        retry_after: seconds after which it may try again.
        close: the connection cannot be used for another request.
    """

    def __init__(self, status: int, message: str, retry_after: int | None = None, close: bool = False) -> None:
        super().__init__(message)
        self.status, self.message, self.retry_after, self.close = status, message, retry_after, close

    @property
    def headers(self) -> dict[str, str]:
        """The headers that go with it."""
        found = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        return found | ({"Connection": "close"} if self.close else {})


async def answer_refusal(_request: Request, refusal: Exception) -> Response:
    """Return the refusal as JSON: `{"error": "..."}`, the form that Ollama's clients read too."""
    assert isinstance(refusal, RefusalError)
    return JSONResponse({"error": escape(refusal.message)}, refusal.status, refusal.headers)
