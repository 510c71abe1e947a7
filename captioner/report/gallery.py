"""Pages of thumbnails: the results of a search, and captions to be accepted, corrected or thrown out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Protocol

from captioner.report.pictures import embed_pictures
from captioner.storage import digest_json, write_text


class FoundLike(Protocol):
    """The part of captioner.stages.find.FoundPicture that a gallery shows."""

    @property
    def path(self) -> Path:
        """Return the picture's file."""
        ...

    @property
    def score(self) -> float:
        """Return how well the text fits the picture."""
        ...

    @property
    def caption(self) -> str:
        """Return the model's caption of the picture."""
        ...


class DoubtLike(Protocol):
    """The part of captioner.stages.doubt.Doubt that a gallery shows."""

    @property
    def image_id(self) -> str:
        """Return the picture's id."""
        ...

    @property
    def number(self) -> int:
        """Return the index of the caption among the picture's captions."""
        ...

    @property
    def caption(self) -> str:
        """Return the caption."""
        ...

    @property
    def score(self) -> float:
        """Return how well the caption fits the picture."""
        ...


def write_found(text: str, found: Sequence[FoundLike], path: Path) -> None:
    """Write a page of the pictures that a text has found, best first; the file is written atomically."""
    pictures = embed_pictures({str(each.path): each.path for each in found})
    cards = []
    for rank, each in enumerate(found, start=1):
        if (shown := pictures.get(str(each.path))) is None:
            continue
        cards.append(
            f'<figure><a href="{escape(each.path.resolve().as_uri())}"><img src="{shown.source}" width="{shown.width}" '
            f'height="{shown.height}" alt="{escape(each.caption)}"></a><figcaption><b>{rank}. {each.score:.2f}</b> '
            f"{escape(each.path.name)}<br>{escape(each.caption)}</figcaption></figure>"
        )
    _write(path, "found.html", title=escape(text), cards="\n".join(cards))


def write_doubts(
    doubts: Sequence[DoubtLike], captions: Mapping[str, Sequence[str]], paths: Mapping[str, Path], path: Path, name: str
) -> None:
    """Write a page on which captions can be accepted, corrected or thrown out, and saved as a file.

    Args:
        doubts: the captions to show, worst first.
        captions: all captions; the saved file contains them without those thrown out.
        paths: image_id -> the picture's file.
        path: path of the page.
        name: name of the file that the page saves.
    """
    ids = list(dict.fromkeys(each.image_id for each in doubts))
    pictures = embed_pictures({image_id: paths[image_id] for image_id in ids if image_id in paths})
    rows = [
        {
            "id": each.image_id,
            "number": each.number,
            "caption": each.caption,
            "score": round(each.score, 2),
            "others": [text for number, text in enumerate(captions[each.image_id]) if number != each.number],
        }
        for each in doubts
    ]
    texts = {image_id: list(each) for image_id, each in captions.items()}
    data = {
        "name": name,
        "digest": digest_json(texts),
        "rows": rows,
        "pictures": {image_id: shown._asdict() for image_id, shown in pictures.items()},
        "captions": texts,
    }
    # "<" is escaped, so that a caption cannot end the script
    _write(path, "doubts.html", title=escape(name), data=json.dumps(data, ensure_ascii=False).replace("<", "\\u003c"))


def _write(path: Path, template: str, **values: str) -> None:
    page = Template((files("captioner.report") / "static" / template).read_text(encoding="utf-8"))
    write_text(path, page.substitute(values))
