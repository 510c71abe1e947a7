"""The server as a plain ASGI application, for any ASGI server and for Ray Serve."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from captioner.config import ConfigError
from captioner.serving.access import REQUEST_ID, AccessRecord, Token
from captioner.serving.api import Api
from captioner.serving.bodies import BodyReader
from captioner.serving.dialects.describe import Describe
from captioner.serving.dialects.ollama import Ollama
from captioner.serving.limits import Limits
from captioner.serving.metrics import Metrics
from captioner.serving.model import ServedModel, name_of
from captioner.serving.refusal import RefusalError, answer_refusal
from captioner.serving.service import CaptionService

if TYPE_CHECKING:
    from captioner.loading import Named
    from captioner.picture_captioner import PictureCaptioner

logger = logging.getLogger(__name__)

# Open for monitoring, for browsers that do not have the token yet, and for the documentation.
OPEN = ("/", "/static/", "/healthz", "/readyz", "/openapi.json", "/docs")


def create_app(
    model: ServedModel | PictureCaptioner | str | Path,
    *,
    token: str | None = None,
    origins: Sequence[str] = (),
    limits: Limits | None = None,
) -> Starlette:
    """Return the application.

    Args:
        model: a captioner, a run folder or a `.keras` file, whose graph for onnxruntime is used if it has one, or a
            KerasHub model, `hub:PRESET`.
        token: the token that clients must send as `Authorization: Bearer TOKEN`; None allows access without a token.
        origins: origins of other web pages that may send requests, such as `https://example.org`; `*` is all.
        limits: of requests.

    Raises:
        ConfigError: the token is empty.
        DataError: there is no captioner at `model`, or its encoder is not available.
    """
    if token == "":
        raise ConfigError("token: is empty; choose another, or None to allow access without a token")
    served = _served(model)
    limits, metrics = limits or Limits(), Metrics()
    service, bodies = CaptionService(served, limits, metrics), BodyReader(limits)
    api = Api(service, bodies, token is not None)
    routes: list[Route | Mount] = [
        Route("/", api.page),
        Route("/caption", api.caption, methods=["POST"]),
        Route("/captions", api.captions, methods=["POST"]),
        Route("/model", api.about),
        Route("/healthz", api.alive),
        Route("/readyz", api.ready),
        Route("/metrics", api.metrics),
        Route("/openapi.json", api.openapi),
        Route("/docs", api.docs),
        *Describe(service, bodies).routes(),
        *Ollama(service, bodies).routes(),
        Mount("/static", StaticFiles(packages=[("captioner.serving", "static")])),
    ]

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        service.start()
        yield
        service.close()

    paths = [route.path for route in routes if isinstance(route, Route)]
    middleware = [Middleware(AccessRecord, metrics=metrics, routes=paths)]
    if origins:
        allowed = {"allow_methods": ["GET", "POST"], "allow_headers": ["authorization", "content-type", REQUEST_ID]}
        exposed = [REQUEST_ID, "retry-after"]
        middleware.append(
            Middleware(CORSMiddleware, allow_origins=list(origins), expose_headers=exposed, **allowed)  # type: ignore[arg-type]
        )
    if token is not None:
        middleware.append(Middleware(Token, token=token, opened=OPEN))
    app = Starlette(
        routes=routes,
        middleware=middleware,
        exception_handlers={RefusalError: answer_refusal, HTTPException: _answer_http, ClientDisconnect: _answer_gone},
        lifespan=lifespan,
    )
    app.state.service = service
    return app


def _served(model: ServedModel | PictureCaptioner | str | Path) -> ServedModel:
    if isinstance(model, ServedModel):
        return model
    if isinstance(model, str | Path):
        return ServedModel(_loaded(model), name_of(model))
    return ServedModel(model)


def _loaded(name: Named) -> PictureCaptioner:
    from captioner.export.fast import NoGraphError, has_graph, load_fast

    if has_graph(name):
        try:
            return load_fast(name)
        except NoGraphError as error:
            logger.warning("%s; using Keras, which takes seconds to start", error)
    from captioner.loading import load_models

    return load_models([name])


async def _answer_http(_request: Request, error: Exception) -> Response:
    """Return the errors of the router (404, 405) in the same form as all errors."""
    assert isinstance(error, HTTPException)
    told = {404: "no such address; /docs lists all addresses", 405: "this address does not support the method"}
    return JSONResponse({"error": told.get(error.status_code, error.detail)}, error.status_code, error.headers)


async def _answer_gone(_request: Request, _error: Exception) -> Response:
    """Return a response for the log, for a client that disconnected before its request was complete."""
    return Response(status_code=499)
