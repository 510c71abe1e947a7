"""Retrieval metrics of a captioner: finding pictures by a caption, and captions by a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from captioner.captioner import Captioner
from captioner.generation.caption import Caption
from captioner.generation.likelihood import Likelihood
from captioner.generation.padding import log_mean_exp
from captioner.metrics.retrieval import ranks_of, recalls
from captioner.progress import Progress
from captioner.stages.picture_index import KEPT, LEAST, MAX_LENGTH
from captioner.text.cleaning import clean_caption
from captioner.text.english import FUNCTION_WORDS

LOOKED_AT = 200  # captions that the decoder scores for each picture: those with the best word scores
OTHERS = 64  # pictures for estimating log p(caption)
AT_ONCE = 64  # pictures


def retrieval(
    captioner: Captioner,
    captions: Mapping[str, Caption],
    references: Mapping[str, Sequence[str]],
    features: Any,
    looked_at: int = LOOKED_AT,
    seed: int = 0,
) -> dict[str, float]:
    """Return recall at 1, 5 and 10 and the median rank: `find_` for pictures by a caption, `tell_` for the opposite.

    The captions are the first reference of each picture. They are ranked by log p(caption | picture) -
    log p(caption). As in `captioner find`, word scores select the candidates that the decoder scores.

    Args:
        captioner: the trained captioner.
        captions: image_id -> the model's caption.
        references: image_id -> raw references.
        features: of the pictures, with `gather`.
        looked_at: number of captions that the decoder scores for each picture.
        seed: of the random sample of pictures for log p(caption).
    """
    ids, vocabulary = list(captions), captioner.vocabulary
    texts = [vocabulary.encode(clean_caption(references[image_id][0], vocabulary.rules)) for image_id in ids]
    likelihood = Likelihood(captioner.decoder, MAX_LENGTH)
    tokens = likelihood.padded(texts)  # (pictures, time)
    own = likelihood.padded([vocabulary.encode(captions[image_id].tokens) for image_id in ids])
    telling = [
        np.array([number for number in set(text[1:-1]) if vocabulary.words[number] not in FUNCTION_WORDS], int)
        for text in texts
    ]
    count = min(looked_at, len(ids))
    scores = np.full((len(ids), len(ids)), -np.inf, np.float32)  # (captions, pictures)
    places = np.sort(np.random.default_rng(seed).permutation(len(ids))[:OTHERS])
    usual = log_mean_exp(likelihood.of_all(features.gather([ids[place] for place in places]), tokens), axis=0)
    with Progress("compared", len(ids), "pictures") as progress:
        for start in range(0, len(ids), AT_ONCE):
            rows = slice(start, start + AT_ONCE)
            batch = features.gather(ids[rows])
            chances = likelihood.words(batch, own[rows])  # (pictures, words)
            kept = np.partition(chances, -min(KEPT, chances.shape[1]), axis=1)[:, -min(KEPT, chances.shape[1])]
            logs = np.log(np.maximum(np.where(chances >= kept[:, None], chances, 0.0), LEAST))
            cheap = np.stack([logs[:, words].mean(axis=1) if len(words) else logs.min(axis=1) for words in telling], 1)
            best = np.argpartition(-cheap, count - 1, axis=1)[:, :count]  # (pictures, captions)
            found = likelihood.of_pairs(batch, tokens[best]) - usual[best]
            for offset, (columns, values) in enumerate(zip(best, found, strict=True)):
                scores[columns, start + offset] = values
            progress.advance(len(found))
    right = np.arange(len(ids))
    return {**recalls(ranks_of(scores, right), "find"), **recalls(ranks_of(scores.T, right), "tell")}
