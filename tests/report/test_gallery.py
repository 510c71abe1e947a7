"""The page of doubts as a browser shows it."""

import time

import pytest

from captioner.report.gallery import write_doubts
from captioner.stages.doubt import Doubt
from tests.report.browser import browser, needs_chromium

pytestmark = needs_chromium

BEFORE = {"a.png": ["bad", "good", "fine"], "b.png": ["other"]}
AFTER = {"a.png": ["good", "fine"], "b.png": ["other"]}


@pytest.fixture(scope="module")
def window(tmp_path_factory):
    with browser(tmp_path_factory.mktemp("profile")) as window:
        yield window


def show(window, captions, path):
    doubts = [Doubt(name, number, text, -1.0) for name, texts in captions.items() for number, text in enumerate(texts)]
    write_doubts(doubts, captions, {}, path, "captions.checked.txt")
    window.open(path)
    return window.run("return document.getElementById('count').textContent")


def saved(window):
    return window.run("return corrected()")


def test_decisions_stay_with_their_captions_when_the_numbers_shift(window, tmp_path):
    page = tmp_path / "doubts.html"
    assert show(window, BEFORE, page).endswith("0 kept, 0 corrected, 0 thrown out")
    window.run(
        "const [bad, good] = document.querySelectorAll('article'); bad.querySelectorAll('button')[1].click();"
        "const box = good.querySelector('textarea'); box.value = 'better'; box.dispatchEvent(new Event('input'));"
    )
    corrected = "a.png#0\tbetter\na.png#1\tfine\nb.png#0\tother\n"
    assert saved(window) == corrected
    for _ in range(20):  # Chromium may hand over what a page has stored a moment after the next page asks for it
        if show(window, BEFORE, page).endswith("0 kept, 1 corrected, 1 thrown out"):
            break
        time.sleep(0.1)
    assert saved(window) == corrected
    assert show(window, AFTER, page).endswith("0 kept, 0 corrected, 0 thrown out")
    assert saved(window) == "a.png#0\tgood\na.png#1\tfine\nb.png#0\tother\n"


def test_a_decision_about_another_caption_is_passed_over(window, tmp_path):
    show(window, AFTER, tmp_path / "doubts.html")
    window.run(
        "localStorage.setItem(key, JSON.stringify({'a.png#0': {caption: 'bad', out: true}, 'b.png#0': {out: true}}))"
    )
    assert show(window, AFTER, tmp_path / "doubts.html").endswith("0 kept, 0 corrected, 0 thrown out")
    assert saved(window) == "a.png#0\tgood\na.png#1\tfine\nb.png#0\tother\n"
