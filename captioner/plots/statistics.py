"""Plot statistics of captions: lengths, coverage of the vocabulary, and the most common words."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from captioner.config import ConfigError
from captioner.data.statistics import CaptionStatistics, SplitStatistics
from captioner.storage import DataError, atomic_path, reading, require_regular

WORDS = 25  # number of most common words to draw
SIZE = (15.0, 4.8)  # inches
FORMATS = ("png", "svg", "pdf")
MARK = "captioner, image captioning"  # in the metadata of every plot


def plot(statistics: CaptionStatistics, path: str | Path) -> None:
    """Draw the statistics into a file: .png, .svg or .pdf.

    Raises:
        ConfigError: matplotlib is not installed, or the file type is not supported.
        DataError: the file cannot be written.
    """
    path = Path(path)
    require_plot(path)
    from matplotlib.figure import Figure

    figure = Figure(figsize=SIZE, layout="constrained")
    lengths, reach, words = figure.subplots(1, 3)
    parts = dict(statistics.splits) or {"all": statistics.whole}
    _draw_lengths(lengths, parts)
    _draw_reach(reach, statistics, parts)
    _draw_words(words, statistics.whole)
    for axes in (lengths, reach, words):
        axes.spines[["top", "right"]].set_visible(False)
    with atomic_path(path) as temporary, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # letters missing in the font are drawn as boxes
        save(figure, temporary)


def save(figure: Any, path: Path) -> None:
    """Write a figure, with a mark by which `require_plot` knows it again."""
    mark = {"Software": MARK} if path.suffix.lower() == ".png" else {"Creator": MARK}
    figure.savefig(path, dpi=120, metadata=mark)


def require_plot(path: Path, option: str = "--plot") -> None:
    """Check, before any work, that a picture can be drawn into `path`.

    Raises:
        ConfigError: as `plot`.
        DataError: `path` exists and is not a plot, such as a photograph.
    """
    if path.suffix[1:].lower() not in FORMATS:
        raise ConfigError(f"{option} {path}: the name must end in {', '.join(FORMATS[:-1])} or {FORMATS[-1]}")
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise ConfigError(f"{option} {path}: needs matplotlib; pip install 'captioner[plot]'") from None
    require_regular(path)
    with reading(path):
        taken = path.is_file() and (content := path.read_bytes()) and MARK.encode() not in content
    if taken:
        raise DataError(f"{path}: already exists and is not a plot of captioner; name another file, or remove it")


def _draw_lengths(axes: Any, parts: dict[str, SplitStatistics]) -> None:
    longest = int(max(np.percentile(part.lengths, 99.9) for part in parts.values()))
    for name, part in parts.items():
        counts = np.bincount(part.lengths, minlength=longest + 1)[: longest + 1]
        axes.plot(100 * counts / part.captions, marker=".", label=f"{name}: {part.captions:,}")
    axes.set(title="Length of captions", xlabel="words", ylabel="captions (%)", xlim=(0, longest), ylim=(0, None))
    axes.legend(frameon=False)


def _draw_reach(axes: Any, statistics: CaptionStatistics, parts: dict[str, SplitStatistics]) -> None:
    """Draw the share of each split's words that are not among the n most common words of the training captions."""
    ranked = [word for word, _ in statistics.training.words.most_common()]
    for name, part in parts.items():
        found = np.cumsum([part.words.get(word, 0) for word in ranked])
        axes.plot(np.arange(1, len(ranked) + 1), 100 * (1 - found / part.words.total()), label=name)
    where = f"of {statistics.learned}" if statistics.learned else "of all captions"
    axes.set(
        title="Words outside the vocabulary",
        xlabel=f"vocabulary: the most common words {where}",
        ylabel="unknown (% of all words)",
        xscale="log",
        ylim=(0, None),
    )
    axes.legend(frameon=False)


def _draw_words(axes: Any, part: SplitStatistics) -> None:
    names, counts = zip(*reversed(part.words.most_common(WORDS)), strict=True)
    axes.barh(range(len(names)), counts)
    axes.set_yticks(range(len(names)), names, fontsize=8, parse_math=False)
    axes.set(title="Most common words", xlabel="count")
