"""captioner predict."""

from __future__ import annotations

import json
import logging
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from captioner.cli.backend import load_keras
from captioner.cli.generation import generation_options

if TYPE_CHECKING:
    from captioner.picture_captioner import PictureCaptioner

logger = logging.getLogger(__name__)

FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command("predict")
@click.argument("pictures", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--model",
    "models",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Run folder or .keras file (default: the newest run). Given again: an ensemble.",
)
@click.option(
    "-n", "count", type=click.IntRange(min=1), default=1, show_default=True, help="Captions per picture, best first."
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list with log-probabilities.")
@click.option("--out", type=FOLDER, metavar="FOLDER", help="Write the pictures with their captions, and results.csv.")
@click.option("--attention", type=FOLDER, metavar="FOLDER", help="Draw what each word looked at; needs the plot extra.")
@generation_options
@click.pass_context
def command(
    context: click.Context,
    pictures: tuple[Path, ...],
    models: tuple[Path, ...],
    count: int,
    as_json: bool,
    out: Path | None,
    attention: Path | None,
    generation: dict[str, Any],
) -> None:
    """Caption PICTURES: files, folders of pictures, or COCO's image_info_*.json.

    Prints the caption of a single picture, and `file<TAB>caption` lines for several. A picture that cannot be read is
    named and passed over; the exit code is then 1.
    """
    from captioner.config import ConfigError
    from captioner.plots.pictures import require_matplotlib
    from captioner.run_folder import newest_run
    from captioner.stages.predict import AttentionFolder, ResultsFolder, caption_pictures, find_pictures

    if count > generation.get("beam_size", count):
        raise ConfigError(f"-n {count}: needs a beam as wide, found --beam-size {generation['beam_size']}; widen it")
    if attention is not None:
        require_matplotlib("--attention")
    if not models:
        models = (newest_run(),)
    files = find_pictures(pictures)
    captioner, encoder = _load_fast(models, count, generation) or _load(models)
    drawn: list[Any] = []
    if out is not None:
        drawn.append(ResultsFolder(out, files))
    if attention is not None:
        drawn.append(AttentionFolder(attention, files, encoder))
    broken: list[str] = []

    def report(message: str) -> None:
        broken.append(message)
        logger.error(message)

    results = []
    for picture in caption_pictures(captioner, files, report, count, **generation):
        for folder in drawn:
            folder.add(picture)
        if as_json:
            captions = [{"caption": c.text, "log_prob": round(c.log_prob, 6)} for c in picture.captions]
            results.append({"file": str(picture.path), "captions": captions})
            continue
        for caption in picture.captions:
            click.echo(caption.text if len(files) == 1 else f"{picture.path}\t{caption.text}")
    if out is not None:
        drawn[0].write_table()
    if as_json:
        click.echo(json.dumps(results, ensure_ascii=False, indent=1))
    context.exit(1 if broken else 0)


Loaded = tuple["PictureCaptioner", "dict[str, Any] | None"]


def _load_fast(models: tuple[Path, ...], count: int, generation: dict[str, Any]) -> Loaded | None:
    """Return what `_load` does by the run's graph on onnxruntime; None where that is not possible."""
    if len(models) > 1 or find_spec("onnxruntime") is None:
        return None
    from captioner.export.fast import NoGraphError, UnsupportedSettingError, has_graph, load_fast

    if not has_graph(models[0]):
        return None
    try:
        captioner = load_fast(models[0])
        captioner.search(count, **captioner.widened(count, generation))
        captioner.find_encoder()
    except UnsupportedSettingError as error:
        logger.info(f"{error}: using Keras, which takes seconds to start")
        return None
    except NoGraphError as error:
        logger.warning(f"{error}; using Keras instead")
        return None
    return captioner, captioner.encoder_description if len(captioner.feature_shape) == 2 else None


def _load(models: tuple[Path, ...]) -> Loaded:
    """Return the captioner, an ensemble of several, and the description of the encoder whose grid it looks at."""
    load_keras()
    from captioner.captioner import load
    from captioner.ensemble import Ensemble
    from captioner.storage import DataError

    members = [load(model) for model in models]
    for model, member in zip(models, members, strict=True):
        try:
            member.find_encoder()
        except DataError as error:
            raise DataError(f"{model}: {error}") from None
    captioner = members[0] if len(members) == 1 else Ensemble(members, models)
    looking = [member.encoder_description for member in members if len(member.decoder.feature_shape) == 2]
    return captioner, looking[0] if looking else None
