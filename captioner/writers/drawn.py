"""Write folders of pictures with their captions drawn underneath, and of each word's attention."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from captioner.config import ConfigError
from captioner.output_places import DRAWINGS, JOB
from captioner.plots.pictures import LARGEST, attention_figure, attention_maps, captioned, to_png
from captioner.storage import DataError, digest_json, manifest_path, read_json, write_bytes, write_json, write_manifest
from captioner.writers.result import Captioned
from captioner.writers.targets import HopelessError, as_hopeless

SIZE = (LARGEST, LARGEST)  # pixels; maximum size of a drawing
TABLE = "results.csv"
COLUMNS = ["file", "rank", "caption", "log_prob", "confidence", "annotated"]


class ResultsFolder:
    """A folder of pictures with their captions drawn underneath, and results.csv, which grows row by row.

    The same command continues an interrupted run: pictures in the table are not captioned again.

    Args:
        folder: created when the first picture is written.
        pictures: all known pictures to caption.
        job: the model and settings that the captions depend on. A folder contains captions of one job.
        overwrite: replace the results of another job.

    Raises:
        ConfigError: one of the pictures is in the folder and could be overwritten.
        DataError: the folder contains captions of another job, or other files that would be overwritten.
    """

    def __init__(
        self, folder: Path, pictures: Iterable[Path], job: Mapping[str, Any] | None = None, overwrite: bool = False
    ) -> None:
        self.folder, self._job = folder, {"job": digest_json(job or {}), **(job or {})}
        self._done: set[str] = set()
        self._begun = False
        ours = (folder / JOB).is_file()
        rows = self._earlier_rows(overwrite)
        drawn = {row["file"]: Path(row["annotated"]).stem for row in rows}
        self._names = Names(folder, "--out", drawn)
        self._going_on = rows
        planned = [f"{self._names.of(path)}.jpg" for path in pictures if str(path) not in drawn]
        self._others = {path.name for path in folder.iterdir()} if not ours and folder.is_dir() else set()
        for name in (TABLE, *planned):
            self._require_own(name)

    def _require_own(self, name: str) -> None:
        if name in self._others:
            raise DataError(
                f"{self.folder / name}: already exists and was not written by captioner predict; name another folder"
            )

    def _earlier_rows(self, overwrite: bool) -> list[dict[str, str]]:
        """Return the rows of an earlier run of the same job, without the last picture's, which may be incomplete."""
        table = self.folder / TABLE
        if overwrite or not table.exists():
            return []
        try:
            job = read_json(self.folder / JOB)
        except DataError:
            job = None
        if not isinstance(job, dict) or job.get("job") != self._job["job"]:
            names = [name for name in self._job if name != "job" and isinstance(job, dict)]
            unlike = [
                f"{name}: {job.get(name)} against {self._job[name]}"
                for name in names
                if job.get(name) != self._job[name]
            ]
            because = f" ({'; '.join(unlike)})" if unlike else ""
            raise DataError(
                f"{table}: contains captions of another model or other settings{because}; name another folder, or "
                "--overwrite to replace them"
            )
        finished = manifest_path(table).exists()
        try:
            text = table.read_bytes().decode(errors="surrogateescape")  # names need not be UTF-8
            rows = list(csv.DictReader(io.StringIO(text, newline="")))
        except (OSError, csv.Error) as error:
            raise DataError(f"{table}: is broken ({error}); name another folder, or --overwrite") from None
        whole = [row for row in rows if None not in row.values() and None not in row]
        if whole and not finished:
            whole = [row for row in whole if row["file"] != whole[-1]["file"]]
        return whole

    def is_done(self, picture: Path) -> bool:
        """Return whether a picture was captioned by an earlier run of the same command."""
        if not self._done and self._going_on:
            self._done = {str(Path(row["file"])) for row in self._going_on}
        return str(picture) in self._done

    def _begin(self) -> None:
        if not self._begun:
            path = self.folder / TABLE
            self.folder.mkdir(parents=True, exist_ok=True)
            manifest_path(path).unlink(missing_ok=True)
            write_json(self.folder / JOB, self._job)
            text = io.StringIO()
            quoting = _quoting(row["file"] for row in self._going_on)
            writer = csv.DictWriter(
                text, COLUMNS, lineterminator="\n", extrasaction="ignore", restval="", quoting=quoting
            )
            writer.writeheader()
            writer.writerows(self._going_on)
            write_bytes(path, text.getvalue().encode(errors="surrogateescape"))
            self._begun = True

    def add(self, result: Captioned) -> None:
        """Draw a picture's captions and add them to results.csv."""
        name = f"{self._names.of_arriving(result)}.jpg"
        self._require_own(name)
        drawn = captioned(result.picture(SIZE), [caption.text for caption in result.captions])
        file = io.BytesIO()
        drawn.save(file, "JPEG", quality=90)
        try:
            self._begin()
            write_bytes(self.folder / name, file.getvalue())
            rows = io.StringIO()
            writer = csv.writer(rows, lineterminator="\n", quoting=_quoting([result.called]))
            for rank, caption in enumerate(result.captions, start=1):
                sure = "" if caption.confidence is None else f"{caption.confidence:.4f}"
                writer.writerow([result.called, rank, caption.text, f"{caption.log_prob:.6f}", sure, name])
            with (self.folder / TABLE).open("ab") as table:
                table.write(rows.getvalue().encode(errors="surrogateescape"))
        except DataError as error:
            raise as_hopeless(error) from error.__cause__
        except OSError as error:
            reason = error.strerror or error
            raise HopelessError(
                f"{self.folder}: cannot be written ({reason}); run the same command again to continue"
            ) from error

    def close(self) -> None:
        """Write the manifest, which marks the table as complete."""
        if not self._begun:
            return
        write_manifest(self.folder / TABLE, "predict", **self._job)


