"""Middleware for every request: its id, its log line, its metrics, and the check of its token."""

from __future__ import annotations

import contextlib
import hmac
import json
import logging
import re
import time
import uuid
from collections.abc import Iterable

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from captioner.serving.metrics import Metrics

logger = logging.getLogger(__name__)

REQUEST_ID = "x-request-id"
CLIENT_GONE = 499  # nginx's status for a client that closed the connection before the response

_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_SECURITY = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
}


def _path_here(scope: Scope) -> str:
    """Return a request's path relative to this application, which may be mounted in another one."""
    return str(scope["path"]).removeprefix(scope.get("root_path", ""))


class AccessRecord:
    """Give each request an id; at its end, count it and log a line of JSON without the picture and the token.

    Args:
        app: the wrapped application.
        metrics: the counters.
        routes: the paths to count by name; other paths are counted together, so that clients cannot add names.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, routes: Iterable[str]) -> None:
        self.app, self.metrics, self.routes = app, metrics, frozenset(routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status, sent, received = time.perf_counter(), 0, 0, 0
        wanted = Headers(scope=scope).get(REQUEST_ID, "")
        request_id = wanted if _ID.fullmatch(wanted) else uuid.uuid4().hex

        async def counted_receive() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            return message

        async def counted_send(message: Message) -> None:
            nonlocal status, sent
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(raw=message["headers"])
                headers[REQUEST_ID] = request_id
                for name, value in _SECURITY.items():
                    headers.setdefault(name, value)
            sent += len(message.get("body", b""))
            await send(message)

        try:
            await self.app(scope, counted_receive, counted_send)
        except Exception:
            logger.exception("request %s failed", request_id)
            if not status:
                error = {"error": f"internal server error; see the server's log for the request id {request_id}"}
                await JSONResponse(error, 500)(scope, receive, counted_send)
        finally:
            seconds = time.perf_counter() - began
            path = _path_here(scope)
            route = path if path in self.routes else "/static" if path.startswith("/static/") else "other"
            self.metrics.requests.labels(route, status or CLIENT_GONE).inc()
            self.metrics.seconds.labels(route).observe(seconds)
            line = {
                "id": request_id,
                "method": scope["method"],
                "path": scope["path"][:200],
                "status": status or CLIENT_GONE,
                "ms": round(1000 * seconds, 1),
                "bytes_in": received,
                "bytes_out": sent,
                "client": (scope.get("client") or ("",))[0],
            }
            with contextlib.suppress(OSError):  # stderr is closed; the response is more important
                logger.info("%s", json.dumps(line))


class Token:
    """Require the token for all but a few open paths.

    Args:
        app: the wrapped application.
        token: the token.
        opened: paths that need no token; a path with a slash at its end includes all paths that begin with it.
    """

    def __init__(self, app: ASGIApp, token: str, opened: Iterable[str]) -> None:
        self.app, self._expected = app, f"Bearer {token}".encode()
        self.opened = tuple(opened)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or answer with 401."""
        if scope["type"] != "http" or self._is_open(_path_here(scope)) or self._has_token(scope):
            await self.app(scope, receive, send)
            return
        response = JSONResponse(
            {"error": "a token is required; send the header Authorization: Bearer TOKEN"},
            401,
            {"WWW-Authenticate": "Bearer", "Connection": "close"},
        )
        await response(scope, receive, send)

    def _is_open(self, path: str) -> bool:
        return any(path == one or (one.endswith("/") and one != "/" and path.startswith(one)) for one in self.opened)

    def _has_token(self, scope: Scope) -> bool:
        given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        kind, _, token = given.partition(b" ")
        return hmac.compare_digest(kind.title() + b" " + token.strip(), self._expected)
