"""Caption pictures on a Ray cluster: each worker has a captioner and streams its captions back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from captioner.config import ConfigError
from captioner.extraction.config import ExtractionConfig
from captioner.extraction.ray_cluster import Portion, run_portions
from captioner.images.picture_list import PictureFiles
from captioner.run_folder import captioner_file
from captioner.stages.prediction_engine import Encoders, caption_local
from captioner.stages.prediction_outcomes import Outcome
from captioner.storage import DataError, digest_file


@dataclass(frozen=True)
class CaptioningJob:
    """The job of every worker.

    Attributes:
        models: absolute paths of the captioners' files; several are an ensemble.
        digests: of the files.
        precisions: of the captioner's encoders.
        config: threads and maximum picture size.
        n, settings: see `Captioner.caption_features`.
        at_least: see `Encoder.encode_layers`.
    """

    models: tuple[Path, ...]
    digests: tuple[str, ...]
    precisions: tuple[str, ...]
    config: ExtractionConfig
    n: int
    settings: Mapping[str, Any]
    at_least: int

    def build(self, node: str, threads: int) -> Callable[[Portion], Iterator[Outcome]]:
        """Return a function that captions a portion; see captioner.extraction.ray_cluster.Job.

        Raises:
            DataError: the model or its encoder's weights are missing on this node, or differ.
        """
        from captioner.captioner import load
        from captioner.ensemble import Ensemble

        for model, digest in zip(self.models, self.digests, strict=True):
            if not model.is_file():
                raise DataError(f"{model}: missing on node {node}; copy the model to this path on every node")
            if digest_file(model) != digest:
                raise DataError(f"{model}: differs on node {node}; copy the model there again")
        members = [load(model) for model in self.models]
        captioner = members[0] if len(members) == 1 else Ensemble(members, self.models)
        wide = captioner.find_encoders()
        narrow = [
            encoder if precision == "float32" else encoder.in_precision(precision)
            for encoder, precision in zip(wide, self.precisions, strict=True)
        ]
        encoders, config = Encoders(tuple(narrow), self.at_least), replace(self.config, threads=threads)

        def caption(portion: Portion) -> Iterator[Outcome]:
            for outcome in caption_local(
                captioner,
                encoders,
                portion,
                portion.batches(),
                config,
                self.n,
                self.settings,
                at_least=self.at_least,
                numbers=portion.places,
            ):
                yield replace(outcome, place=int(portion.places[outcome.place]))

        return caption


def caption_ray(
    encoders: Encoders,
    files: PictureFiles,
    batches: Iterable[np.ndarray],
    config: ExtractionConfig,
    n: int,
    settings: Mapping[str, Any],
    models: Sequence[Path],
    at_least: int,
) -> Iterator[Outcome]:
    """Yield the outcomes of the pictures in the order in which workers finish them.

    Pictures, models and weights must have the same paths on every node.

    Args:
        encoders: the encoders, whose precisions the workers use.
        files, batches, config, n, at_least: see `caption_local`.
        settings: see `Captioner.caption_features`.
        models: run folders or `.keras` files.

    Raises:
        ConfigError, DataError: see `run_portions`.
    """
    if not files.only_files:
        raise ConfigError(
            "engine: ray supports picture files only; use local for pictures in tar files or at addresses"
        )
    paths = tuple(captioner_file(model).resolve() for model in models)
    digests = tuple(map(digest_file, paths))
    precisions = tuple(encoder.description["precision"] for encoder in encoders.members)
    local = replace(config, engine="local", address=None)
    job = CaptioningJob(paths, digests, precisions, local, n, settings, at_least)
    here = Path.cwd()
    for outcome in run_portions(files, here, batches, job, config):
        fault = outcome.fault
        if fault is not None:  # name the picture as the user did
            listed = files.path(outcome.place)
            fault = fault.replace(str(here / listed), str(listed))
        yield replace(outcome, fault=fault)
