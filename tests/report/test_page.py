"""The page as a browser shows it."""

import io
import time

import numpy as np
import pytest
from PIL import Image

from captioner.report import run as report
from captioner.report.pictures import embed_attention, grid_box
from tests.report.browser import browser, needs_chromium
from tests.report.project import PICTURES, make_run

pytestmark = needs_chromium


def corner(folder, settings, manifest, pictures, load):
    """Attention of a 4 x 4 grid that lies in the corner up left for the first word, down right for the others."""
    grids = np.zeros((2, 16))
    grids[0, 0] = grids[1, 15] = 1
    found = {}
    for image_id, shown in pictures.items():
        words = shown.caption.split()
        attention = grids[[0] + [1] * (len(words) - 1)]
        box = grid_box((shown.height, shown.width), (10, 10), "whole")
        found[image_id] = embed_attention(words, attention, 4, box)
    return found


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report, "_attention", corner)  # no decoder that comes with captioner has attention
        return report.report_run(make_run(folder), shown=100)


@pytest.fixture(scope="module")
def window(page, tmp_path_factory):
    with browser(tmp_path_factory.mktemp("profile")) as window:
        window.open(page)
        yield window


@pytest.fixture(autouse=True)
def afresh(window, page):
    window.open(page)


def put(window, element, value, event):
    """Give an element of the tools a value, as somebody at the keyboard does."""
    change = (
        "const it = document.getElementById(arguments[0]); it.value = arguments[1]; it.dispatchEvent(new Event(%r))"
    )
    window.run(change % event, element, value)


def search(window, words):
    put(window, "search", words, "input")
    return window.run("return [...document.querySelectorAll('#all .card')].map((card) => card.dataset.id)")


def ranks(window, where):
    return window.run(f"return [...document.querySelectorAll('#{where} .rank b')].map((rank) => +rank.textContent)")


def sort(window, key):
    put(window, "sort", key, "change")
    return ranks(window, "all")


def test_it_opens_without_a_network_and_without_a_complaint(window):
    requests = [event["message"] for event in window.logs("performance") if "requestWillBeSent" in event["message"]]
    assert not [request for request in requests if '"url":"http' in request]
    assert [message for message in window.logs("browser") if message["level"] != "INFO"] == []
    shown = "return [...document.querySelectorAll('#best img')].map((image) => image.complete && image.naturalWidth)"
    assert window.run(shown) == [192] * 6
    title = window.run("return [document.title, document.querySelector('h1').textContent]")
    assert title == ["tiny · captioner report", "tiny"]


def test_best_and_worst_stand_on_top_with_references(window):
    best, worst = ranks(window, "best"), ranks(window, "worst")
    assert len(best) == len(worst) == 6 and best == sorted(best, reverse=True) and worst == sorted(worst)
    assert min(best) >= max(worst)
    assert "There is a" in window.run("return document.querySelector('#best .reference + .reference').textContent")


def test_search_finds_words_of_captions_references_and_names(window):
    assert len(search(window, "")) == PICTURES
    assert search(window, "P07") == ["p07"]
    blue = search(window, "  blue BALL ")
    assert sorted(blue) == ["p02", "p10"]
    assert window.run("return document.getElementById('count').textContent") == f"2 of {PICTURES}"
    assert search(window, "zebra") == []
    assert window.run("return document.getElementById('more').hidden") is True


def test_sorting(window):
    worst, best = sort(window, "worst"), sort(window, "best")
    assert worst == sorted(worst) and best == sorted(best, reverse=True) and len(best) == PICTURES
    sort(window, "name")
    assert search(window, "") == [f"p{index:02}" for index in range(PICTURES)]
    choices = window.run("return [...document.querySelectorAll('#sort option')].map((option) => option.textContent)")
    assert "worst first" in choices and "BLEU-4, highest first" in choices


def test_a_picture_opens_and_the_keys_lead_on(window):
    search(window, "p00")
    window.run("document.querySelector('#all .card').click()")
    assert window.run("return document.getElementById('detail').open") is True
    text = "return document.getElementById('detail-references').textContent"
    assert "There is a red ball <b>here</b> </script> ." in window.run(text)
    assert window.run("return document.querySelectorAll('#detail-scores tr').length") == 6
    search(window, "")
    window.run("document.getElementById('close').click(); document.querySelector('#best .card').click()")
    name = "return document.getElementById('detail-name').textContent"
    first = window.run(name)
    key = "document.getElementById('detail').dispatchEvent(new KeyboardEvent('keydown', {key: arguments[0]}))"
    window.run(key, "ArrowRight")
    assert window.run(name) != first
    window.run(key, "ArrowLeft")
    assert window.run(name) == first


def test_a_click_on_a_word_shows_where_the_model_looked(window):
    window.run("document.querySelector('#best .card').click()")
    shade = """
        const canvas = document.querySelector('#stage canvas');
        const at = (x, y) => canvas.getContext('2d').getImageData(x * canvas.width, y * canvas.height, 1, 1).data[3];
        return [at(.05, .05), at(.95, .95)];
    """
    colour = """
        const canvas = document.querySelector('#stage canvas');
        const at = (x, y) => canvas.getContext('2d').getImageData(x * canvas.width, y * canvas.height, 1, 1).data;
        return [at(.05, .05), at(.95, .95)].map(([red, green, blue]) => red + green + blue);
    """
    press = "document.querySelectorAll('.word')[arguments[0]].click()"
    assert window.run(shade) == [0, 0]
    window.run(press, 0)
    near, far = window.run(colour)  # the colours run from dark to bright
    assert near > far + 200
    window.run(press, 1)
    near, far = window.run(colour)
    assert far > near + 200
    assert window.run("return document.querySelectorAll('.word[aria-pressed=true]').length") == 1
    window.run(press, 1)
    assert window.run(shade) == [0, 0]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1200])
def test_it_fits_a_phone_and_a_desk_by_day_and_night(window, width, scheme):
    window.emulate("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    window.emulate(
        "Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=width < 500
    )
    assert window.run("return document.documentElement.scrollWidth <= innerWidth") is True
    time.sleep(0.1)
    picture = np.asarray(Image.open(io.BytesIO(window.picture())).convert("L"))
    assert (np.median(picture) < 60) == (scheme == "dark")
    ink = window.run("return getComputedStyle(document.querySelector('.score .value')).color")
    assert (sum(map(int, ink[4:-1].split(","))) > 380) == (scheme == "dark")
