"""captioner serve."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from captioner.cli.messages import messages_printed
from captioner.cli.models import load_graph, load_models
from captioner.cli.options import Finite, ModelName, allow_download

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from captioner.loading import Named
    from captioner.serving.model import ServedModel
    from captioner.serving.run import ServerConfig

logger = logging.getLogger(__name__)

TOKEN = "CAPTIONER_TOKEN"
_printing = contextlib.ExitStack()  # kept here, because an ExitStack closes when it is garbage-collected
LOOPBACK = ("127.0.0.1", "::1", "localhost")


@click.command("serve")
@click.option(
    "--model",
    "models",
    multiple=True,
    type=ModelName(),
    help="Run folder, .keras file or hub:PRESET (default: the built-in captioner). Repeat it for an ensemble.",
)
@click.option(
    "--keras", is_flag=True, help="Use Keras, for example on a GPU, even if the model has an onnxruntime graph."
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0 is all.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=5000, show_default=True, help="Port; 0 takes a free one."
)
@click.option(
    "--workers", type=click.IntRange(min=1), default=1, show_default=True, help="Processes, each with its own model."
)
@click.option(
    "--token",
    envvar=TOKEN,
    help="Token that clients must send as `Authorization: Bearer TOKEN`. It is safer to set CAPTIONER_TOKEN.",
)
@click.option(
    "--cors",
    "origins",
    multiple=True,
    metavar="ORIGIN",
    help="Allow requests from web pages of this origin. Can be repeated.",
)
@click.option(
    "--batch",
    type=click.IntRange(min=1),
    default=16,
    show_default=True,
    help="Pictures captioned together, a power of two.",
)
@click.option(
    "--window",
    type=Finite(min=0),
    default=5,
    show_default=True,
    help="Milliseconds that a picture waits for others to join its batch.",
)
@click.option(
    "--queue",
    type=click.IntRange(min=1),
    default=128,
    show_default=True,
    help="Maximum number of waiting pictures; further requests are told to retry later.",
)
@click.option(
    "--deadline",
    type=Finite(min=0, min_open=True),
    default=30,
    show_default=True,
    help="Seconds after which a request times out.",
)
@click.option(
    "--max-mib",
    type=Finite(min=0, min_open=True),
    default=20,
    show_default=True,
    help="Maximum size of a picture, in MiB.",
)
@click.option(
    "--max-megapixels",
    type=Finite(min=0, min_open=True),
    help="Maximum size of a picture, in megapixels (default: 67, or the value of CAPTIONER_MAX_PIXELS).",
)
@allow_download
def command(
    models: tuple[Named, ...],
    keras: bool,
    host: str,
    port: int,
    workers: int,
    token: str | None,
    origins: tuple[str, ...],
    batch: int,
    window: float,
    queue: int,
    deadline: float,
    max_mib: float,
    max_megapixels: float | None,
) -> None:
    """Serve captions over HTTP, with a web page for people.

    Prints its address. Ctrl-C or SIGTERM stops the server after the accepted requests are answered.

    \b
    Examples:
        captioner serve
        captioner serve --model runs/merge --port 8080
    """
    from captioner.config import ConfigError

    if token is None and TOKEN in os.environ:  # empty: Click ignores it, and everyone would have access
        raise ConfigError(f"{TOKEN}: is empty; give it a token of visible ASCII characters, or unset it")
    if token is not None and not (token.isascii() and token.isprintable() and token.strip() == token and token):
        raise ConfigError("--token: must consist of visible ASCII characters; choose another")
    if batch > queue:
        raise ConfigError(f"--batch {batch}: is larger than --queue {queue}; make the queue longer")
    _require_extra()
    from captioner.images.decode import allowed_pixels
    from captioner.serving.limits import MIB, Limits

    size = max(1, int(max_mib * MIB))
    limits = Limits(
        picture_bytes=size,
        body_bytes=max(Limits.body_bytes, 2 * size),
        reading_bytes=max(Limits.reading_bytes, 8 * size),
        pixels=allowed_pixels() if max_megapixels is None else max(1, int(max_megapixels * 1e6)),
        queue=queue,
        batch=batch,
        window=window / 1000,
        deadline=deadline,
    )
    from captioner.serving.run import ServerConfig, address_of, bind, serve, serve_in_processes

    models = models or (_default_model(),)
    with contextlib.closing(bind(host, port)) as bound:
        config = ServerConfig(models, keras, token, origins, limits)
        model = _load(config)
        bound.listen(2048)  # from now on clients can connect; they wait until the server is up
        _print_greeting(address_of(bound), model, models)
        if host not in LOOPBACK and token is None:
            logger.warning("%s gives access to everyone who can reach this machine; --token requires a password", host)
        _quieten()
        if workers > 1:
            del model
            serve_in_processes(config, bound, workers, "captioner.cli.serve:worker_app")
        else:
            from captioner.serving.app import create_app

            serve(create_app(model, token=token, origins=origins, limits=limits), bound)


def worker_app() -> Starlette:
    """Return the application for a worker process; uvicorn calls this function in each worker."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    _printing.enter_context(messages_printed())
    _quieten()
    from captioner.serving.app import create_app
    from captioner.serving.run import SETTINGS, ServerConfig
    from captioner.storage import DataError

    config = ServerConfig.from_json(os.environ[SETTINGS])
    try:
        model = _load(config)
    except DataError as error:  # the file was fine when the first process read it
        logger.error("%s", error)
        sys.exit(3)  # uvicorn's code for a failed startup: the worker would fail again
    return create_app(model, token=config.token, origins=config.origins, limits=config.limits)


def _load(config: ServerConfig) -> ServedModel:
    """Load the captioner to serve. Raises DataError if it cannot be loaded."""
    from captioner.loading import require_model
    from captioner.serving.run import served_model

    for model in config.models:
        require_model(model)
    graph = None if config.keras else load_graph(config.models, 1, {})
    captioner, _ = graph or load_models(config.models)
    return served_model(captioner, config.models)


def _default_model() -> Path:
    from captioner.pretrained.box import default_model

    return default_model()


def _require_extra() -> None:
    from importlib.util import find_spec

    from captioner.config import ConfigError

    packages = {
        "starlette": "starlette",
        "uvicorn": "uvicorn",
        "python_multipart": "python-multipart",
        "prometheus_client": "prometheus-client",
    }
    if missing := [package for module, package in packages.items() if find_spec(module) is None]:
        raise ConfigError(f"serve needs {', '.join(missing)}; pip install 'captioner[serve]'")


def _print_greeting(address: str, model: ServedModel, paths: tuple[Named, ...]) -> None:
    """Print the server's address, its model and the model's scores."""
    from captioner.hub.names import is_hub
    from captioner.metrics.labels import describe
    from captioner.pretrained.box import BOX, CARD

    about: dict[str, Any] = model.describe()
    made_of = f"{about['architecture']} over {about['encoder']}, {about['weights'] / 1e6:.1f} million weights"
    made_of += f", on {about['runtime']}"
    click.echo(f"captioner is at {address} (the API: {address}/docs)")
    click.echo(f"model: {', '.join(map(str, paths))} ({made_of})")
    if model.scores:
        click.echo(f"scores: {describe(model.scores)}")
    elif paths == (BOX,):
        click.echo(f"scores: see {CARD}")
    elif len(paths) == 1 and not is_hub(paths[0]):
        click.echo(f"scores: not known; captioner evaluate {paths[0]} computes them")
    sys.stdout.flush()


def _quieten() -> None:
    """Hide messages that are of no use to the person who runs the server."""
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # it warns of compiling for several batch sizes
