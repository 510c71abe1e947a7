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
from captioner.cli.options import Finite, ModelName, NamedPath, allow_download

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
    help="Run folder, .keras file or hub:PRESET (default: the built-in captioner). Repeat it for an ensemble.",
)
@click.option(
    "-n", "count", type=click.IntRange(min=1), default=1, show_default=True, help="Captions per picture, best first."
)
@click.option("--json", "as_json", is_flag=True, help="Print one line per picture, a JSON object.")
@click.option("--out", type=FOLDER, metavar="FOLDER", help="Write the captioned pictures and results.csv.")
@click.option("--overwrite", is_flag=True, help="Replace the captions in the --out folder.")
@click.option("--attention", type=FOLDER, metavar="FOLDER", help="Draw each word's attention; needs the plot extra.")
@click.option(
    "--write",
    "kinds",
    multiple=True,
    type=click.Choice(["txt", "xmp-sidecar", "metadata"]),
    help="Write captions to NAME.txt or NAME.xmp beside each picture, or into its own metadata (JPEG, PNG, WebP).",
)
@click.option("--extension", metavar="ENDING", help="File ending for --write txt, such as .caption (default: .txt).")
@click.option(
    "--existing",
    type=click.Choice(["skip", "overwrite", "append", "prepend"]),
    help="What to do where a text already exists (default: skip).",
)
@click.option("--prefix", metavar="TEXT", help="Text to put before every caption of --write.")
@click.option("--suffix", metavar="TEXT", help="Text to put after every caption of --write.")
@click.option("--keep-times", is_flag=True, help="Keep the times of files that --write changes.")
@click.option("--dry-run", is_flag=True, help="Print what --write would write, and write nothing.")
@click.option(
    "--style",
    type=click.Choice(["plain", "sentence", "alt"]),
    default="plain",
    show_default=True,
    help="sentence: capital letter and full stop. alt: also drops 'an image of', at most 125 characters.",
)
@click.option("--neutral", is_flag=True, help="Replace gendered words: 'a man' becomes 'a person'.")
@click.option(
    "--neutral-words",
    type=NamedPath(),
    metavar="FILE",
    help="File with more such words, one `word = replacement` per line.",
)
@click.option(
    "--unsure",
    type=Finite(0, 1),
    metavar="CONFIDENCE",
    help="Do not caption pictures below this confidence; list them.",
)
@click.option("--allow-urls", is_flag=True, help="Download pictures given as http or https addresses.")
@click.option("--engine", type=click.Choice(["local", "ray"]), help="Run here, or on a Ray cluster (default: local).")
@click.option(
    "--address", metavar="HOST:PORT", help="Address of the Ray cluster; without it, Ray starts on this machine."
)
@click.option(
    "--precision",
    type=click.Choice(["auto", "float32", "bfloat16"]),
    help="Precision of the encoder (default: auto, the faster one that gives the same captions).",
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

    Prints the caption of a single picture, or lines of `file<TAB>caption` for several, each as soon as it is ready.
    Pictures that cannot be read are reported and skipped; the exit code is then 1. With --out and --write, run the same
    command again to continue an interrupted one.

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
        raise ConfigError("--write: needs picture files, but some pictures are in tar files or at addresses; use --out")
    _require_places(files, sidecars, out, overwrite)
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
        raise DataError("--attention: this model's architecture has no attention over picture regions; leave it out")
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
        logger.info(f"{summary.captioned:,} pictures captioned; {summary.broken:,} without a caption, listed above")
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
                raise ConfigError(f"--{name.replace('_', '-')}: needs --write; add it")
    if options["extension"] is not None and "txt" not in kinds:
        raise ConfigError("--extension: needs --write txt; add it")
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
    """Return the writers other than the sidecar writers, and those of them that know which pictures are done."""
    from captioner.writers.drawn import AttentionFolder, ResultsFolder
    from captioner.writers.lines import JsonLines, PlainLines

    lines = JsonLines(_echo) if as_json else PlainLines(_echo, files.named_alone)
    writers: list[Any] = [lines]
    if attention is not None:
        writers.append(AttentionFolder(attention, files, encoder))
    if out is None:
        return writers, []
    folder = ResultsFolder(out, files, job, overwrite)  # last, because its row marks a picture as done
    return [*writers, folder], [folder]


def _echo(line: str) -> None:
    """Print a line at once; a file name that is not UTF-8 keeps its bytes."""
    from tqdm import tqdm

    with tqdm.external_write_mode(file=sys.stdout):  # clears a progress bar on the same terminal
        click.echo(line.encode(errors="surrogateescape"))
        sys.stdout.flush()


def _require_places(files: PictureFiles, sidecars: Sequence[Any], out: Path | None, overwrite: bool) -> None:
    """Check, before Keras is loaded, that the outputs can be written, and that there is something to overwrite."""
    from captioner.config import ConfigError
    from captioner.output_places import require_place

    if overwrite and out is None:
        raise ConfigError("--overwrite: needs --out; add it")
    for sidecar in sidecars:
        sidecar.check(files)
    if out is not None:
        require_place(out)


def _precision(models: Sequence[Named], running: dict[str, Any]) -> str | None:
    """Return the precision for a KerasHub model, or None for KerasHub's default.

    Raises:
        ConfigError: an option does not apply to such a model.
    """
    from captioner.config import ConfigError
    from captioner.hub.names import is_hub

    if any(map(is_hub, models)) and running["engine"] == "ray":
        raise ConfigError("--engine ray: does not support KerasHub models; leave it out")
    return None if running["precision"] == "auto" else running["precision"]


def _report_unsure(unsure: Sequence[tuple[Path, float]], limit: float | None) -> None:
    """List the pictures that were not captioned, lowest confidence first."""
    if not unsure:
        return
    logger.info(f"{len(unsure):,} pictures not captioned, confidence below {limit:g}:")
    for path, confidence in sorted(unsure, key=lambda each: each[1]):
        logger.info(f"  {confidence:.2f}  {path}")
