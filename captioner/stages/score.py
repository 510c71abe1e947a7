"""Score captions made elsewhere. Needs no Keras."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from captioner.config import ConfigError
from captioner.data.dataset import read_captions
from captioner.data.readers.pairs import read_pairs
from captioner.metrics.config import CORPUS, EvaluationConfig, frequencies_of, scoring_settings
from captioner.metrics.scorer import ORACLE, RETRIEVAL, Scores, score
from captioner.results import digests_of, require_own_scores, write_scores
from captioner.run_folder import SCORES
from captioner.storage import DataError, digest_file, write_manifest

logger = logging.getLogger(__name__)


def score_files(
    predictions: Path,
    references: Sequence[Path],
    config: EvaluationConfig,
    output: Path,
    *,
    parallel: bool = False,
    every: bool = False,
    training: Path | None = None,
) -> Scores:
    """Score captions made elsewhere, and write scores.json and per_image.csv to `output`.

    Args:
        predictions: see captioner.data.readers.pairs.read_pairs.
        references: see captioner.data.readers.pairs.read_pairs.
        config: the scoring settings; the split and n are ignored.
        output: folder for the results.
        parallel: whether a single text file of references contains plain captions, one line per candidate.
        every: fail if a reference has no prediction.
        training: a caption file; the metric `diversity` counts the predictions that are not in it.

    Raises:
        ConfigError: a metric is not known.
        DataError: a file cannot be used, a prediction has no references, or with `every`, a reference has no
            prediction.
    """
    if RETRIEVAL in config.metrics:
        raise ConfigError("retrieval: scores a model, not captions made elsewhere; name a run folder")
    require_own_scores(output, with_predictions=False)
    pairs = read_pairs(predictions, references, lists=ORACLE in config.metrics, parallel=parallel)
    frequencies = frequencies_of(config.cider_df)
    known = None if training is None else [text for texts in read_captions(training).values() for text in texts]
    try:
        scores = score(
            pairs.candidates,
            pairs.references,
            config.metrics,
            alternatives=pairs.alternatives,
            cider_df=frequencies,
            training=known,
            confidence=config.confidence,
        )
    except DataError as error:
        raise DataError(f"{predictions}: {error}") from None
    if unmatched := [image_id for image_id in pairs.references if image_id not in pairs.candidates]:
        message = f"{len(unmatched):,} of the {len(pairs.references):,} pictures in {references[0]} have no prediction"
        if every:
            raise DataError(f"{predictions}: {message}, first {unmatched[0]!r}; caption them too, or leave out --all")
        logger.info(f"{message} and are left out")
    for note in scores.notes:
        logger.warning(note)
    write_scores(scores, pairs.candidates, output, {} if config.cider_df == CORPUS else {"cider_df": config.cider_df})
    digests = {"predictions": digest_file(predictions), "captions": [digest_file(path) for path in references]}
    files = digests_of(output)
    write_manifest(
        output / SCORES, "evaluate", skipped=scores.skipped, files=files, **scoring_settings(config), **digests
    )
    return scores
