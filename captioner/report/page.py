"""Write a report as one HTML file that contains its text, charts, pictures, style sheet and script."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

import numpy as np

from captioner import __version__
from captioner.metrics.bootstrap import LEVEL
from captioner.metrics.labels import label, show
from captioner.plots.charts import Series, columns, curves, nice_step
from captioner.plots.history import charts_of
from captioner.report.gather import Report
from captioner.storage import write_text

HIGHLIGHTS = 6  # number of best and of worst pictures at the top
BARS = 40  # maximum number of bars in the histogram of scores
LONGEST = 25  # words; longer captions are counted in the last bar


def write_page(report: Report, path: Path) -> None:
    """Write the page atomically."""
    static = files("captioner.report") / "static"
    template = Template((static / "page.html").read_text(encoding="utf-8"))
    page = template.substitute(
        name=escape(report.name),
        facts="".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in report.facts),
        scores="".join(_score(report, key) for key in report.corpus),
        scores_note=_scores_note(report),
        evaluations=_evaluations(report),
        training=_training(report),
        ranked_by=escape(label(report.ranked_by)),
        ranks=_ranks(report),
        lengths=_lengths(*report.lengths),
        words=_words(report.words),
        unsaid=_unsaid(report.unsaid),
        all_title=_all_title(report),
        data=_data(report),
        version=escape(__version__),
        style=(static / "style.css").read_text(encoding="utf-8"),
        script=(static / "script.js").read_text(encoding="utf-8"),
    )
    write_text(path, page)


def _score(report: Report, key: str) -> str:
    value, _, unit = show(key, report.corpus[key]).partition(" ")
    between = " – ".join(show(key, end) for end in report.intervals[key]) if key in report.intervals else ""
    return (
        f'<div class="score"><span class="name">{escape(label(key))}</span>'
        f'<span class="value">{value} <span class="unit">{unit}</span></span>'
        f'<span class="interval">{between}</span></div>'
    )


def _scores_note(report: Report) -> str:
    if not report.intervals:
        return ""
    return (
        f"Below a score is its {100 * LEVEL:g} % confidence interval: the range of the score for other pictures of "
        "this kind."
    )


def _evaluations(report: Report) -> str:
    """Return the section with the scores of all evaluations of the run, or nothing if there is only one."""
    if len(report.evaluations) < 2:
        return ""
    keys = list(dict.fromkeys(key for one in report.evaluations for key in one.scores))
    head = "".join(f'<th scope="col">{escape(label(key))}</th>' for key in keys)
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th>'
        + "".join(f"<td>{escape(show(key, scores[key])) if key in scores else ''}</td>" for key in keys)
        + "</tr>"
        for name, scores in report.evaluations
    )
    return (
        '<section aria-labelledby="evaluations-title"><h2 id="evaluations-title">All evaluations of this run</h2>'
        f'<div class="scroll"><table class="evaluations"><thead><tr><th scope="col"></th>{head}</tr></thead>'
        f'<tbody>{rows}</tbody></table></div><p class="note">This page shows the first one; --scores shows another.</p>'
        "</section>"
    )


def _training(report: Report) -> str:
    """Return the section with the training curves, or nothing if they are not known."""
    history, best = report.history, report.best_epoch
    if not history or "epoch" not in history[0]:
        return ""
    styles, figures = {"training": "people", "dev": "model"}, []
    for title, lines in charts_of(history):
        epochs = next(iter(lines.values()))[0]
        series = [Series(styles[name], name, values) for name, (_, values) in lines.items()]
        marked = best if best is not None and epochs[0] <= best <= epochs[-1] else None
        chart = curves(f"{title} by epoch", epochs, series, marked)
        figures.append(f"<figure><figcaption>{title}</figcaption>{chart}</figure>")
    kept = f" The dashed line is epoch {best}, whose weights were kept." if best else ""
    return (
        '<section aria-labelledby="training-title"><h2 id="training-title">Training</h2>'
        '<p class="key"><span class="swatch model"></span>dev<span class="swatch people"></span>training</p>'
        f'<div class="charts">{"".join(figures)}</div><p class="note">By epoch.{kept}</p></section>'
    )


def _ranks(report: Report) -> str:
    values = 100 * np.array(report.ranks)
    width = nice_step(max(float(values.max()), 1.0) / BARS)
    edges = width * np.arange(int(values.max() / width) + 2)
    shares = (np.histogram(values, edges)[0] / len(values)).tolist()
    labels = [f"{edge:g}" for edge in edges[:-1]]
    return columns(f"{label(report.ranked_by)} of the pictures", labels, Series("model", "pictures", shares), every=5)


def _lengths(model: Counter[int], people: Counter[int]) -> str:
    last = min(LONGEST, max(*model, *people))
    labels = [f"{words}" if words < LONGEST else f"{words}+" for words in range(last + 1)]
    model, people = _up_to(last, model), _up_to(last, people)
    shares = [[counts[words] / counts.total() for words in range(last + 1)] for counts in (model, people)]
    bars, outline = Series("model", "the model", shares[0]), Series("people", "people", shares[1])
    return columns("Words in a caption", labels, bars, outline)


def _up_to(last: int, lengths: Counter[int]) -> Counter[int]:
    """Return the counts with all captions longer than `last` counted at `last`."""
    shorter = Counter({words: number for words, number in lengths.items() if words < last})
    shorter[last] = lengths.total() - shorter.total()
    return shorter


def _words(words: Sequence[tuple[str, float, float]]) -> str:
    top = max((max(model, people) for _, model, people in words), default=1)
    rows = "".join(
        f'<dt>{escape(word)}</dt><dd title="{escape(word)}: the model {model:.1f}, people {people:.1f}">'
        f'<i class="model" style="width:{100 * model / top:.1f}%"></i>'
        f'<i class="people" style="width:{100 * people / top:.1f}%"></i></dd>'
        for word, model, people in words
    )
    return f'<dl class="words">{rows}</dl>'


def _unsaid(words: Sequence[tuple[str, int]]) -> str:
    if not words:
        return '<p class="note">None: the model uses every word that people use for these pictures.</p>'
    items = "".join(f"<li>{escape(word)} <small>{number:,}</small></li>" for word, number in words)
    return f'<ul class="unsaid">{items}</ul>'


def _all_title(report: Report) -> str:
    shown = len(report.pictures)
    if shown == report.total:
        return f"All {shown:,} pictures"
    return f"The best {shown - shown // 2:,} and the worst {shown // 2:,} of {report.total:,} pictures"


def _data(report: Report) -> str:
    """Return the data for the script as JSON, escaped so that a caption cannot end the element."""
    keys = report.pictures[0]["scores"]
    content = {
        "pictures": report.pictures,
        "neighbours": report.neighbours,
        "rankedBy": report.ranked_by,
        "labels": {key: label(key) for key in keys},
        "highlights": min(HIGHLIGHTS, max(1, len(report.pictures) // 2)),
    }
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
