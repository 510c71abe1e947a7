"""Caption any number of pictures: connects the pictures, the engine and the writers of the captions."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from captioner.extraction.config import ExtractionConfig
from captioner.generation.caption import Caption
from captioner.images.picture_list import PictureFiles
from captioner.loading import Named
from captioner.picture_captioner import PictureCaptioner
from captioner.progress import Progress
from captioner.stages.prediction_inputs import Arriving, batches_of
from captioner.stages.prediction_outcomes import Outcome, caption_plainly
from captioner.storage import DataError
from captioner.writers.result import Captioned, Writer
from captioner.writers.targets import HopelessError

logger = logging.getLogger(__name__)

LONG = 32  # progress is shown from this number of pictures on

Styled = Callable[[Caption], Caption]


class Skipper(Protocol):
    """A writer that knows which pictures already have their captions."""

    def is_done(self, picture: Path) -> bool:
        """Return whether this writer has nothing to write for a picture."""
        ...


@dataclass
class Summary:
    """The results of a run.

    Attributes:
        captioned: number of captioned pictures.
        kept: number of pictures that were skipped because they were done.
        broken: number of pictures that could not be read, or whose captions could not be written.
        unsure: pictures without a caption because the confidence was too low, with that confidence.
    """

    captioned: int = 0
    kept: int = 0
    broken: int = 0
    unsure: list[tuple[Path, float]] = field(default_factory=list)


def predict(
    captioner: PictureCaptioner,
    files: PictureFiles,
    writers: Sequence[Writer],
    *,
    skippers: Sequence[Skipper] = (),
    arriving: Arriving | None = None,
    n: int = 1,
    changes: Mapping[str, Any] | None = None,
    config: ExtractionConfig | None = None,
    models: Sequence[Named] = (),
    styled: Styled | None = None,
    unsure: float | None = None,
    broken: Callable[[str], None],
) -> Summary:
    """Caption pictures; the captions of each picture go to the writers as soon as they are ready.

    Args:
        captioner: the trained captioner.
        files: the pictures; arriving pictures are appended.
        writers: receive the captions.
        skippers: writers that know which pictures are done; pictures that are done for all of them are skipped.
        arriving: paths that arrive during the run.
        n, changes: see `Captioner.caption`.
        config: batches, threads, precision and engine.
        models: the models' names, from which a cluster's workers load the captioner.
        styled: changes a caption's text.
        unsure: pictures whose best caption has a lower confidence get no captions.
        broken: called with a message for each picture that cannot be read or written; the others are captioned.

    Raises:
        ConfigError, DataError: see `Captioner.caption`.
        HopelessError: no further results can be written.
    """
    config, summary = config or ExtractionConfig(), Summary()
    settings = captioner.widened(n, changes or {})
    captioner.wide_search(n, **settings)  # reports an impossible setting before any picture is read
    if unsure is not None and captioner.calibration is None:
        raise DataError("--unsure: this model has no confidence estimate; leave --unsure out, or use another model")
    wanted = _wanted(files, skippers)
    summary.kept = len(files) - int(wanted.sum())
    if summary.kept:
        logger.info(f"{summary.kept:,} of {len(files):,} pictures already have captions")
    if not wanted.any() and arriving is None:
        return summary
    total = int(wanted.sum()) if arriving is None else None
    outcomes = _outcomes(captioner, files, wanted, arriving, n, settings, config, models)
    with closing(outcomes), ExitStack() as shown:
        few = total is not None and total < LONG
        progress = None if few else shown.enter_context(Progress("captioned", total, "pictures"))
        for outcome in outcomes:
            path = files.path(outcome.place)
            if outcome.fault is not None:
                summary.broken += 1
                broken(outcome.fault)
            elif arriving is not None and skippers and all(each.is_done(path) for each in skippers):
                summary.kept += 1
            else:
                _write(_named(files, outcome.place), outcome, writers, styled, unsure, summary, broken)
            if progress is not None:
                progress.advance(1)
    return summary


def _wanted(files: PictureFiles, skippers: Sequence[Skipper]) -> np.ndarray:
    """Return which pictures to caption, (files,) bool."""
    if not skippers:
        return np.ones(len(files), bool)
    return np.fromiter((not all(each.is_done(path) for each in skippers) for path in files), bool, len(files))


def _outcomes(
    captioner: PictureCaptioner,
    files: PictureFiles,
    wanted: np.ndarray,
    arriving: Arriving | None,
    n: int,
    settings: Mapping[str, Any],
    config: ExtractionConfig,
    models: Sequence[Named],
) -> Generator[Outcome]:
    count = int(wanted.sum())
    if captioner.batch_size is not None:
        if config.batch_size != "auto":
            captioner.batch_size = config.batch_size
        batches = batches_of(files, wanted, arriving, captioner.batch_size)
        yield from caption_plainly(captioner, files, batches, n, settings)
        return
    import keras

    from captioner.captioner import Captioner
    from captioner.stages.prediction_engine import caption_local, choose_encoders

    assert isinstance(captioner, Captioner)
    encoders = choose_encoders(captioner, files, wanted, config)
    size = min(encoders.batch_size, max(1, count)) if arriving is None else encoders.batch_size
    batches = batches_of(files, wanted, arriving, size)
    at_least = size if count > size else 0
    if config.engine == "ray":
        from captioner.stages.prediction_ray import caption_ray

        logger.info(f"captioning {count:,} pictures on a Ray cluster in {encoders.precisions}")
        yield from caption_ray(encoders, files, batches, config, n, settings, [*map(Path, models)], at_least)
        return
    if count >= LONG:
        where = keras.distribution.list_devices()[0]
        logger.info(f"captioning {count:,} pictures on {where} in {encoders.precisions}, {size} at a time")
    yield from caption_local(captioner, encoders, files, batches, config, n, settings, at_least=at_least)


def _named(files: PictureFiles, place: int) -> Captioned:
    """Return a picture for the writers, without captions yet."""
    path, name = files.path(place), files.name(place)
    if str(path) == name and files.only_files:
        return Captioned(path, ())

    def content() -> bytes:
        found = files.content(place)
        return path.read_bytes() if found is None else found

    return Captioned(path, (), name, content)


def _write(
    picture: Captioned,
    outcome: Outcome,
    writers: Sequence[Writer],
    styled: Styled | None,
    unsure: float | None,
    summary: Summary,
    broken: Callable[[str], None],
) -> None:
    captions = list(outcome.captions)
    if unsure is not None and captions and (captions[0].confidence or 0.0) < unsure:
        summary.unsure.append((picture.path, captions[0].confidence or 0.0))
        captions = []
    if styled is not None:
        captions = [styled(caption) for caption in captions]
    result = replace(picture, captions=captions)
    fine = True
    for writer in writers:
        try:
            writer.add(result)
        except HopelessError:
            raise
        except DataError as error:
            fine = False
            broken(str(error))
    summary.broken += not fine
    summary.captioned += fine and bool(captions)


def with_text(caption: Caption, text: str) -> Caption:
    """Return a caption with another text; its words and log-probability remain the model's."""
    return replace(caption, text=text)
