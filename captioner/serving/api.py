"""The server's own API: captions of one or several pictures, and information about the server."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from captioner import __version__
from captioner.serving.bodies import BodyReader
from captioner.serving.forms import RequestForm, parse_body
from captioner.serving.metrics import CONTENT_TYPE
from captioner.serving.openapi import describe_api
from captioner.serving.options import NAMES, Options, read_options
from captioner.serving.refusal import RefusalError
from captioner.serving.replies import reply, reply_of_several
from captioner.serving.service import CaptionService
from captioner.text.styles import STYLES

STATIC = resources.files("captioner.serving") / "static"


class Api:
    """The endpoints.

    Args:
        service: the caption service.
        bodies: the reader of request bodies.
        with_token: whether clients need a token.
    """

    def __init__(self, service: CaptionService, bodies: BodyReader, with_token: bool) -> None:
        self.service, self.bodies = service, bodies
        self.limits, self.model = service.limits, service.model
        self._openapi = json.dumps(describe_api(self.limits, self.model.name, self.model.prompt, with_token)).encode()
        self._page, self._docs = (STATIC.joinpath(name).read_text("utf-8") for name in ("index.html", "docs.html"))

    async def caption(self, request: Request) -> Response:
        """Caption one picture."""
        form, options = await self._read(request)
        if len(form.uploads) != 1:
            found = "no picture" if not form.uploads else f"{len(form.uploads)} pictures"
            raise RefusalError(400, f"{found} in the request; send one as `file`, or several to /captions")
        (found_one,) = await self.service.caption([form.uploads[0].data], options)
        if isinstance(found_one, RefusalError):
            raise found_one
        return JSONResponse(reply(found_one, options, self.model))

    async def captions(self, request: Request) -> Response:
        """Caption several pictures; a picture that fails has an error in place of its captions."""
        form, options = await self._read(request)
        if not form.uploads:
            raise RefusalError(400, "no picture in the request; send pictures as `file`, or in JSON as `images`")
        if len(form.uploads) > self.limits.pictures:
            raise RefusalError(
                413, f"{len(form.uploads)} pictures are too many for one request; send up to {self.limits.pictures}"
            )
        found = await self.service.caption([upload.data for upload in form.uploads], options)
        entries = zip(form.uploads, found, strict=True)
        return JSONResponse(
            {"results": [reply_of_several(upload.name, one, options, self.model) for upload, one in entries]}
        )

    async def _read(self, request: Request) -> tuple[RequestForm, Options]:
        body = await self.bodies.read(request)
        form = await self.service.in_thread(parse_body, request.headers.get("content-type", ""), body)
        fields: dict[str, Any] = {name: request.query_params.get(name) for name in NAMES}
        fields |= {name: value for name, value in form.fields.items() if value not in (None, "")}
        return form, read_options(fields, self.limits.captions)

    async def about(self, request: Request) -> Response:
        """Describe the model and the options and limits of requests."""
        limits = {
            "picture_bytes": self.limits.picture_bytes,
            "pictures": self.limits.pictures,
            "captions": self.limits.captions,
        }
        return JSONResponse({**self.model.describe(), "styles": list(STYLES), "limits": limits, "version": __version__})

    async def alive(self, request: Request) -> Response:
        """Report that the process is alive."""
        return JSONResponse({"status": "ok"})

    async def ready(self, request: Request) -> Response:
        """Report whether the server is ready: the model is compiled, and the server is not shutting down."""
        if self.service.ready.is_set():
            return JSONResponse({"status": "ready"})
        return JSONResponse({"status": "the model is being prepared"}, 503, {"Retry-After": "2"})

    async def metrics(self, request: Request) -> Response:
        """Return the metrics for Prometheus."""
        return Response(await self.service.in_thread(self.service.metrics.text), media_type=CONTENT_TYPE)

    async def openapi(self, request: Request) -> Response:
        """Return the API's OpenAPI description."""
        return Response(self._openapi, media_type="application/json")

    async def docs(self, request: Request) -> Response:
        """Return the page that shows the API's description."""
        return HTMLResponse(self._docs)

    async def page(self, request: Request) -> Response:
        """Return the web page."""
        return HTMLResponse(self._page, headers={"Cache-Control": "no-cache"})