def _quoting(names: Iterable[str]) -> Literal[0, 1]:
    """Return csv's setting for rows with these names: with it alone, csv does not quote a carriage return."""
    return csv.QUOTE_ALL if any("\r" in name for name in names) else csv.QUOTE_MINIMAL


class AttentionFolder:
    """A folder of attention maps: NAME.png for the whole caption, NAME/01_word.png for each word.

    Args:
        folder: created when the first picture is written.
        pictures: all pictures to caption.
        encoder: the description of the encoder whose grid the attention refers to.

    Raises:
        ConfigError: one of the pictures is in the folder and could be overwritten.
        DataError: the folder contains other files that would be overwritten.
    """

    def __init__(self, folder: Path, pictures: Iterable[Path], encoder: dict[str, Any] | None) -> None:
        self.folder, self.encoder = folder, encoder
        self._names = Names(folder, "--attention")
        self._ours = self._marked = (folder / DRAWINGS).exists()
        for path in pictures:
            self._require_own(self._names.of(path))

    def _require_own(self, name: str) -> None:
        """Refuse to replace a picture, unless the words' maps are beside it: it is then a drawing without the mark."""
        whole = self.folder / f"{name}.png"
        if not self._ours and whole.exists() and not any((self.folder / name).glob("01_*.png")):
            raise DataError(f"{whole}: already exists and was not drawn by captioner predict; name another folder")

    def add(self, result: Captioned) -> None:
        """Draw the attention of a picture's best caption.

        Raises:
            DataError: the model has no attention.
        """
        if not result.captions:
            return
        caption = result.captions[0]
        if caption.attention is None:
            raise DataError(
                "--attention: this model's architecture has no attention over picture regions; leave it out"
            )
        picture = result.picture(SIZE)
        name = self._names.of_arriving(result)
        self._require_own(name)
        if not self._marked:
            write_json(self.folder / DRAWINGS, {"stage": "predict"})
            self._marked = True
        write_bytes(self.folder / f"{name}.png", to_png(attention_figure(picture, caption, self.encoder)))
        maps = attention_maps(picture, caption, self.encoder)
        for place, (word, drawn) in enumerate(zip(caption.tokens, maps, strict=True), start=1):
            letters = "".join(letter if letter.isalnum() else "_" for letter in word)
            write_bytes(self.folder / name / f"{place:02}_{letters}.png", to_png(drawn))

    def close(self) -> None:
        """See Writer.close."""


class Names:
    """The names of results in a folder: the picture's name, with a number if several pictures have the same name.

    Args:
        folder: folder of the results.
        option: the option that names the folder, for messages.
        known: file -> name, from an earlier run.
    """

    def __init__(self, folder: Path, option: str, known: Mapping[str, str] | None = None) -> None:
        self._folder, self._option = folder, option
        self._names = dict(known or {})
        self._taken = {name.lower() for name in self._names.values()}
        self._safe: set[Path] = set()

    def of(self, path: Path, called: str = "") -> str:
        """Return the name of a picture's results.

        Args:
            path: path of the picture.
            called: the picture's name, if it is not a path.

        Raises:
            ConfigError: the picture is in the folder and could be overwritten.
        """
        if path.parent not in self._safe:
            if path.resolve().parent == self._folder.resolve():
                raise ConfigError(f"{self._option} {self._folder}: contains pictures to caption; name another folder")
            if not path.is_symlink():
                self._safe.add(path.parent)
        if (name := self._names.get(called or str(path))) is not None:
            return name
        name, number = path.stem, 1
        while name.lower() in self._taken:
            number += 1
            name = f"{path.stem}-{number}"
        self._names[called or str(path)] = name
        self._taken.add(name.lower())
        return name

    def of_arriving(self, result: Captioned) -> str:
        """Return the name of a picture's results; an error of a picture that arrives during a run does not end it.

        Raises:
            DataError: the picture is in the folder and could be overwritten.
        """
        try:
            return self.of(result.path, result.called)
        except ConfigError as error:
            raise DataError(f"{result.called}: cannot be drawn ({error})") from None
