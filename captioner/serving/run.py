"""The application under uvicorn: a port, one process or several, and an end that answers what was accepted."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.protocols.http.auto import AutoHTTPProtocol
from uvicorn.supervisors import Multiprocess

from captioner.hub.names import is_hub
from captioner.loading import Named
from captioner.serving.limits import Limits
from captioner.serving.metrics import FOLDER, forget_process
from captioner.storage import DataError

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from captioner.picture_captioner import PictureCaptioner
    from captioner.serving.model import ServedModel

SETTINGS = "CAPTIONER_SERVE"  # how worker processes learn what they serve
CONNECTIONS = 1000  # open at the same time in one process; the next are told to come back
HEADER_SECONDS = 20.0  # for a request's first lines; a body has its own limit
WORKER_SECONDS = 600  # without a sign of life, as while TensorFlow is imported on a busy machine


@dataclass(frozen=True)
class ServerConfig:
    """The captioner to serve, and its clients.

    Attributes:
        models: run folders or `.keras` files, of which several are an ensemble; or a model of KerasHub.
        keras: whether they run on Keras even where there is a graph for onnxruntime.
        token: see captioner.serving.app.create_app.
        origins: see there.
        limits: see there.
    """

    models: tuple[Named, ...]
    keras: bool = False
    token: str | None = None
    origins: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)

    def to_json(self) -> str:
        """Return it as JSON."""
        return json.dumps({**asdict(self), "models": list(map(str, self.models))})

    @classmethod
    def from_json(cls, text: str) -> ServerConfig:
        """Return what `to_json` wrote."""
        content = json.loads(text)
        models = tuple(name if is_hub(name) else Path(name) for name in content["models"])
        origins = tuple(content["origins"])
        return cls(models, content["keras"], content["token"], origins, Limits(**content["limits"]))


def bind(host: str, port: int) -> socket.socket:
    """Return a socket that has the port; 0 takes a free one. It does not listen yet.

    Raises:
        DataError: the port is taken or not allowed, or the host is not this machine's.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, protocol)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind(address)
        except OSError:
            bound.close()
            raise
    except (OSError, OverflowError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise DataError(f"{host}:{port}: cannot be served ({reason}); choose another --port or --host") from None
    bound.set_inheritable(True)
    return bound


def address_of(bound: socket.socket) -> str:
    """Return the address at which a browser on this machine finds the socket."""
    host, port = bound.getsockname()[:2]
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{shown}:{port}"


def serve(app: Starlette, bound: socket.socket) -> None:
    """Serve an application in this process until SIGTERM, which ends it well, or SIGINT.

    Raises:
        KeyboardInterrupt: SIGINT came; what had been accepted was answered.
    """
    with _ended_well_by_sigterm():
        uvicorn.Server(_uvicorn_config(app)).run([bound])


def serve_in_processes(config: ServerConfig, bound: socket.socket, workers: int, factory: str) -> None:
    """Serve in several processes, which share the port and the numbers of /metrics; see `serve`.

    Args:
        config: what each of them serves; `factory` finds it in the environment variable SETTINGS.
        bound: the socket.
        workers: how many.
        factory: `module:function` that returns the application, called in each of them.
    """
    numbers = Path(tempfile.mkdtemp(prefix="captioner-metrics-"))
    os.environ[SETTINGS], os.environ[FOLDER] = config.to_json(), str(numbers)
    try:
        uvicorn_config = _uvicorn_config(factory, factory=True, workers=workers)
        bound.listen(uvicorn_config.backlog)
        with _ended_well_by_sigterm():
            _Workers(uvicorn_config, [bound]).run()
    finally:
        del os.environ[SETTINGS], os.environ[FOLDER]
        shutil.rmtree(numbers, ignore_errors=True)


def served_model(captioner: PictureCaptioner, models: Sequence[Named]) -> ServedModel:
    """Return a captioner, or an ensemble of several, with its name and the scores of its evaluation.

    Args:
        captioner: with its encoder.
        models: where it comes from, as in ServerConfig.
    """
    from captioner.serving.model import ServedModel, name_of

    scores = scores_of(models[0]) if len(models) == 1 else {}
    return ServedModel(captioner, "+".join(map(name_of, models)), scores)


def scores_of(model: Named) -> dict[str, float]:
    """Return the scores that an evaluation left in a run folder; none where there was none."""
    from captioner.results import read_scores
    from captioner.run_folder import SCORES

    folder = Path(model)
    return read_scores(folder)[0] if not is_hub(model) and (folder / SCORES).is_file() else {}


def _uvicorn_config(app: Any, **settings: Any) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        limit_concurrency=CONNECTIONS,
        timeout_worker_healthcheck=WORKER_SECONDS,
        lifespan="on",
        http=_ImpatientProtocol,
        ws="none",
        **settings,
    )


class _Workers(Multiprocess):
    """Worker processes; the numbers of one that has ended and was replaced are forgotten."""

    _known: frozenset[int | None] = frozenset()

    def keep_subprocess_alive(self) -> None:
        super().keep_subprocess_alive()
        living = frozenset(process.pid for process in self.processes)
        for pid in self._known - living:
            if pid is not None:
                forget_process(pid)
        self._known = living


class _ImpatientProtocol(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
    """Closes a connection that does not get its request's first lines together: uvicorn would wait for ever.

    One that is kept open after an answer, and sends nothing, is uvicorn's to close.
    """

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        before = self.cycle
        super().data_received(data)
        if self.cycle is not before:  # the first lines of a request are complete
            self._stop_watching()
        elif self._timer is None and self._is_between_requests():
            self._watch()

    def connection_lost(self, error: Exception | None) -> None:
        self._stop_watching()
        super().connection_lost(error)

    def _watch(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(HEADER_SECONDS, self.transport.close)

    def _stop_watching(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _is_between_requests(self) -> bool:
        return self.cycle is None or self.cycle.response_complete


@contextlib.contextmanager
def _ended_well_by_sigterm() -> Iterator[None]:
    """Let SIGTERM be an ordinary end: uvicorn, when it has ended, sends itself the signal that it got again."""
    before = signal.signal(signal.SIGTERM, lambda _number, _frame: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
