"""captioner find."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from captioner.cli.backend import load_keras
from captioner.cli.options import NamedPath

if TYPE_CHECKING:
    from captioner.stages.find import TextLikelihood
    from captioner.stages.picture_index import PictureIndex
    from captioner.text.vocabulary import Vocabulary

    Searched = tuple[TextLikelihood, Vocabulary, list[PictureIndex]]

logger = logging.getLogger(__name__)

FOLDER = NamedPath(file_okay=False)


@click.command("find")
@click.argument("text")
@click.argument("folders", nargs=-1, required=True, metavar="PICTURES...", type=FOLDER)
@click.option("--model", type=NamedPath(), help="Run folder or .keras file (default: the built-in captioner).")
@click.option(
    "-n", "count", type=click.IntRange(min=1), default=10, show_default=True, help="Number of pictures to print."
)
@click.option("--json", "as_json", is_flag=True, help="Print one line per picture, a JSON object.")
@click.option("--html", type=NamedPath(dir_okay=False), metavar="FILE", help="Write a page of thumbnails.")
@click.option(
    "--index",
    "place",
    type=NamedPath(file_okay=False),
    metavar="FOLDER",
    help="Folder for the index (default: NAME.captioner-index beside the folder of pictures).",
)
def command(
    text: str,
    folders: tuple[Path, ...],
    model: Path | None,
    count: int,
    as_json: bool,
    html: Path | None,
    place: Path | None,
) -> None:
    """Find the pictures in the folders PICTURES that TEXT describes, such as "a dog in the snow".

    Prints `score<TAB>file`, best first. A score above 0 means that the text fits the picture better than an average
    picture. The first search creates the index of a folder, and later searches update it.

    \b
    Examples:
        captioner find "a dog in the snow" photos
        captioner find "a red car" photos -n 20 --html found.html
    """
    from captioner.config import ConfigError
    from captioner.images.walk import require_folder
    from captioner.output_places import require_page

    if not text.strip():
        raise ConfigError("TEXT: is empty; describe the pictures to find")
    if place is not None and len(folders) > 1:
        raise ConfigError("--index: an index is for one folder; leave it out, or search one folder")
    for folder in folders:
        require_folder(folder)
    if html is not None:
        require_page(html)
    from captioner.pretrained.box import default_model
    from captioner.report.gallery import write_found
    from captioner.stages.find import find
    from captioner.writers.lines import as_json as as_line

    model = default_model() if model is None else model
    searched = _by_graph(model, folders, place) or _by_keras(model, folders, place)
    found = find(*searched, text, count)
    for each in found:
        if as_json:
            line = as_line({"file": str(each.path), "score": round(each.score, 4), "caption": each.caption})
        else:
            line = f"{each.score:.2f}\t{each.path}"
        click.echo(line.encode(errors="surrogateescape"))
    if html is not None:
        write_found(text, found, html)


def _by_graph(model: Path, folders: Sequence[Path], place: Path | None) -> Searched | None:
    """Return the arguments of the search without Keras, or None if there is no graph or an index is out of date."""
    if find_spec("onnxruntime") is None:
        return None
    from captioner.export.fast import NoGraphError, has_graph, load_fast
    from captioner.export.graph_likelihood import GraphLikelihood
    from captioner.stages.picture_index import MAX_LENGTH, read_index

    if not has_graph(model):
        return None
    try:
        captioner = load_fast(model)
    except NoGraphError as error:
        logger.warning(f"{error}; using Keras, which takes seconds to start")
        return None
    digest, indexes = _digest(model), []
    for folder in folders:
        index = read_index(captioner.encoder_description, digest, folder, place)
        if index is None or index.features.shape != captioner.feature_shape:
            return None
        indexes.append(index)
    return GraphLikelihood(captioner, MAX_LENGTH), captioner.vocabulary, indexes


def _by_keras(model: Path, folders: Sequence[Path], place: Path | None) -> Searched:
    """Update the indexes and return the arguments of the search."""
    load_keras()
    from captioner.captioner import load
    from captioner.generation.likelihood import Likelihood
    from captioner.stages.indexing import open_index
    from captioner.stages.picture_index import MAX_LENGTH

    captioner, digest = load(model), _digest(model)
    indexes = [open_index(captioner, digest, folder, place) for folder in folders]
    return Likelihood(captioner.decoder, MAX_LENGTH), captioner.vocabulary, indexes


def _digest(model: Path) -> str:
    from captioner.run_folder import captioner_file
    from captioner.storage import digest_file

    return digest_file(captioner_file(model))
