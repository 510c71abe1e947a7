"""Measures scoring (PTB tokens, BLEU, ROUGE-L, CIDEr-D); the reference is pycocoevalcap with its Java tokenizer."""

from __future__ import annotations

import argparse
import contextlib
import io
from itertools import cycle, islice
from pathlib import Path

from machine import seconds

from captioner.data.dataset import read_captions
from captioner.metrics.bootstrap import differences, intervals
from captioner.metrics.cider import CiderD
from captioner.metrics.scorer import score
from captioner.recipe import in_the_box
from captioner.text.ptb import tokenize

References = dict[str, tuple[str, ...]]
FLICKR8K = Path("data/flickr8k/Flickr8k.token.txt")
REWARDED, SAMPLES = 128, 5  # pictures of a training batch, sampled captions of each


def take(source: References, pictures: int) -> tuple[dict[str, str], References]:
    """Return the references of some pictures, and captions of other pictures as candidates."""
    several = list(islice(cycle(source.values()), pictures))
    references = {f"p{number}": texts for number, texts in enumerate(several)}
    return {image_id: texts[0] for image_id, texts in zip(references, reversed(several), strict=True)}, references


def coco(candidates: dict[str, str], references: References) -> dict[str, float]:
    """Score as the COCO evaluation does: its tokenizer for both sides, a Java process each, then its metrics."""
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.rouge.rouge import Rouge
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    tokenizer = PTBTokenizer()
    given = tokenizer.tokenize({i: [{"caption": text} for text in texts] for i, texts in references.items()})
    found = tokenizer.tokenize({i: [{"caption": text}] for i, text in candidates.items()})
    with contextlib.redirect_stdout(io.StringIO()):
        bleu = Bleu(4).compute_score(given, found)[0]
    return {
        **{f"bleu_{order}": value for order, value in enumerate(bleu, start=1)},
        "rouge_l": float(Rouge().compute_score(given, found)[0]),
        "cider_d": float(Cider().compute_score(given, found)[0]),
    }


def row(what: str, figure: str, remark: str = "") -> None:
    print(f"{what:31}{figure:>11}   {remark}".rstrip())


def goal(met: bool, wanted: str) -> str:
    return f"{'meets' if met else 'MISSES'} the goal of {wanted}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    default = FLICKR8K if FLICKR8K.is_file() else in_the_box("data/sample/captions.txt")
    parser.add_argument("--captions", type=Path, default=default, help="default: Flickr8k's, or the sample's")
    parser.add_argument("--large", type=int, default=40_000, help="pictures of the large set, repeated as needed")
    options = parser.parse_args()
    source = {image_id: texts[:5] for image_id, texts in read_captions(options.captions).items() if len(texts) >= 5}
    candidates, references = take(source, 1000)
    print(f"1,000 candidates x 5 references of {options.captions}")

    ours = seconds(lambda: score(candidates, references), 5)
    theirs = seconds(lambda: coco(candidates, references), 3)
    expected = coco(candidates, references)
    apart = max(abs(value - expected[key]) for key, value in score(candidates, references).corpus.items())
    row("pycocoevalcap, Java tokenizer", f"{theirs:.3f} s")
    row("captioner", f"{ours:.3f} s", f"the largest difference of a score is {apart:.0e}")
    row("", f"{theirs / ours:.1f} x", goal(theirs / ours >= 4, "4 x"))

    large = take(source, options.large)
    elapsed = seconds(lambda: score(*large), 1)
    row(f"captioner, {options.large:,} x 5", f"{elapsed:.2f} s", goal(elapsed < 20, "20 s"))

    tokenized = {image_id: [tokenize(text) for text in texts] for image_id, texts in source.items()}
    scorer = CiderD(tokenized)
    ids = [image_id for image_id in list(tokenized)[:REWARDED] for _ in range(SAMPLES)]
    samples = [words for several in list(tokenized.values())[1 : REWARDED + 1] for words in several[:SAMPLES]]
    elapsed = seconds(lambda: scorer.scores(ids, samples), 9)
    row(f"CIDEr-D reward, {len(ids)} captions", f"{1000 * elapsed:.1f} ms", goal(elapsed < 0.050, "50 ms"))

    statistics = score(candidates, references).statistics
    row("1,000 resamples of all scores", f"{1000 * seconds(lambda: intervals(statistics), 3):.0f} ms")
    row("paired test, 10,000 exchanges", f"{1000 * seconds(lambda: differences(statistics, statistics), 3):.0f} ms")


if __name__ == "__main__":
    main()
