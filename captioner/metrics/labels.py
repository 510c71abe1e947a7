"""Names and formats of scores for people: BLEU and similar scores are multiplied by 100, as in papers."""

from __future__ import annotations

from collections.abc import Mapping

_LABELS = {
    "rouge_l": "ROUGE-L",
    "cider_d": "CIDEr-D",
    "meteor": "METEOR",
    "distinct_1": "distinct-1",
    "distinct_2": "distinct-2",
    "vocabulary": "vocabulary",
    "mean_length": "length",
    "novel": "novel captions",
    "find_r1": "find R@1",
    "find_r5": "find R@5",
    "find_r10": "find R@10",
    "find_median_rank": "find median rank",
    "tell_r1": "tell R@1",
    "tell_r5": "tell R@5",
    "tell_r10": "tell R@10",
    "tell_median_rank": "tell median rank",
}
_FORMATS = {  # the others are fractions
    "distinct_1": "{:.4f}",
    "distinct_2": "{:.4f}",
    "vocabulary": "{:,.0f} words",
    "mean_length": "{:.2f} words",
    "find_median_rank": "{:.0f}",
    "tell_median_rank": "{:.0f}",
}


def label(key: str) -> str:
    """Return a score's name: `bleu_4` is BLEU-4, `oracle_bleu_4` is oracle BLEU-4."""
    if key.startswith("oracle_"):
        return f"oracle {label(key.removeprefix('oracle_'))}"
    return _LABELS.get(key, key.replace("_", "-").upper())


def show(key: str, value: float) -> str:
    """Return a score as text."""
    if key == "novel":
        return f"{100 * value:.2f} %"
    return _FORMATS[key].format(value) if key in _FORMATS else f"{100 * value:.2f}"


def describe(scores: Mapping[str, float]) -> str:
    """Return scores on one line."""
    return "  ".join(f"{label(key)} {show(key, value)}" for key, value in scores.items())


def describe_intervals(scores: Mapping[str, float], intervals: Mapping[str, tuple[float, float]], level: float) -> str:
    """Return scores as a table, with confidence intervals where they exist."""
    labels, values = [label(key) for key in scores], [show(key, value) for key, value in scores.items()]
    wide, deep = max(map(len, labels)), max(map(len, [*values, "score"]))
    lines = [f"{'':{wide}}  {'score':>{deep}}  {100 * level:g} % interval"]
    for key, name, value in zip(scores, labels, values, strict=True):
        between = " to ".join(show(key, end) for end in intervals[key]) if key in intervals else ""
        lines.append(f"{name:{wide}}  {value:>{deep}}  {between}".rstrip())
    return "\n".join(lines)
