"""captioner predict."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from captioner.cli.backend import load_keras
from captioner.cli.options import say


@click.command("predict")
@click.argument("pictures", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--model", type=click.Path(path_type=Path), help="Run folder or .keras file (default: the newest run).")
@click.option("--beam-size", type=click.IntRange(min=1), help="Hypotheses kept per picture; 1 is greedy search.")
@click.option(
    "-n", "count", type=click.IntRange(min=1), default=1, show_default=True, help="Captions per picture, best first."
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list with log-probabilities.")
@click.pass_context
def command(
    context: click.Context,
    pictures: tuple[Path, ...],
    model: Path | None,
    beam_size: int | None,
    count: int,
    as_json: bool,
) -> None:
    """Caption PICTURES: files, folders of pictures, or COCO's image_info_*.json.

    Prints the caption of a single picture, and `file<TAB>caption` lines for several. A picture that cannot be read is
    named and passed over; the exit code is then 1.
    """
    load_keras()
    from captioner.captioner import load, newest_run
    from captioner.config import ConfigError
    from captioner.prediction import caption_pictures, find_pictures
    from captioner.storage import DataError

    if beam_size is not None and count > beam_size:
        raise ConfigError(f"-n {count}: needs a beam as wide, found --beam-size {beam_size}; widen it")
    if model is None:
        model = newest_run(say)
    files = find_pictures(pictures)
    captioner = load(model)
    changes: dict[str, Any] = {} if beam_size is None else {"beam_size": beam_size}
    if beam_size is None and count > captioner.generation.beam_size:
        changes["beam_size"] = count
    try:
        _ = captioner.encoder
    except DataError as error:
        raise DataError(f"{model}: {error}") from None
    broken: list[str] = []

    def report(message: str) -> None:
        broken.append(message)
        say(f"captioner: {message}")

    results = []
    for picture in caption_pictures(captioner, files, report, count, **changes):
        if as_json:
            captions = [{"caption": c.text, "log_prob": round(c.log_prob, 6)} for c in picture.captions]
            results.append({"file": str(picture.path), "captions": captions})
            continue
        for caption in picture.captions:
            click.echo(caption.text if len(files) == 1 else f"{picture.path}\t{caption.text}")
    if as_json:
        click.echo(json.dumps(results, ensure_ascii=False, indent=1))
    context.exit(1 if broken else 0)
