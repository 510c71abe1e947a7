"""METEOR (Denkowski and Lavie 2014), computed by its Java program from pycocoevalcap; one process per evaluation."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from captioner.metrics.matching import Candidates
from captioner.metrics.statistics import Statistics

# The program's values for English: the weights of recall, fragmentation (two), content words and matchers.
ALPHA, BETA, GAMMA, DELTA = 0.85, 0.2, 0.6, 0.75
MATCHERS = np.array([1.0, 0.6, 0.8, 0.6])  # the word itself, its stem, a synonym, a paraphrase

JAR, PARAPHRASES = "meteor-1.5.jar", "data/paraphrase-en.gz"
_STATISTICS = 4 + 4 * len(MATCHERS) + 3
CHUNKS = -3  # the column of chunks; the next two count the matched words of both sides
ATTEMPTS = 3  # starts of the program: it may be killed, usually for lack of memory
_OPTIONS = [
    "-Xmx2G",
    "-Dfile.encoding=UTF-8",  # both, so that the locale does not change how captions are read and numbers are written
    "-Duser.language=en",
]


class UnavailableError(Exception):
    """METEOR cannot run here. The message names the missing part."""


def meteor(candidates: Candidates) -> Statistics:
    """Return the statistics of METEOR: `meteor`.

    Raises:
        UnavailableError: Java or pycocoevalcap is missing, or the program fails.
    """
    command = meteor_command()
    given = candidates.references.by_id
    pairs = zip(candidates.ids, candidates.tokens, strict=True)
    return Statistics(_ask(command, [_line(tokens, given[image_id]) for image_id, tokens in pairs]), _scores)


def meteor_command() -> list[str]:
    """Return the command that starts METEOR.

    Raises:
        UnavailableError: Java or pycocoevalcap is missing.
    """
    spec = importlib.util.find_spec("pycocoevalcap")
    folders = [Path(folder, "meteor") for folder in (spec.submodule_search_locations or [])] if spec else []
    folder = next((folder.resolve() for folder in folders if (folder / JAR).is_file()), None)
    if folder is None:
        raise UnavailableError("pycocoevalcap is not installed; run pip install 'captioner[metrics]'")
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java") or (shutil.which("java", path=Path(home, "bin")) if home else None)
    if java is None:
        raise UnavailableError("there is no java on the path; install Java 8 or later (Debian: default-jre-headless)")
    # the path of the paraphrases is given, since the program does not find them in a folder with a space in its name
    english = ["-l", "en", "-norm", "-a", str(folder / PARAPHRASES)]
    return [java, *_OPTIONS, "-jar", str(folder / JAR), "-", "-", "-stdio", *english]


def _line(candidate: Sequence[str], references: Sequence[Sequence[str]]) -> str:
    captions = [" ".join(tokens).replace("|||", " ") for tokens in (*references, candidate)]
    return " ||| ".join(["SCORE", *captions]) + "\n"


def _ask(command: Sequence[str], lines: Sequence[str]) -> np.ndarray:
    """Return the program's statistics of each line, (lines, 23). If it dies, restart it where it stopped."""
    answers: list[str] = []
    for _ in range(ATTEMPTS):
        asked = "".join(lines[len(answers) :]).encode(errors="replace")
        try:
            ended = subprocess.run(command, input=asked, capture_output=True, check=False)
        except OSError as error:
            raise UnavailableError(f"{command[0]} cannot be started ({error.strerror})") from None
        found = ended.stdout.decode(errors="replace").splitlines(keepends=True)
        answers += [answer for answer in found if answer.endswith("\n")]
        if len(answers) >= len(lines):
            return _without_whole_chunks(np.array([_numbers(answer) for answer in answers[: len(lines)]]))
    said = ended.stderr.decode(errors="replace").strip().splitlines() or [f"exit code {ended.returncode}"]
    raise UnavailableError(f"its Java program ended after {len(answers)} of {len(lines)} captions ({said[0]})")


def _numbers(answer: str) -> list[float]:
    try:
        numbers = [float(number) for number in answer.split()]
    except ValueError:
        numbers = []
    if len(numbers) != _STATISTICS:
        raise UnavailableError(f"its Java program returned unexpected output: {answer.strip()[:80]!r}")
    return numbers


def _without_whole_chunks(rows: np.ndarray) -> np.ndarray:
    """Remove the chunk of candidates that equal a reference, as the program does, so that they have no penalty."""
    words, reference_words, chunks, total, reference_total = rows[:, [0, 1, CHUNKS, CHUNKS + 1, CHUNKS + 2]].T
    rows[(total == words) & (reference_total == reference_words) & (chunks == 1), CHUNKS] = 0
    return rows


def _scores(sums: np.ndarray) -> dict[str, np.ndarray]:
    """Compute the scores as the program does (Denkowski and Lavie 2014, "Meteor Universal", section 2)."""
    words, reference_words, function_words, reference_function_words = np.moveaxis(sums[..., :4], -1, 0)
    matched = sums[..., 4:CHUNKS].reshape(*sums.shape[:-1], len(MATCHERS), 4)
    content, reference_content, function, reference_function = np.moveaxis(matched, -1, 0)  # (..., matchers) each
    chunks, total, reference_total = np.moveaxis(sums[..., CHUNKS:], -1, 0)

    def share(content: np.ndarray, function: np.ndarray, words: np.ndarray, function_words: np.ndarray) -> np.ndarray:
        weighed = (MATCHERS * (DELTA * content + (1 - DELTA) * function)).sum(axis=-1)
        possible = DELTA * (words - function_words) + (1 - DELTA) * function_words
        return np.divide(weighed, possible, out=np.zeros(weighed.shape), where=possible > 0)

    precision = share(content, function, words, function_words)
    recall = share(reference_content, reference_function, reference_words, reference_function_words)
    something = (precision > 0) & (recall > 0)
    mean = np.zeros(precision.shape)
    np.divide(precision * recall, ALPHA * precision + (1 - ALPHA) * recall, out=mean, where=something)
    pieces = np.divide(2 * chunks, total + reference_total, out=np.zeros(mean.shape), where=something)
    return {"meteor": mean * (1 - GAMMA * pieces**BETA)}
