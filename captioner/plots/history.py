"""Plot the training curves: losses, perplexity and scores by epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from captioner.plots.statistics import require_plot, save
from captioner.storage import atomic_path

WIDTH, HEIGHT = 4.2, 3.6  # inches per chart

Lines = dict[str, tuple[list[float], list[float]]]  # name -> epochs and values
CHARTS: tuple[tuple[str, tuple[tuple[str, str, float], ...]], ...] = (
    ("Loss", (("training", "loss", 1), ("dev", "val_loss", 1))),
    ("Perplexity on dev", (("dev", "val_perplexity", 1),)),
    ("BLEU-4 on dev", (("dev", "bleu_4", 100),)),
    ("CIDEr-D on dev", (("dev", "cider_d", 100),)),
)


def charts_of(history: Sequence[Mapping[str, float]]) -> list[tuple[str, Lines]]:
    """Return the charts of a history: the title of each, and its lines by name, as epochs and values.

    Args:
        history: a row for each epoch; a chart contains the epochs whose rows have its values.
    """
    charts = []
    for title, lines in CHARTS:
        found: Lines = {}
        for name, key, factor in lines:
            rows = [row for row in history if key in row]
            if rows:
                found[name] = ([row["epoch"] for row in rows], [factor * row[key] for row in rows])
        if found:
            charts.append((title, found))
    return charts


def plot_history(history: Sequence[Mapping[str, float]], best: int | None, path: Path, option: str) -> None:
    """Draw a run's curves into a file: .png, .svg or .pdf.

    Args:
        history: a row for each epoch.
        best: the epoch whose weights were kept, which is marked; None if it is not known.
        path: path of the picture.
        option: the command-line option that names it, for messages.

    Raises:
        ConfigError: matplotlib is not installed, or the file type is not supported.
        DataError: the file cannot be written.
    """
    require_plot(path, option)
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    charts = charts_of(history)
    figure = Figure(figsize=(WIDTH * len(charts), HEIGHT), layout="constrained")
    for axes, (title, lines) in zip(figure.subplots(1, len(charts), squeeze=False)[0], charts, strict=True):
        _draw(axes, title, lines, best)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    with atomic_path(path) as temporary:
        save(figure, temporary)


def _draw(axes: Any, title: str, lines: Lines, best: int | None) -> None:
    for name, (epochs, values) in lines.items():
        axes.plot(epochs, values, marker=".", label=name)
    if best is not None:
        axes.axvline(best, linestyle="--", linewidth=1, color="grey", label=f"epoch {best}, kept")
    axes.set(title=title, xlabel="epoch")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
