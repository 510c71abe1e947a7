"""Many pictures in, captions out: files and folders, the unreadable ones named; results on disk for those who ask."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from captioner.config import ConfigError
from captioner.data.readers.coco import listed_pictures
from captioner.generation.caption import Caption
from captioner.images.decode import load_image
from captioner.images.listing import list_images
from captioner.picture_captioner import PICTURES_AT_ONCE, PictureCaptioner
from captioner.plots.pictures import LARGEST, attention_figure, attention_maps, captioned, to_png
from captioner.storage import DataError, write_bytes, write_text

SIZE = (LARGEST, LARGEST)  # pixels; what is drawn is no larger


@dataclass(frozen=True)
class Captioned:
    """A picture and its captions, best first."""

    path: Path
    captions: list[Caption]


def find_pictures(paths: Sequence[Path]) -> list[Path]:
    """Return the pictures meant by files and folders; a folder means all under it, COCO's JSON those that it lists.

    Raises:
        DataError: a path does not exist, a folder holds no picture, or what a JSON lists is not there.
    """
    pictures: list[Path] = []
    for path in paths:
        if path.is_dir():
            pictures += list_images(path).values()
        elif path.suffix.lower() == ".json":
            pictures += listed_pictures(path)
        elif path.exists():
            pictures.append(path)
        else:
            raise DataError(f"{path}: no such picture or folder")
    return pictures


def caption_pictures(
    captioner: PictureCaptioner,
    pictures: Sequence[Path],
    broken: Callable[[str], None],
    n: int = 1,
    **changes: Any,
) -> Iterator[Captioned]:
    """Yield the captions of one picture after another, in order, working on a few at a time.

    Args:
        captioner: the trained captioner.
        pictures: files.
        broken: takes the message of a picture that cannot be read; it is passed over.
        n, changes: see Captioner.caption.

    Raises:
        ConfigError, DataError: see Captioner.caption.
    """
    captioner.search(n, **captioner.widened(n, changes))  # an impossible setting is said before any picture is read
    for start in range(0, len(pictures), PICTURES_AT_ONCE):
        paths: list[Path] = []
        prepared: list[Any] = []
        for path in pictures[start : start + PICTURES_AT_ONCE]:
            try:
                prepared.append(captioner.prepare(path))
                paths.append(path)
            except DataError as error:
                broken(str(error))
        if prepared:
            yield from map(Captioned, paths, captioner.caption_batch(prepared, n, start, **changes))


class ResultsFolder:
    """A folder of pictures with their captions drawn underneath, and results.csv.

    Args:
        folder: made when the first picture is written.
        pictures: all that are to be captioned.

    Raises:
        ConfigError: one of the pictures lies there and could be written over.
    """

    def __init__(self, folder: Path, pictures: Sequence[Path]) -> None:
        self.folder = folder
        self._names = _names(folder, pictures, "--out")
        self._rows: list[list[Any]] = []

    def add(self, result: Captioned) -> None:
        """Draw a picture's captions and note them for results.csv."""
        name = f"{self._names[result.path]}.jpg"
        drawn = captioned(load_image(result.path, at_least=SIZE), [caption.text for caption in result.captions])
        file = io.BytesIO()
        drawn.save(file, "JPEG", quality=90)
        write_bytes(self.folder / name, file.getvalue())
        for rank, caption in enumerate(result.captions, start=1):
            self._rows.append([result.path, rank, caption.text, f"{caption.log_prob:.6f}", name])

    def write_table(self) -> None:
        """Write results.csv: file, rank, caption, log_prob, annotated (the file in this folder)."""
        table = io.StringIO()
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(["file", "rank", "caption", "log_prob", "annotated"])
        writer.writerows(self._rows)
        write_text(self.folder / "results.csv", table.getvalue())


class AttentionFolder:
    """A folder of what each word looked at: NAME.png the whole caption, NAME/01_word.png word by word.

    Args:
        folder: made when the first picture is written.
        pictures: all that are to be captioned.
        encoder: the description of the encoder that the attention's grid comes from.

    Raises:
        ConfigError: one of the pictures lies there and could be written over.
    """

    def __init__(self, folder: Path, pictures: Sequence[Path], encoder: dict[str, Any] | None) -> None:
        self.folder, self.encoder = folder, encoder
        self._names = _names(folder, pictures, "--attention")

    def add(self, result: Captioned) -> None:
        """Draw the attention of a picture's best caption.

        Raises:
            DataError: the model has none.
        """
        if not result.captions:
            return
        caption = result.captions[0]
        if caption.attention is None:
            raise DataError(
                "--attention: this model has none to draw, its architecture looks at no regions; leave it out"
            )
        picture = load_image(result.path, at_least=SIZE)
        name = self._names[result.path]
        write_bytes(self.folder / f"{name}.png", to_png(attention_figure(picture, caption, self.encoder)))
        maps = attention_maps(picture, caption, self.encoder)
        for place, (word, drawn) in enumerate(zip(caption.tokens, maps, strict=True), start=1):
            letters = "".join(letter if letter.isalnum() else "_" for letter in word)
            write_bytes(self.folder / name / f"{place:02}_{letters}.png", to_png(drawn))


def _names(folder: Path, pictures: Sequence[Path], option: str) -> dict[Path, str]:
    """Return what each picture's results are called: its name, numbered where several have the same."""
    names: dict[Path, str] = {}
    taken: set[str] = set()
    for path in pictures:
        if path.resolve().parent == folder.resolve():
            raise ConfigError(f"{option} {folder}: holds pictures that are to be captioned; name another folder")
        name, number = path.stem, 1
        while name.lower() in taken:
            number += 1
            name = f"{path.stem}-{number}"
        if path not in names:
            names[path] = name
            taken.add(name.lower())
    return names
