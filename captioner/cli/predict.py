"""captioner predict."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from captioner.cli.generation import generation_options
from captioner.cli.models import load_graph, load_models, suits_graph
from captioner.cli.options import ModelName, NamedPath, allow_download

if TYPE_CHECKING:
    from captioner.images.picture_list import PictureFiles
    from captioner.loading import Named

logger = logging.getLogger(__name__)

FOLDER = NamedPath(file_okay=False)


@click.command("predict")
@click.argument("pictures", nargs=-1, required=True)
@click.option(
    "--model",
    "models",
    multiple=True,
    type=ModelName(),
    help="Run folder, .keras file or hub:PRESET (default: the captioner in the box). Given again: an ensemble.",
)
@click.option(
    "-n", "count", type=click.IntRange(min=1), default=1, show_default=True, help="Captions per picture, best first."
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object a picture, one a line.")
@click.option("--out", type=FOLDER, metavar="FOLDER", help="Write the pictures with their captions, and results.csv.")
@click.option("--overwrite", is_flag=True, help="Replace the captions in the --out folder.")
@click.option("--attention", type=FOLDER, metavar="FOLDER", help="Draw what each word looked at; needs the plot extra.")
@click.option(
    "--write",
    "kinds",
    multiple=True,
    type=click.Choice(["txt", "xmp-sidecar", "metadata"]),
    help="Write captions to NAME.txt or NAME.xmp beside each picture, or into its own metadata (JPEG, PNG, WebP).",
)
@click.option("--extension", metavar="ENDING", help="Of the files of --write txt, such as .caption (default: .txt).")
@click.option(
    "--existing",
    type=click.Choice(["skip", "overwrite", "append", "prepend"]),
    help="What becomes of a text that is there already (default: skip).",
)
@click.option("--prefix", metavar="TEXT", help="Text before every caption that --write writes.")
@click.option("--suffix", metavar="TEXT", help="Text behind every caption that --write writes.")
@click.option("--keep-times", is_flag=True, help="Files that --write changes keep their times.")
@click.option("--dry-run", is_flag=True, help="Say what --write would write, and write nothing.")
@click.option(
    "--style",
    type=click.Choice(["plain", "sentence", "alt"]),
    default="plain",
    show_default=True,
    help="sentence: capital and full stop. alt: also without 'an image of', at most 125 characters.",
)
@click.option("--neutral", is_flag=True, help="Replace gendered words: a man becomes a person.")
@click.option(
    "--neutral-words",
    type=NamedPath(),
    metavar="FILE",
    help="More of such words, `word = replacement` a line.",
)
@click.option(
    "--unsure",
    type=click.FloatRange(0, 1),
    metavar="CONFIDENCE",
    help="Leave pictures uncaptioned below this confidence, and list them.",
)
@click.option("--allow-urls", is_flag=True, help="Fetch pictures that are named by an http or https address.")
@click.option("--engine", type=click.Choice(["local", "ray"]), help="Run here, or on a Ray cluster (default: local).")
@click.option("--address", metavar="HOST:PORT", help="The Ray cluster's; without it Ray is started here.")
@click.option(
    "--precision",
    type=click.Choice(["auto", "float32", "bfloat16"]),
    help="Of the encoder (default: auto, the faster one where captions stay the same).",
)
@click.option("--batch-size", type=click.IntRange(min=1), help="Pictures encoded together (default: the fastest).")
@allow_download
@generation_options
@click.pass_context
def command(
    context: click.Context,
    pictures: tuple[str, ...],
    models: tuple[Named, ...],
    count: int,
    as_json: bool,
    out: Path | None,
    overwrite: bool,
    attention: Path | None,
    kinds: tuple[str, ...],
    style: str,
    neutral: bool,
    neutral_words: Path | None,
    unsure: float | None,
    generation: dict[str, Any],
    **options: Any,
) -> None:
    """Caption PICTURES: files, folders, tar files, COCO's image_info_*.json, addresses, or - for standard input.

    Prints the caption of a single picture, and `file<TAB>caption` lines for several, each as soon as it is known. A
    picture that cannot be read is named and passed over; the exit code is then 1. With --out and --write, the same
    command continues where it was stopped.

    \b
    Examples:
        captioner predict a.jpg
        captioner predict photos --model runs/merge --out captioned
        captioner predict photos -n 3 --json
    """
    from captioner.config import ConfigError
    from captioner.loading import digest_model, require_model
    from captioner.stages.prediction_inputs import STDIN, Arriving, find_pictures
    from captioner.text.styles import neutral_words as read_neutral_words
    from captioner.writers.targets import OneEach

    if count > generation.get("beam_size", count):
        raise ConfigError(f"-n {count} needs --beam-size {count} or more (got {generation['beam_size']})")
    sidecars = _sidecars(kinds, options)
    words = read_neutral_words(neutral_words) if neutral or neutral_words is not None else None
    outputs = [folder for folder in (out, attention) if folder is not None]
    files = find_pictures(pictures, options["allow_urls"], outputs)
    if sidecars and not files.only_files:
        raise ConfigError("--write: writes beside files, and some pictures are in tar files or at addresses; use --out")
    _require_places(files, sidecars, out)
    arriving = Arriving(sys.stdin.buffer, options["allow_urls"], outputs) if str(STDIN) in pictures else None
    if arriving is not None:
        sidecars = [OneEach(sidecar, files) for sidecar in sidecars]
    if not models:
        from captioner.pretrained.box import default_model

        models = (default_model(),)
    for model in models:
        require_model(model)
    from captioner.extraction.config import ExtractionConfig
    from captioner.generation.caption import Caption
    from captioner.plots.pictures import require_matplotlib
    from captioner.stages.predict import LONG, predict, with_text
    from captioner.storage import DataError
    from captioner.text.styles import styled

    if attention is not None:
        require_matplotlib("--attention")
    running = {name: options[name] for name in ("engine", "address", "precision", "batch_size")}
    if running["address"] is not None:
        running["engine"] = running["engine"] or "ray"
    config = ExtractionConfig(**{name: value for name, value in running.items() if value is not None})
    fast = load_graph(models, count, generation) if suits_graph(files, running, arriving is not None) else None
    captioner, encoder = fast or load_models(models, _precision(models, running))
    if attention is not None and encoder is None:
        raise DataError("--attention: this model has none to draw, its architecture looks at no regions; leave it out")
    job = {
        "model": [digest_model(model) for model in models] if out is not None else [],
        "n": count,
        "style": style,
        "neutral": words,
        "unsure": unsure,
        "generation": dict(sorted(generation.items())),
    }
    writers, skippers = _writers(files, as_json, out, overwrite, attention, encoder, job)
    broken: list[str] = []

    def report(message: str) -> None:
        broken.append(message)
        logger.error(message)

    def worded(caption: Caption) -> Caption:
        return with_text(caption, styled(caption.text, style, words))  # type: ignore[arg-type]

    summary = predict(
        captioner,
        files,
        [*sidecars, *writers],
        skippers=[*sidecars, *skippers],
        arriving=arriving,
        n=count,
        changes=generation,
        config=config,
        models=models,
        styled=None if style == "plain" and words is None else worded,
        unsure=unsure,
        broken=report,
    )
    for writer in [*sidecars, *writers]:
        writer.close()
    _report_unsure(summary.unsure, unsure)
    if broken and summary.captioned > LONG:
        logger.info(f"{summary.broken:,} pictures without a caption, named above; {summary.captioned:,} with one")
    context.exit(1 if broken else 0)


def _sidecars(kinds: tuple[str, ...], options: dict[str, Any]) -> list[Any]:
    """Return the writers that --write names.

    Raises:
        ConfigError: an option of --write is given without it.
    """
    from captioner.config import ConfigError
    from captioner.writers.existing import Wording
    from captioner.writers.metadata.embedded import EmbeddedMetadata
    from captioner.writers.sidecars import TextSidecars, XmpSidecars

    if not kinds:
        for name in ("extension", "existing", "prefix", "suffix", "keep_times", "dry_run"):
            if options[name]:
                raise ConfigError(f"--{name.replace('_', '-')}: belongs to --write, which is missing")
    if options["extension"] is not None and "txt" not in kinds:
        raise ConfigError("--extension: names the files of --write txt, which is missing")
    wording = Wording(options["existing"] or "skip", options["prefix"] or "", options["suffix"] or "")
    rest: dict[str, Any] = {"keep_times": options["keep_times"], "dry_run": logger.info if options["dry_run"] else None}
    made: dict[str, Any] = {
        "txt": lambda: TextSidecars(wording, ".txt" if options["extension"] is None else options["extension"], **rest),
        "xmp-sidecar": lambda: XmpSidecars(wording, **rest),
        "metadata": lambda: EmbeddedMetadata(wording, **rest),
    }
    return [made[kind]() for kind in dict.fromkeys(kinds)]


def _writers(
    files: PictureFiles,
    as_json: bool,
    out: Path | None,
    overwrite: bool,
    attention: Path | None,
    encoder: dict[str, Any] | None,
    job: dict[str, Any],
) -> tuple[list[Any], list[Any]]:
    """Return the writers but for the sidecars', and those of them that know which pictures are done."""
    from captioner.writers.drawn import AttentionFolder, ResultsFolder
    from captioner.writers.lines import JsonLines, PlainLines

    lines = JsonLines(_echo) if as_json else PlainLines(_echo, files.named_alone)
    writers: list[Any] = [lines]
    if attention is not None:
        writers.append(AttentionFolder(attention, files, encoder))
    if out is None:
        return writers, []
    folder = ResultsFolder(out, files, job, overwrite)  # the last one: its row says that a picture is done
    return [*writers, folder], [folder]


