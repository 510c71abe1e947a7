import io
import sys

import pytest

from captioner.progress import Progress, amount, duration


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


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "less than a minute"),
        (29, "less than a minute"),
        (31, "1 minute"),
        (90, "2 minutes"),
        (3599, "1 hour"),
        (7500, "2 hours 5 minutes"),
        (3660, "1 hour 1 minute"),
    ],
)
def test_lengths_of_time_are_for_people(seconds: int, text: str) -> None:
    assert duration(seconds) == text


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def test_without_a_terminal_a_line_comes_every_30_seconds(said: list[str]) -> None:
    clock = Clock()
    with Progress("looking", 100, "pictures", done=10, clock=clock) as progress:
        for seconds in (20, 9, 5, 20, 9):
            clock.seconds += seconds
            progress.advance(10)
    assert said == ["looking: 40 of 100 pictures, 1.4 pictures/s, 1 minute left"]
    assert progress.speed == pytest.approx(40 / 43)


def test_the_first_step_is_no_part_of_the_speed(said: list[str]) -> None:
    clock = Clock()
    with Progress("set.zip", None, "B", clock=clock) as progress:
        clock.seconds += 300  # compiling, connecting
        progress.advance(2000)
        assert progress.speed == 0
        clock.seconds += 40
        progress.advance(400_000)
    assert said == ["set.zip: 2 kB", "set.zip: 402 kB, 10 kB/s"]


def test_a_terminal_shows_a_bar(monkeypatch: pytest.MonkeyPatch, said: list[str]) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with Progress("looking", 4, "pictures") as progress:
        progress.advance(4)
    assert "looking:   0%" in terminal.getvalue() and not said
