"""The COCO caption evaluation code, which pycocoevalcap carries, and marks that skip a test by name without it."""

import importlib.util
import shutil
import warnings

import pytest

HAS_CODE = importlib.util.find_spec("pycocoevalcap") is not None
needs_pycocoevalcap = pytest.mark.skipif(not HAS_CODE, reason="pycocoevalcap (the metrics extra) is not installed")
needs_java = pytest.mark.skipif(not HAS_CODE or not shutil.which("java"), reason="Java and pycocoevalcap are needed")


def java_tokens(captions):
    """Return each caption's tokens by the Stanford tokenizer as the evaluation calls it, one process for all."""
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it leaves its process' pipes to the garbage collector
        answers = PTBTokenizer().tokenize({n: [{"caption": text}] for n, text in enumerate(captions)})
    return [answers[number][0] for number in range(len(captions))]


def coco_scores(candidates, references):
    """Return the evaluation's scores of tokenized captions: key -> (corpus, per picture)."""
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.rouge.rouge import Rouge

    given = {image_id: [" ".join(words) for words in references[image_id]] for image_id in candidates}
    found = {image_id: [" ".join(words)] for image_id, words in candidates.items()}
    corpus, each = Bleu(4).compute_score(given, found, verbose=0)
    scores = {f"bleu_{n}": pair for n, pair in enumerate(zip(corpus, each, strict=True), start=1)}
    return {
        **scores,
        "rouge_l": Rouge().compute_score(given, found),
        "cider_d": Cider().compute_score(given, found),
    }
