"""Tables as text: comma-separated values, and aligned columns."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any


def to_csv(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return a table as comma-separated values with Unix line ends, its header first.

    >>> to_csv(["image_id", "caption"], [("a", "a dog, running")])
    'image_id,caption\\na,"a dog, running"\\n'
    """
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    return text.getvalue()


def align(rows: Iterable[Sequence[Any]], right: Iterable[int] = (), gap: int = 2) -> list[str]:
    """Return the rows as lines with aligned columns and without trailing spaces.

    Args:
        rows: the cells; a row may be shorter than the others.
        right: the columns, from 0, that are aligned on the right, such as numbers.
        gap: spaces between columns.

    >>> for line in align([("merge", "1,024"), ("transformer", "86")], right=[1]):
    ...     print(line)
    merge        1,024
    transformer     86
    """
    cells, numbers = [[str(cell) for cell in row] for row in rows], set(right)
    widths: dict[int, int] = {}
    for row in cells:
        for column, cell in enumerate(row):
            widths[column] = max(widths.get(column, 0), len(cell))
    lines = []
    for row in cells:
        filled = (
            cell.rjust(widths[column]) if column in numbers else cell.ljust(widths[column])
            for column, cell in enumerate(row)
        )
        lines.append((" " * gap).join(filled).rstrip())
    return lines
