"""Statistics of a set of captions: counts, lengths, vocabulary coverage, the most common captions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

MIN_COUNTS = (1, 2, 3, 5, 10, 20)
COMMONEST = 5
BAR = 40  # characters of the longest bar

Text = Mapping[str, list[list[str]]]


@dataclass(frozen=True)
class SplitStatistics:
    """The captions of a split, or of all pictures.

    Attributes:
        pictures, captions: their numbers.
        lengths: (captions,) the number of words of each caption.
        words: how often each word appears.
    """

    pictures: int
    captions: int
    lengths: np.ndarray
    words: Counter[str]


@dataclass(frozen=True)
class CaptionStatistics:
    """Statistics of a set of cleaned captions.

    Attributes:
        whole: all pictures.
        splits: by name, in the order given.
        learned: the name of the split that a vocabulary is fitted on; "" if there is no split train: then all pictures.
        commonest: (caption, how often it appears), the most frequent first.
        empty: pictures that have no caption.
    """

    whole: SplitStatistics
    splits: Mapping[str, SplitStatistics]
    learned: str
    commonest: Sequence[tuple[str, int]]
    empty: Sequence[str]

    @property
    def training(self) -> SplitStatistics:
        """The captions that a vocabulary is fitted on."""
        return self.splits.get(self.learned, self.whole)


def measure(
    text: Text, splits: Mapping[str, Iterable[str]] | None = None, empty: Sequence[str] = ()
) -> CaptionStatistics:
    """Count cleaned captions.

    Args:
        text: image_id -> captions as lists of words.
        splits: name -> image_ids.
        empty: pictures without a caption, which `text` may leave out.
    """
    parts = {name: _part({key: text[key] for key in ids if key in text}) for name, ids in (splits or {}).items()}
    said = Counter(" ".join(words) for captions in text.values() for words in captions)
    return CaptionStatistics(
        whole=_part(text),
        splits={name: part for name, part in parts.items() if part.captions},
        learned="train" if parts.get("train") and parts["train"].captions else "",
        commonest=[(caption, count) for caption, count in said.most_common(COMMONEST) if count > 1],
        empty=empty,
    )


def _part(text: Text) -> SplitStatistics:
    captions = [words for picture in text.values() for words in picture]
    lengths = np.array([len(words) for words in captions], int)
    return SplitStatistics(len(text), len(captions), lengths, Counter(word for words in captions for word in words))


def kept_words(part: SplitStatistics, min_count: int) -> set[str]:
    """Return the words that appear at least `min_count` times."""
    return {word for word, count in part.words.items() if count >= min_count}


def unknown_share(part: SplitStatistics, known: set[str]) -> float:
    """Return the share of a part's words that are not in `known`, between 0 and 1."""
    total = part.words.total()
    return 1 - sum(count for word, count in part.words.items() if word in known) / total if total else 0.0


def describe(statistics: CaptionStatistics) -> str:
    """Return the statistics as text: tables and bars for a terminal."""
    blocks = [_counts(statistics), _lengths(statistics.whole), _vocabulary(statistics), _sayings(statistics)]
    return "\n\n".join(filter(None, blocks))


def _counts(statistics: CaptionStatistics) -> str:
    rows = [["", "pictures", "captions", "a picture", "words", "distinct", "mean length", "longest"]]
    for name, part in {**statistics.splits, "all": statistics.whole}.items():
        each = f"{part.captions / part.pictures:.2f}"
        mean, longest = f"{part.lengths.mean():.1f}", f"{part.lengths.max()}"
        counts = (f"{count:,}" for count in (part.words.total(), len(part.words)))
        rows.append([name, f"{part.pictures:,}", f"{part.captions:,}", each, *counts, mean, longest])
    return _table(rows)


def _lengths(part: SplitStatistics) -> str:
    half, most, nearly = (int(length) for length in np.percentile(part.lengths, [50, 95, 99]))
    longest = int(part.lengths.max())
    lines = [f"words a caption: half have up to {half}, 95 % up to {most}, 99 % up to {nearly}, the longest {longest}"]
    width = max(1, -(-nearly // 16))  # words per bar; the last bar has the few longer captions
    first = int(part.lengths.min()) // width * width
    starts = list(range(first, nearly + 1, width))
    counts = [int(((part.lengths >= start) & (part.lengths < start + width)).sum()) for start in starts]
    names = [f"{start}" if width == 1 else f"{start}-{start + width - 1}" for start in starts]
    if longer := part.captions - sum(counts):
        names.append(f"{starts[-1] + width}-{longest}")
        counts.append(longer)
    margin = max(map(len, names))
    for name, count in zip(names, counts, strict=True):
        bar = "█" * round(BAR * count / max(counts)) or ("▏" if count else "")
        lines.append(f"  {name:>{margin}}  {bar} {count:,}")
    return "\n".join(lines)


def _vocabulary(statistics: CaptionStatistics) -> str:
    training = statistics.training
    known = [kept_words(training, count) for count in MIN_COUNTS]
    where = f"in {statistics.learned}" if statistics.learned else "in all captions"
    rows = [(f"words seen {where} at least", *(f"{count}" for count in MIN_COUNTS))]
    rows.append(("  vocabulary", *(f"{len(words):,}" for words in known)))
    for name, part in statistics.splits.items() or {"all": statistics.whole}.items():
        rows.append((f"  unknown in {name}, %", *(f"{100 * unknown_share(part, words):.2f}" for words in known)))
    return _table(rows)


def _sayings(statistics: CaptionStatistics) -> str:
    lines = []
    if statistics.commonest:
        margin = len(f"{statistics.commonest[0][1]:,}")
        lines = ["commonest captions", *(f"  {count:>{margin},}  {text}" for text, count in statistics.commonest)]
    if statistics.empty:
        first = ", ".join(statistics.empty[:COMMONEST]) + (", ..." if len(statistics.empty) > COMMONEST else "")
        lines.append(f"pictures without a caption: {len(statistics.empty):,} ({first})")
    return "\n".join(lines)


def _table(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            [f"{row[0]:<{widths[0]}}", *(f"{cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in rows
    )
