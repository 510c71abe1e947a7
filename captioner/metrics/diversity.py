"""What captions are like, whatever the references say: their variety, novelty and length."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from captioner.metrics.ngrams import count_ngrams


def diversity(
    candidates: Sequence[Sequence[str]], training: Collection[tuple[str, ...]] | None = None
) -> dict[str, float]:
    """Return the variety of a corpus' captions.

    `distinct_1` and `distinct_2` are distinct words and pairs of words over all of them (Li et al. 2016,
    arXiv:1510.03055), fractions that fall as a corpus grows; `vocabulary` counts the distinct words,
    `mean_length` the words of a caption, and `novel` is the share of captions that are not among those of the training.

    Args:
        candidates: the tokenized captions, one or more.
        training: the tokenized captions of the training; None leaves `novel` out.
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
