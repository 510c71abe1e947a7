"""Find captions that probably do not match their picture: log p(caption | picture) - log p(caption), lowest first."""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from captioner.captioner import Captioner
from captioner.features.store import FeatureStore
from captioner.generation.likelihood import Likelihood
from captioner.generation.padding import log_mean_exp
from captioner.metrics.calibration import area_under_curve
from captioner.progress import Progress
from captioner.stages.picture_index import MAX_LENGTH
from captioner.storage import DataError, remove_manifest, write_manifest, write_text
from captioner.text.cleaning import clean_caption
from captioner.text.vocabulary import UNK

logger = logging.getLogger(__name__)

HEADER = ["image_id", "number", "score", "caption"]  # of the table
STAGE = "doubt"
OTHERS = 16  # pictures for estimating p(caption)
AT_ONCE = 32  # pictures


@dataclass(frozen=True)
class Doubt:
    """A caption and how well it fits its picture.

    Attributes:
        image_id: of the picture.
        number: index among the picture's captions, from 0 on.
        caption: the unchanged caption of the source.
        score: log p(caption | picture) - log p(caption), in nats; below 0, it fits other pictures better.
    """

    image_id: str
    number: int
    caption: str
    score: float


@dataclass(frozen=True)
class Doubts:
    """The scored captions.

    Attributes:
        captions: all scored captions, worst first.
        area: how often a picture's own caption scores higher than another picture's (area under the ROC curve).
        unweighed: number of captions without any word that the model knows.
    """

    captions: list[Doubt]
    area: float
    unweighed: int


def doubt(captioner: Captioner, captions: Mapping[str, Sequence[str]], features: FeatureStore, seed: int = 0) -> Doubts:
    """Score every caption for its picture against other pictures.

    Args:
        captioner: the trained captioner.
        captions: image_id -> the unchanged captions of the source.
        features: of the pictures; captions of other pictures are not scored.
        seed: of the random choice of other pictures.

    Raises:
        DataError: no picture of the captions has features, or there are too few to compare with.
    """
    ids = [image_id for image_id in captions if image_id in features and captions[image_id]]
    if len(ids) < 2:
        raise DataError(
            f"{features.path}: contains {len(ids)} of the {len(captions):,} captioned pictures, but two are needed; "
            "name the folder that the captions belong to"
        )
    likelihood, vocabulary = Likelihood(captioner.decoder, MAX_LENGTH), captioner.vocabulary
    draw = np.random.default_rng(seed)
    background = features.gather([ids[place] for place in np.sort(draw.permutation(len(ids))[:OTHERS])])
    found: list[Doubt] = []
    own: list[float] = []
    foreign: list[float] = []
    unweighed = 0
    with Progress("scored", len(ids), "pictures") as progress:
        for start in range(0, len(ids), AT_ONCE):
            part = ids[start : start + AT_ONCE]
            rows = [
                (image_id, number, text, vocabulary.encode(clean_caption(text, vocabulary.rules)))
                for image_id in part
                for number, text in enumerate(captions[image_id])
            ]
            known = [row for row in rows if any(token > UNK for token in row[3])]
            unweighed += len(rows) - len(known)
            if known:
                tokens = likelihood.padded([row[3] for row in known])  # (captions, time)
                here = _of_own(likelihood, features, part, known, tokens)  # (captions,)
                there = likelihood.of_all(background, tokens)  # (others, captions)
                usual = log_mean_exp(there, axis=0)
                found += [Doubt(*row[:3], float(score)) for row, score in zip(known, here - usual, strict=True)]
                own += (here - usual).tolist()
                foreign += (there[draw.integers(len(there), size=len(known)), np.arange(len(known))] - usual).tolist()
            progress.advance(len(part))
    if not found:
        raise DataError("the model knows no word of these captions; choose a model trained in their language")
    return Doubts(sorted(found, key=lambda each: each.score), area_under_curve(own, foreign), unweighed)


def _of_own(
    likelihood: Likelihood,
    features: FeatureStore,
    ids: Sequence[str],
    rows: Sequence[tuple[str, int, str, list[int]]],
    tokens: np.ndarray,
) -> np.ndarray:
    """Return log p(caption | own picture) of each caption, (captions,)."""
    place = {image_id: at for at, image_id in enumerate(ids)}
    most = max(sum(row[0] == image_id for row in rows) for image_id in ids)
    several = np.zeros((len(ids), most, tokens.shape[1]), np.int32)  # (pictures, captions, time), padded with <pad>
    at, filled = [], [0] * len(ids)
    for row, text in zip(rows, tokens, strict=True):
        picture = place[row[0]]
        several[picture, filled[picture]] = text
        at.append((picture, filled[picture]))
        filled[picture] += 1
    found = likelihood.of_pairs(features.gather(ids), several)
    return np.array([found[spot] for spot in at])


def require_table(path: Path) -> None:
    """Refuse to overwrite a file that is not a table of doubts. Raises DataError."""
    if path.is_file():
        with path.open("rb") as file:
            head = file.read(100)
        if head and not head.startswith(",".join(HEADER).encode()):
            raise DataError(f"{path}: already exists and is not a table of doubts; name another folder with -o")


def write_table(found: Doubts, path: Path) -> None:
    """Write image_id, number, score and caption of every scored caption, worst first."""
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(HEADER)
    for each in found.captions:
        writer.writerow([each.image_id, each.number, f"{each.score:.4f}", each.caption])
    write_text(path, table.getvalue())


def without(captions: Mapping[str, Sequence[str]], thrown_out: Sequence[Doubt]) -> dict[str, list[str]]:
    """Return the captions without the thrown-out ones; pictures without a remaining caption are left out."""
    gone = {(each.image_id, each.number) for each in thrown_out}
    kept = {
        image_id: [text for number, text in enumerate(texts) if (image_id, number) not in gone]
        for image_id, texts in captions.items()
    }
    return {image_id: texts for image_id, texts in kept.items() if texts}


def write_captions(captions: Mapping[str, Sequence[str]], path: Path) -> None:
    """Write captions in the format of Flickr's token file, one `image_id#0<TAB>caption` per line, with a manifest."""
    remove_manifest(path)
    lines = [
        f"{image_id}#{number}\t{' '.join(text.split())}\n"
        for image_id, texts in captions.items()
        for number, text in enumerate(texts)
    ]
    write_text(path, "".join(lines))
    write_manifest(path, STAGE)
