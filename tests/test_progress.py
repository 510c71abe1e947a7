import io
import sys

import pytest

from captioner import progress as progress_module
from captioner.progress import Progress, amount


@pytest.mark.parametrize(
    ("count", "unit", "text"),
    [
        (0, "B", "0 bytes"),
        (999, "B", "999 bytes"),
        (2_300_000, "B", "2.3 MB"),
        (123_456_789, "B", "123 MB"),
        (13_510_573_713, "B", "13.5 GB"),
        (8091, "pictures", "8,091 pictures"),
    ],
)
def test_amounts_are_for_people(count: int, unit: str, text: str) -> None:
    assert amount(count, unit) == text


def test_without_a_terminal_a_line_comes_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    with Progress("looking", 100, "pictures", said.append, done=10) as progress:
        progress.advance(20)
        assert said == []
        monkeypatch.setattr(progress_module, "SECONDS_BETWEEN_LINES", 0)
        progress.advance(20)
    with Progress("set.zip", None, "B", said.append) as progress:
        progress.advance(2000)
    assert said == ["looking: 50 of 100 pictures", "set.zip: 2 kB"]


def test_a_terminal_shows_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal, said = Terminal(), list[str]()
    monkeypatch.setattr(sys, "stderr", terminal)
    with Progress("looking", 4, "pictures", said.append) as progress:
        progress.advance(4)
    assert "looking:   0%" in terminal.getvalue() and not said
