"""The confidence of a caption: the probability that it is good, computed from its log-probability.

A caption is good if its CIDEr-D is above the dev split's median, so 0.5 means "as good as this model usually is". The
probability comes from a logistic regression on the log-probability per word, the number of words and the agreement with
the captions of similar training pictures (Platt, "Probabilistic Outputs for Support Vector Machines", 1999, with three
inputs), fitted on the dev split after training.

On pictures unlike the training pictures, this probability is too high. It is lowered by the picture's strangeness. The
dev split has no such pictures, so the weight cannot be fitted: see UNFAMILIAR.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

FEWEST = 40  # fewest captions for a fit
RIDGE = 1.0  # keeps the weights finite if good and bad captions are perfectly separable
STEPS = 50
# The change of the logit for each standard deviation by which a picture is farther than usual from the training
# pictures; see configs/README.md.
UNFAMILIAR = -0.2
BINS = 10


@dataclass(frozen=True)
class Calibration:
    """A fitted calibration.

    Attributes:
        bias, per_word, words: the regression's weights: bias, log-probability per word, number of words.
        threshold: the CIDEr-D above which a caption counted as good.
        captions: the number of captions it was fitted on.
        unfamiliar: the weight of a picture's strangeness.
        consensus: the regression's weight of the caption's consensus.
    """

    bias: float
    per_word: float
    words: float
    threshold: float
    captions: int
    unfamiliar: float = 0.0
    consensus: float = 0.0

    def confidence(self, log_prob: float, words: int, strangeness: float = 0.0, consensus: float = 0.0) -> float:
        """Return the probability, 0 to 1, that a caption is good.

        Args:
            log_prob: its natural log-probability, including `<end>`.
            words: its number of words, without `<end>`.
            strangeness: the picture's strangeness, see captioner.training.familiarity.Familiarity.strangeness.
            consensus: see captioner.training.similar_pictures.SimilarPictures.consensus.
        """
        if not words or not math.isfinite(log_prob):
            return 0.0
        inner = self.bias + self.per_word * log_prob / (words + 1) + self.words * words
        inner += self.unfamiliar * strangeness + self.consensus * consensus
        return 1 / (1 + math.exp(-max(-30.0, min(30.0, inner))))


def fit(
    log_probs: Sequence[float],
    words: Sequence[int],
    scores: Sequence[float],
    strangeness: Sequence[float] = (),
    consensus: Sequence[float] = (),
) -> Calibration | None:
    """Fit a calibration; None if there are too few captions, or their scores do not differ.

    Args:
        log_probs: (captions,) as in `Calibration.confidence`.
        words: (captions,)
        scores: (captions,) CIDEr-D.
        strangeness: (captions,) of their pictures, if it is known.
        consensus: (captions,) if it is known.
    """
    lengths, raw = np.asarray(words, float), np.asarray(log_probs, float)
    kept = (lengths > 0) & np.isfinite(raw)
    score = np.asarray(scores, float)
    threshold = float(np.median(score)) if len(score) else 0.0
    good = (score > threshold)[kept].astype(float)  # (captions,)
    if len(good) < FEWEST or not 0.05 < good.mean() < 0.95:
        return None
    offset = UNFAMILIAR * np.asarray(strangeness, float)[kept] if len(strangeness) else np.zeros(len(good))
    agreement = np.asarray(consensus, float) if len(consensus) else np.zeros(len(raw))
    inputs = np.stack([raw / (lengths + 1), lengths, agreement], axis=1)[kept]  # (captions, 3)
    mean, spread = inputs.mean(axis=0), np.maximum(inputs.std(axis=0), 1e-6)
    design = np.concatenate([np.ones((len(good), 1)), (inputs - mean) / spread], axis=1)  # (captions, 4)
    weights, penalty = np.zeros(4), RIDGE * np.diag([0.0, 1.0, 1.0, 1.0])
    for _ in range(STEPS):  # Newton's method
        chance = 1 / (1 + np.exp(-np.clip(design @ weights + offset, -30, 30)))
        slope = design.T @ (good - chance) - penalty @ weights
        curve = (design * (chance * (1 - chance))[:, None]).T @ design + penalty
        step = np.linalg.solve(curve + 1e-9 * np.eye(4), slope)
        weights += step
        if np.abs(step).max() < 1e-8:
            break
    per_word, of_words, of_consensus = (float(weight) for weight in weights[1:] / spread)
    bias = float(weights[0] - weights[1:] / spread @ mean)
    unfamiliar = UNFAMILIAR if len(strangeness) else 0.0
    return Calibration(bias, per_word, of_words, threshold, len(good), unfamiliar, of_consensus)


@dataclass(frozen=True)
class Bin:
    """Captions with similar confidence.

    Attributes:
        confidence: their mean confidence.
        good: the share of captions whose score is above the threshold.
        captions: the number of captions.
    """

    confidence: float
    good: float
    captions: int


@dataclass(frozen=True)
class Reliability:
    """How well confidence predicts good captions.

    Attributes:
        bins: the reliability curve, sorted by confidence.
        error: the mean distance between confidence and the share of good captions over the bins, weighted by captions
            (expected calibration error; Guo et al., "On Calibration of Modern Neural Networks", 2017, eq. 3).
        rho: Spearman's rank correlation of confidence and score.
    """

    bins: tuple[Bin, ...]
    error: float
    rho: float


def reliability(confidences: Sequence[float], scores: Sequence[float], threshold: float) -> Reliability | None:
    """Return the reliability curve of captions in ten bins of equal size; None if there are too few captions."""
    sure, score = np.asarray(confidences, float), np.asarray(scores, float)
    if len(sure) < BINS:
        return None
    good, order = score > threshold, np.argsort(sure, kind="stable")
    bins = tuple(
        Bin(float(sure[part].mean()), float(good[part].mean()), len(part)) for part in np.array_split(order, BINS)
    )
    error = sum(abs(each.confidence - each.good) * each.captions for each in bins) / len(sure)
    return Reliability(bins, error, spearman(sure, score))


def spearman(one: Sequence[float] | np.ndarray, other: Sequence[float] | np.ndarray) -> float:
    """Return Spearman's rank correlation; ties get their mean rank; 0 if one side is constant."""
    ranks = [_ranks(np.asarray(values, float)) for values in (one, other)]
    centred = [each - each.mean() for each in ranks]
    norms = math.prod(float(np.linalg.norm(each)) for each in centred)
    return float(centred[0] @ centred[1]) / norms if norms else 0.0


def _ranks(values: np.ndarray) -> np.ndarray:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)  # (different values,)
    return (last - (counts - 1) / 2)[inverse]


def area_under_curve(positives: Sequence[float] | np.ndarray, negatives: Sequence[float] | np.ndarray) -> float:
    """Return the probability that a positive scores above a negative; ties count half (the area under the ROC)."""
    both = np.concatenate([np.asarray(positives, float), np.asarray(negatives, float)])
    count = len(positives)
    above = _ranks(both)[:count].sum() - count * (count + 1) / 2
    return float(above) / (count * (len(both) - count))
