"""Readers of captions beside their pictures: folders with `name.txt` files, and webdataset tars."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from captioner.data.captions import Captions
from captioner.data.readers.collect import Row, collect, without_marks
from captioner.data.readers.columns import CAPTION_COLUMNS, NotTextError, Texts, read_texts
from captioner.encoding import decode
from captioner.images.ids import EXTENSIONS
from captioner.images.listing import list_images
from captioner.storage import DataError, read_text

if TYPE_CHECKING:
    import tarfile

TEXT_SUFFIXES = (".txt", ".caption")
LARGEST_TEXT = 2**20  # bytes of one picture's captions in a tar, whose own sizes may be forged


def read_folder(path: str | Path) -> Captions:
    """Read a folder of pictures with `name.txt` beside `name.jpg`, one caption per line.

    Returns:
        the references of the pictures that have a text file, and the files of all pictures.

    Raises:
        DataError: there is no such folder, it has no pictures, or no picture has a text file beside it.
    """
    pictures = list_images(path)
    texts = {image_id: text for image_id, picture in pictures.items() if (text := text_beside(picture)) is not None}
    if not texts:
        raise DataError(
            f"{path}: no picture in it has a text file beside it (name.txt for name.jpg); name a caption file"
        )
    references = {image_id: _lines(read_text(text)) for image_id, text in texts.items()}
    references = {image_id: captions for image_id, captions in references.items() if captions}
    if not references:
        raise DataError(f"{path}: the text files beside its pictures are all empty; write one caption per line")
    return Captions(without_marks(path, references), pictures)


def text_beside(picture: Path) -> Path | None:
    """Return the file with the captions of `picture`, or None."""
    return next((text for suffix in TEXT_SUFFIXES if (text := picture.with_suffix(suffix)).is_file()), None)


def _lines(text: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in text.split("\n") if line.strip())


def read_webdataset(path: str | Path) -> Captions:
    """Read the captions of a webdataset tar: `key.jpg` and `key.txt`, or `key.json` with a caption in it.

    A picture's id is its name in the tar, as if the tar were unpacked. Nothing is written to the disk.

    Raises:
        DataError: the file cannot be read, is not a tar, or contains no captions.
    """
    # imports lzma and tarfile, which other commands do not need
    from captioner.tar_archives import BROKEN, fault_of, open_tar, require_end

    try:
        with open_tar(path) as archive:
            samples = list(_samples(path, archive))
            require_end(archive)
            return collect(path, samples)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; check the path") from None
    except (*BROKEN, OSError) as error:
        raise DataError(f"{path}: not a whole tar ({fault_of(error)}); download it again") from error


def _samples(path: str | Path, archive: tarfile.TarFile) -> Iterator[Row]:
    """Yield each picture's name and captions; the members of a sample follow one another."""
    key, picture, texts = "", "", dict[str, Texts]()

    def sample() -> Iterator[Row]:
        captions = next((found for found in texts.values() if found.captions), None)
        if captions is not None:
            yield Row(picture or key, captions.captions, listed=captions.listed)

    for member in archive:
        name, _, suffix = member.name.rpartition("/")[2].partition(".")
        if not member.isfile() or not name:
            continue
        stem = member.name[: len(member.name) - len(suffix) - 1].removeprefix("./")
        if stem != key:
            yield from sample()
            key, picture, texts = stem, "", {}
        if suffix.lower() in EXTENSIONS:
            picture = member.name.removeprefix("./")
        elif f".{suffix.lower()}" in (*TEXT_SUFFIXES, ".json"):
            texts[suffix.lower()] = _captions(path, archive, member)
    yield from sample()


def _captions(path: str | Path, archive: tarfile.TarFile, member: tarfile.TarInfo) -> Texts:
    if member.size > LARGEST_TEXT:
        raise DataError(f"{path}: {member.name} claims {member.size:,} bytes, too many for captions; remove it")
    file = archive.extractfile(member)
    data = b"" if file is None else file.read(LARGEST_TEXT)
    try:
        text = decode(data)
        if not member.name.lower().endswith(".json"):
            return Texts(list(_lines(text)))
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: {member.name} is not UTF-8 or not JSON ({error}); correct or remove it") from None
    known = content if isinstance(content, dict) else {}
    name = next((name for name in CAPTION_COLUMNS if name in known), "")
    value = known.get(name, [])
    if isinstance(value, list):  # tars from the web also contain values that are not captions
        value = [item for item in value if isinstance(item, str | list | dict)]
    try:
        texts = read_texts(value, name)
    except NotTextError:
        texts = Texts([])
    return texts._replace(captions=[text.strip() for text in texts.captions if text.strip()])