def _echo(line: str) -> None:
    """Print a line at once; a file name that is no UTF-8 keeps its bytes."""
    from tqdm import tqdm

    with tqdm.external_write_mode(file=sys.stdout):  # a bar on the same terminal makes room
        click.echo(line.encode(errors="surrogateescape"))
        sys.stdout.flush()


def _require_places(files: PictureFiles, sidecars: Sequence[Any], out: Path | None) -> None:
    """Refuse what cannot be written, before Keras is loaded."""
    from captioner.output_places import require_place

    for sidecar in sidecars:
        sidecar.check(files)
    if out is not None:
        require_place(out)


def _precision(models: Sequence[Named], running: dict[str, Any]) -> str | None:
    """Return the precision that a model of KerasHub is to have; None for what KerasHub takes by default.

    Raises:
        ConfigError: an option does not apply to such a model.
    """
    from captioner.config import ConfigError
    from captioner.hub.names import is_hub

    if any(map(is_hub, models)) and running["engine"] == "ray":
        raise ConfigError("--engine ray: does not run models of KerasHub; leave it out")
    return None if running["precision"] == "auto" else running["precision"]


def _report_unsure(unsure: Sequence[tuple[Path, float]], limit: float | None) -> None:
    """List the pictures that were left uncaptioned, the least sure first."""
    if not unsure:
        return
    logger.info(f"{len(unsure):,} pictures left uncaptioned, with a confidence below {limit:g}:")
    for path, confidence in sorted(unsure, key=lambda each: each[1]):
        logger.info(f"  {confidence:.2f}  {path}")
