import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from captioner.data.dataset import read_captions
from captioner.metrics.matching import Candidates, References
from captioner.metrics.meteor import ATTEMPTS, UnavailableError, _ask, _scores, meteor, meteor_command
from captioner.metrics.scorer import score
from captioner.storage import read_text
from captioner.text.ptb import tokenize
from tests.metrics.coco import needs_java, needs_pycocoevalcap
from tests.shared import FLICKR8K, KNOWN_ANSWERS, needs_flickr8k, needs_known_answers

# What the program says of nlg-eval's example, a line a candidate, and the scores that it and nlg-eval give.
ROWS = """
10 7 4 4  1 1 2 2  0 0 0 0  0 0 0 0  0 0 0 0  2 3 3
10 13 6 7  4 4 4 4  0 0 0 0  0 0 0 0  0 0 2 1  2 10 9
"""
EACH, CORPUS = [0.1556568826170604, 0.39012536521249613], 0.2957971080379661


def rows():
    return np.array([[float(number) for number in line.split()] for line in ROWS.strip().splitlines()])


def test_the_programs_numbers_score_as_it_scores_them():
    assert _scores(rows())["meteor"] == pytest.approx(EACH, abs=1e-12)
    assert _scores(rows().sum(axis=0))["meteor"] == pytest.approx(CORPUS, abs=1e-12)


def test_nothing_that_matches_scores_nothing():
    empty = np.zeros(23)
    assert _scores(empty)["meteor"] == 0
    empty[[0, 1]] = 5
    assert _scores(empty)["meteor"] == 0


# Answers each line with its own number of words and 22 zeros, and dies after so many lines.
PROGRAM = """
import sys
for number, line in enumerate(sys.stdin):
    if number == int(sys.argv[1]):
        print("1 0 0", end="", flush=True)  # half an answer
        sys.exit("Killed")
    print(len(line.split("|||")[-1].split()), *[0] * 22, flush=True)
"""


def program(lines):
    return [sys.executable, "-c", PROGRAM, str(lines)]


def asked(lengths):
    return [f"SCORE ||| a dog ||| {' '.join(['word'] * length)}\n" for length in lengths]


def test_a_program_that_dies_is_started_again_where_it_stopped():
    lengths = [3, 1, 4, 1, 5]
    assert _ask(program(2), asked(lengths))[:, 0].tolist() == lengths


def test_one_that_keeps_dying_is_given_up():
    with pytest.raises(UnavailableError, match=rf"ended after {ATTEMPTS} of 5 captions \(Killed\)"):
        _ask(program(1), asked([1] * 5))


def test_one_that_cannot_start_or_talks_nonsense_is_named(tmp_path):
    with pytest.raises(UnavailableError, match="nope cannot be started"):
        _ask([str(tmp_path / "nope")], asked([1]))
    with pytest.raises(UnavailableError, match="returned unexpected output: 'Error: specify'"):
        _ask([sys.executable, "-c", "print('Error: specify')"], asked([1]))


@needs_pycocoevalcap
def test_without_java_the_other_scores_are_there_and_the_reason_is_said(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    scores = score({"a": "a dog", "b": "a cat"}, {"a": ["a dog"], "b": ["the cat"]}, ["bleu", "meteor"])
    assert "bleu_4" in scores.corpus and "meteor" not in scores.corpus
    assert scores.skipped == ["meteor"]
    assert scores.notes == [
        "METEOR is left out: there is no java on the path; install Java 8 or later (Debian: default-jre-headless)"
    ]


def test_without_the_extra_the_way_to_it_is_said(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    scores = score({"a": "a dog", "b": "a cat"}, {"a": ["a dog"], "b": ["the cat"]}, ["meteor", "bleu"])
    assert scores.skipped == ["meteor"] and "pip install 'captioner[metrics]'" in scores.notes[0]


@pytest.mark.slow
@needs_java
@needs_known_answers
def test_nlg_evals_published_score():
    hypotheses, *several = (
        read_text(KNOWN_ANSWERS / f"nlgeval_{name}.txt").splitlines() for name in ("hyp", "ref1", "ref2")
    )
    candidates = {str(number): text for number, text in enumerate(hypotheses)}
    references = {str(number): texts for number, texts in enumerate(zip(*several, strict=True))}
    assert score(candidates, references, ["meteor"]).corpus["meteor"] == pytest.approx(0.295797, abs=1e-6)


@pytest.mark.slow
@needs_java
@needs_known_answers
def test_the_126_coco_captions():
    known = json.loads(read_text(KNOWN_ANSWERS / "oracle_fakecap126.json"))
    scores = score(known["res_raw"], known["gts_raw"], ["meteor"])
    assert scores.corpus["meteor"] == pytest.approx(known["scores"]["METEOR"], abs=1e-6)


@pytest.mark.slow
@needs_java
@needs_flickr8k
def test_the_evaluation_codes_scores_of_real_captions(monkeypatch):
    """Beside pycocoevalcap's own class, on captions that match wholly, in part and not at all."""
    from pycocoevalcap.meteor.meteor import Meteor

    references = dict(list(read_captions(FLICKR8K / "Flickr8k.token.txt").items())[:300])
    given = {image_id: [tokenize(text) for text in texts] for image_id, texts in references.items()}
    others = [several[0] for several in given.values()]
    found = dict(zip(given, others[1:] + others[:1], strict=True))
    first, second, *_ = found
    found |= {first: given[first][2], second: []}
    theirs = Meteor()
    lines = {image_id: [" ".join(words) for words in several] for image_id, several in given.items()}
    corpus, each = theirs.compute_score(lines, {image_id: [" ".join(words)] for image_id, words in found.items()})
    theirs.meteor_p.stdin.close()
    theirs.meteor_p.wait()
    theirs.meteor_p.stdout.close()
    theirs.meteor_p.stderr.close()
    monkeypatch.setattr(Meteor, "__del__", lambda self: None)
    ours = meteor(Candidates(References(given), list(found), list(found.values())))
    assert ours.corpus()["meteor"] == pytest.approx(corpus, abs=1e-9)
    assert ours.each()["meteor"].tolist() == pytest.approx(each, abs=1e-9)


@pytest.mark.slow
@needs_java
def test_a_space_in_the_path_and_a_plain_locale_change_nothing(tmp_path):
    """The program by itself does not find its paraphrases in such a folder, and reads captions by the locale."""
    jar = Path(meteor_command()[meteor_command().index("-jar") + 1])
    folder = tmp_path / "with a space" / "pycocoevalcap"
    shutil.copytree(jar.parent, folder / "meteor")
    (folder / "__init__.py").touch()
    code = (
        "from captioner.metrics.meteor import meteor, meteor_command\n"
        "from captioner.metrics.matching import Candidates, References\n"
        "assert 'with a space' in str(meteor_command())\n"
        "given = References({'a': [['der', 'hund', 'läuft'], ['кот']]})\n"
        "print(meteor(Candidates(given, ['a'], [['der', 'hund', 'läuft']])).corpus()['meteor'])\n"
    )
    path = os.pathsep.join([str(folder.parent), *sys.path])
    environment = {**os.environ, "PYTHONPATH": path, "LC_ALL": "C"}
    ended = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert float(ended.stdout) == pytest.approx(1.0)
