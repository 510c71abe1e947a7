"""The history of a run: a row of losses and scores for each epoch."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from captioner.run_folder import HISTORY, MANIFEST
from captioner.storage import DataError, read_json, read_text


def read_history(folder: Path) -> tuple[list[dict[str, float]], int | None]:
    """Return a run's rows and the epoch whose weights were kept, if they are known.

    A row has no scores of captions if no captions were generated after its epoch.

    Raises:
        DataError: the file is broken.
    """
    path = folder / HISTORY
    if not path.is_file():
        return [], None
    try:
        table = csv.DictReader(io.StringIO(read_text(path)))
        rows = [{key: float(value) for key, value in row.items() if value != ""} for row in table]
        best = read_json(folder / MANIFEST)["best"]["epoch"] if (folder / MANIFEST).is_file() else None
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as a training's history ({error}); train again") from None
    return rows, None if best is None else int(best)
