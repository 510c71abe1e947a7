"""captioner report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

import captioner
from captioner.cli.backend import load_keras
from captioner.cli.options import NamedPath

if TYPE_CHECKING:
    from captioner.captioner import Captioner


def draw_curves(run: Path, path: Path) -> Path:
    """Draw a run's losses and scores by epoch; return the picture's path.

    Raises:
        ConfigError: matplotlib is not installed, or the picture's file type is not supported.
        DataError: the run has no history, or the picture cannot be written.
    """
    from captioner.plots.history import plot_history
    from captioner.report.history import read_history
    from captioner.run_folder import HISTORY
    from captioner.storage import DataError

    rows, best = read_history(run)
    if not rows:
        raise DataError(f"{run}: has no {HISTORY}; captioner train writes it when training ends")
    plot_history(rows, best, path, "--curves")
    return path


@click.command("report")
@click.argument("run", type=NamedPath())
@click.option("-o", "--output", type=NamedPath(dir_okay=False), help="The page (default: report.html in RUN).")
@click.option("--scores", type=NamedPath(), help="Folder of the results (default: RUN's own).")
@click.option(
    "-R",
    "--references",
    multiple=True,
    metavar="FILE",
    type=NamedPath(),
    help="Captions to show (default: the run's).",
)
@click.option("--images", type=NamedPath(), help="Folder of pictures (default: the run's).")
@click.option(
    "--pictures",
    type=click.IntRange(min=2),
    default=1000,
    show_default=True,
    help="Maximum number of pictures to show, the best and the worst.",
)
@click.option(
    "--curves",
    type=NamedPath(dir_okay=False),
    help="Draw the training curves into FILE.png, .svg or .pdf instead of writing a page. RUN need not be evaluated.",
)
def command(
    run: Path,
    output: Path | None,
    scores: Path | None,
    references: tuple[Path, ...],
    images: Path | None,
    pictures: int,
    curves: Path | None,
) -> None:
    """Write the scores, curves, captions and pictures of the evaluated run RUN into one HTML page.

    The page contains the pictures, opens from disk and needs no network. The pictures can be searched and sorted.

    \b
    Examples:
        captioner report runs/merge
        captioner report runs/merge -o page.html --pictures 200
    """
    from captioner.report.run import report_run

    if curves is not None:
        click.echo(draw_curves(run, curves))
        return

    def load(path: str) -> Captioner:
        load_keras()
        return captioner.load(path)

    page = report_run(run, output, evaluation=scores, references=references, images=images, shown=pictures, load=load)
    click.echo(page)
