"""Retrieval by a captioner: pictures by a caption, and captions by a picture, as numbers that can be compared."""

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

LOOKED_AT = 200  # captions that the decoder weighs for each picture, the best by their words
OTHERS = 64  # pictures that log p(caption) is estimated on
AT_ONCE = 64  # pictures


def retrieval(
    captioner: Captioner,
    captions: Mapping[str, Caption],
    references: Mapping[str, Sequence[str]],
    features: Any,
    looked_at: int = LOOKED_AT,
    seed: int = 0,
) -> dict[str, float]:
    """Return recall at 1, 5 and 10 and the median rank: `find_` of pictures by a caption, `tell_` of the opposite.

    The captions are each picture's first reference, one apiece. They are ranked by log p(caption | picture) -
    log p(caption). As `captioner find` does it, words alone choose what the decoder looks at.

    Args:
        captioner: the trained captioner.
        captions: image_id -> what it says of the picture.
        references: image_id -> raw references.
        features: of the pictures, with `gather`.
        looked_at: captions that the decoder weighs for each picture.
        seed: of the choice of pictures that represent all.
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
