"""Run the application under uvicorn, in one or several processes, with a graceful shutdown."""

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

SETTINGS = "CAPTIONER_SERVE"  # environment variable with the settings for worker processes
CONNECTIONS = 1000  # maximum number of open connections per process; further ones are told to retry later
HEADER_SECONDS = 20.0  # for a request's headers; a body has its own limit
WORKER_SECONDS = 600  # without a health check, for example while TensorFlow is imported on a busy machine


@dataclass(frozen=True)
class ServerConfig:
    """The captioner to serve, and its clients.

    Attributes:
        models: run folders or `.keras` files (several are an ensemble), or a KerasHub model.
        keras: whether to use Keras even if there is a graph for onnxruntime.
        token, origins, limits: see captioner.serving.app.create_app.
    """

    models: tuple[Named, ...]
    keras: bool = False
    token: str | None = None
    origins: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)

    def to_json(self) -> str:
        """Return the config as JSON."""
        return json.dumps({**asdict(self), "models": list(map(str, self.models))})

    @classmethod
    def from_json(cls, text: str) -> ServerConfig:
        """Return the config from the result of `to_json`."""
        content = json.loads(text)
        models = tuple(name if is_hub(name) else Path(name) for name in content["models"])
        origins = tuple(content["origins"])
        return cls(models, content["keras"], content["token"], origins, Limits(**content["limits"]))


def bind(host: str, port: int) -> socket.socket:
    """Return a socket that is bound to the port, 0 for a free one. It does not listen yet.

    Raises:
        DataError: the port is in use or not allowed, or the host is not an address of this machine.
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
        raise DataError(f"{host}:{port}: cannot listen there ({reason}); choose another --port or --host") from None
    bound.set_inheritable(True)
    return bound


def address_of(bound: socket.socket) -> str:
    """Return the socket's address for a browser on this machine."""
    host, port = bound.getsockname()[:2]
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{shown}:{port}"


def serve(app: Starlette, bound: socket.socket) -> None:
    """Serve an application in this process until SIGTERM or SIGINT; accepted requests are answered.

    Raises:
        KeyboardInterrupt: the process got SIGINT.
    """
    with _normal_exit_on_sigterm():
        uvicorn.Server(_uvicorn_config(app)).run([bound])


def serve_in_processes(config: ServerConfig, bound: socket.socket, workers: int, factory: str) -> None:
    """Serve in several processes, which share the port and the metrics; see `serve`.

    Args:
        config: the config of each process; `factory` reads it from the environment variable SETTINGS.
        bound: the socket.
        workers: number of processes.
        factory: `module:function` that returns the application, called in each process.
    """
    numbers = Path(tempfile.mkdtemp(prefix="captioner-metrics-"))
    os.environ[SETTINGS], os.environ[FOLDER] = config.to_json(), str(numbers)
    try:
        uvicorn_config = _uvicorn_config(factory, factory=True, workers=workers)
        bound.listen(uvicorn_config.backlog)
        with _normal_exit_on_sigterm():
            _Workers(uvicorn_config, [bound]).run()
    finally:
        del os.environ[SETTINGS], os.environ[FOLDER]
        shutil.rmtree(numbers, ignore_errors=True)


def served_model(captioner: PictureCaptioner, models: Sequence[Named]) -> ServedModel:
    """Return a captioner, or an ensemble of several, with its name and the scores of its evaluation.

    Args:
        captioner: the captioner with its encoder.
        models: the models' names, as in ServerConfig.
    """
    from captioner.serving.model import ServedModel, name_of

    scores = scores_of(models[0]) if len(models) == 1 else {}
    return ServedModel(captioner, "+".join(map(name_of, models)), scores)


def scores_of(model: Named) -> dict[str, float]:
    """Return the scores of the newest evaluation in a run folder; empty if there is none."""
    from captioner.results import read_scores
    from captioner.run_folder import evaluations

    found = [] if is_hub(model) else evaluations(Path(model))
    return read_scores(found[0])[0] if found else {}


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
    """Worker processes; the metrics of a worker that has ended are removed."""

    _known: frozenset[int | None] = frozenset()

    def keep_subprocess_alive(self) -> None:
        super().keep_subprocess_alive()
        living = frozenset(process.pid for process in self.processes)
        for pid in self._known - living:
            if pid is not None:
                forget_process(pid)
        self._known = living


class _ImpatientProtocol(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
    """Close a connection that does not complete its request headers in time; uvicorn would wait forever.

    Idle keep-alive connections are closed by uvicorn itself.
    """

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        before = self.cycle
        super().data_received(data)
        if self.cycle is not before:  # the headers of a request are complete
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
def _normal_exit_on_sigterm() -> Iterator[None]:
    """Treat SIGTERM as a normal exit, because uvicorn raises the received signal again after its shutdown."""
    before = signal.signal(signal.SIGTERM, lambda _number, _frame: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
