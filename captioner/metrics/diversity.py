"""Properties of captions that do not depend on references: variety, novelty and length."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from captioner.metrics.ngrams import count_ngrams


def diversity(
    candidates: Sequence[Sequence[str]], training: Collection[tuple[str, ...]] | None = None
) -> dict[str, float]:
    """Return measures of the variety of captions.

    `distinct_1` and `distinct_2` are the numbers of distinct words and of distinct word pairs, divided by all words and
    pairs (Li et al. 2016, arXiv:1510.03055); they fall as a corpus grows. `vocabulary` is the number of distinct words,
    `mean_length` the mean number of words of a caption, and `novel` the share of captions that are not training
    captions.

    Args:
        candidates: the tokenized captions, one or more.
        training: the tokenized training captions; None leaves `novel` out.
    """
    lengths, (words, pairs, *_) = count_ngrams(candidates)
    scores = {
        "distinct_1": len(words.key) / max(1, int(words.times.sum())),
        "distinct_2": len(pairs.key) / max(1, int(pairs.times.sum())),
        "vocabulary": float(len(words.key)),
        "mean_length": float(lengths.mean()),
    }
    if training is not None:
        scores["novel"] = sum(tuple(tokens) not in training for tokens in candidates) / len(candidates)
    return scores
