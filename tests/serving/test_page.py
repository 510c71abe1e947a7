"""The page as a browser shows it."""

import csv
import io
import json
import shutil
import subprocess
import time

import numpy as np
import pytest
from PIL import Image

from captioner.data.readers.detect import read_data
from captioner.serving.app import create_app
from tests.report.browser import browser, needs_chromium
from tests.serving.conftest import SMALL
from tests.serving.server import picture, serving

pytestmark = needs_chromium

CAMERA = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
SIZES = [(390, 844), (1440, 900)]
SHIFTS = """
    window.shifted = [];
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) if (!entry.hadRecentInput) {
        const named = (node) => node?.id || node?.className || node?.nodeName;
        shifted.push([entry.value, entry.sources.map((source) => named(source.node))]);
      }
    }).observe({ type: "layout-shift", buffered: true });
"""


@pytest.fixture(scope="module")
def downloads(tmp_path_factory):
    return tmp_path_factory.mktemp("downloads")


@pytest.fixture(scope="module")
def window(tmp_path_factory, downloads):
    preferences = {"download.default_directory": str(downloads), "download.prompt_for_download": False}
    with browser(tmp_path_factory.mktemp("profile"), CAMERA, preferences) as window:
        yield window


@pytest.fixture
def page(window, client):
    window.emulate("Emulation.setDeviceMetricsOverride", width=1440, height=900, deviceScaleFactor=1, mobile=False)
    window.emulate("Emulation.setEmulatedMedia", features=[])
    visit(window, client)
    return window


def visit(window, client):
    window.run("for (const key of ['beforeunload']) addEventListener(key, (e) => e.stopImmediatePropagation(), true)")
    window.visit(client.address + "/")
    window.wait("return document.getElementById('model').textContent.trim()")


@pytest.fixture
def files(tmp_path):
    """Three pictures, and a file that is none."""
    names = ["one.png", "two, with a comma.png", 'three "quoted".jpg', "no picture.png"]
    for seed, name in enumerate(names[:3]):
        (tmp_path / name).write_bytes(picture(seed, (320, 240), "JPEG" if name.endswith("jpg") else "PNG"))
    (tmp_path / names[3]).write_bytes(b"hello")
    return [tmp_path / name for name in names]


def choose(window, *paths):
    window.type("#files", "\n".join(map(str, paths)))
    settled(window)


def settled(window):
    script = """
        const said = document.getElementById('caption').className;
        return !/waiting|empty/.test(said) && !/ of /.test(document.getElementById('progress').textContent)
          && !document.querySelector('#alternatives .ghost');
    """
    window.wait(script)


def text(window, element):
    return window.run("return document.getElementById(arguments[0]).textContent", element).strip()


def caption(window):
    return " ".join(text(window, "caption").split())


def expected(model, path, n=1):
    return [one.text for one in model.captioner.caption_batch([path], n)[0]]


def table(window):
    script = (
        "return [...document.querySelectorAll('#rows tr')].map((row) => [...row.cells].map((cell) => cell.textContent))"
    )
    return window.run(script)


def test_it_says_what_answers_and_asks_nobody_else(page, client):
    page.logs("performance"), page.logs("browser")
    visit(page, client)
    assert text(page, "model") == "tiny · attention over tiny conv · BLEU-4 50.0"
    asked = [json.loads(event["message"])["message"]["params"] for event in page.logs("performance")]
    addresses = {one["request"]["url"] for one in asked if "request" in one}
    assert addresses and all(address.startswith((client.address, "data:")) for address in addresses)
    assert [message for message in page.logs("browser") if message["level"] != "INFO"] == []


def test_a_picture_gets_its_caption_and_alternatives(page, model, files):
    choose(page, files[0])
    best, *others = expected(model, files[0], 3)
    assert caption(page) == best
    shown = page.run(
        "return [...document.querySelectorAll('#alternatives button span:first-child')].map((one) => one.textContent)"
    )
    assert shown == [best, *others]
    assert page.run("return document.getElementById('shown').naturalWidth") == 320
    assert page.run("return document.getElementById('shown').alt") == best[0].upper() + best[1:] + "."
    assert text(page, "news") == best and text(page, "sure") == "This model reports no confidence"


def test_confidence_is_shown_where_the_model_has_it(page, files):
    page.run("""
        const own = captionerBackend.caption;
        captionerBackend.caption = async (...all) => {
          const found = await own(...all);
          found.captions.forEach((one, place) => { one.confidence = 0.8 - place / 10; });
          return found;
        };
    """)
    choose(page, files[0])
    assert text(page, "sure") == "Confidence 80 %"
    share = page.run("return document.getElementById('bar').style.getPropertyValue('--share')")
    assert float(share) == pytest.approx(0.8)  # the bar grows to that share of its width
    page.run("document.querySelectorAll('#alternatives button')[1].click()")
    assert text(page, "sure") == "Confidence 70 %"


def test_the_slider_asks_for_more(page, model, files):
    choose(page, files[0])
    page.run("const it = document.getElementById('count'); it.value = 5; it.dispatchEvent(new Event('input'))")
    settled(page)
    page.wait("return document.querySelectorAll('#alternatives button').length === 5")
    page.run("document.querySelectorAll('#alternatives button')[4].click()")
    assert caption(page) == expected(model, files[0], 5)[4]


SLIDE = "{ const it = document.getElementById('count'); it.value = %d; it.dispatchEvent(new Event('input')); }"
FAILING = """
    const backend = window.captionerBackend, real = backend.caption;
    window.asked = [];
    backend.caption = async (file, options) => {
      asked.push(options.n);
      if (asked.length <= %d) throw new Error('out of order');
      return real.call(backend, file, options);
    };
"""


def test_a_slider_that_is_dragged_on_asks_for_the_last_number(page, model, files):
    choose(page, files[0])
    page.run(FAILING % 0 + "".join(SLIDE % n for n in (3, 4, 5)))
    page.wait("return document.querySelectorAll('#alternatives button').length === 5")
    assert page.run("return asked") == [5]


def test_captions_stay_where_a_further_request_fails(page, model, files):
    choose(page, files[0])
    page.run(FAILING % 1 + SLIDE % 5)
    page.wait("return asked.length === 1 && !document.querySelector('#alternatives .ghost')")
    assert caption(page) == expected(model, files[0])[0] and "without a caption" not in text(page, "progress")


def test_a_picture_that_failed_can_be_asked_for_again(page, model, files):
    page.run(FAILING % 1)
    page.type("#files", str(files[0]))
    page.wait("return document.getElementById('caption').classList.contains('failed')")
    assert caption(page) == "out of order Try again"
    page.click("#caption button")
    settled(page)
    page.wait("return !document.getElementById('caption').classList.contains('failed')")
    assert caption(page) == expected(model, files[0])[0]


def test_what_is_typed_stays_while_another_picture_is_looked_at(page, files):
    choose(page, *files[:2])
    page.click("#correct")
    page.run("document.getElementById('corrected').value = 'half a sent'")
    page.run("document.querySelectorAll('#rows .open')[1].click()")
    assert page.run("return document.getElementById('correction').hidden") is True
    page.run("document.querySelectorAll('#rows .open')[0].click()")
    assert page.run("return document.getElementById('correction').hidden") is False
    assert page.run("return document.getElementById('corrected').value") == "half a sent"
    page.click("#discard")
    page.run("document.querySelectorAll('#rows .open')[1].click(); document.querySelectorAll('#rows .open')[0].click()")
    assert page.run("return document.getElementById('correction').hidden") is True


def test_every_picture_has_a_name_of_its_own(page, tmp_path):
    (tmp_path / "image.jpg").write_bytes(picture(1, format="JPEG"))
    choose(page, tmp_path / "image.jpg")
    drop = """
      const file = (name) => new File([1], name, { type: 'image/png' });
      const data = { types: ['Files'], items: [], files: ['a.jpg', 'a.jpg', 'a-2.jpg'].map(file) };
      const entry = (path) => ({ isFile: true, fullPath: path, file: (done) => done(file('1.png')) });
      const folder = (...inside) => ({ isDirectory: true, createReader: () => {
        const batches = [inside, []];
        return { readEntries: (done) => done(batches.shift()) };
      } });
      const send = (given) => document.body.dispatchEvent(
        Object.defineProperty(new DragEvent('drop', { bubbles: true }), 'dataTransfer', { value: given }));
      send(data);
      setTimeout(() => send({ types: ['Files'], files: [], items: ['x', 'y'].map((name) => (
        { webkitGetAsEntry: () => folder(entry(`/${name}/1.png`)) })) }), 50);
    """
    page.run(drop)
    page.wait("return document.querySelectorAll('#rows tr').length === 6")
    assert [row[0] for row in table(page)] == ["image.jpg", "a.jpg", "a-2.jpg", "a-2-2.jpg", "x/1.png", "y/1.png"]


def test_a_word_shows_where_the_model_looked(page, model, files):
    choose(page, files[0])
    own = model.captioner.caption_batch([files[0]])[0][0]
    looked = own.attention[1].reshape(4, 6)
    dark, bright = np.unravel_index(looked.argmin(), (4, 6)), np.unravel_index(looked.argmax(), (4, 6))
    shade = """
        const veil = document.getElementById('veil');
        const [[y, x], [v, u]] = arguments;
        const at = (x, y) => veil.getContext('2d').getImageData(x * veil.width, y * veil.height, 1, 1).data[3];
        return [veil.style.opacity, at((x + .5) / 6, (y + .5) / 4), at((u + .5) / 6, (v + .5) / 4)];
    """
    page.run("document.querySelectorAll('.word')[1].click()")
    opacity, far, near = page.run(shade, list(map(int, dark)), list(map(int, bright)))
    assert opacity == "1" and near < far and near < 60
    assert page.run("return document.querySelectorAll('.word[aria-pressed=true]').length") == 1
    page.run("document.querySelectorAll('.word')[1].click()")
    assert page.run("return document.getElementById('veil').style.opacity") == "0"


def test_words_are_reached_by_keys(page, files):
    choose(page, files[0])
    page.run("document.querySelector('.word').focus()")
    key = """
        const press = { key: arguments[0], bubbles: true, cancelable: true };
        document.activeElement.dispatchEvent(new KeyboardEvent('keydown', press));
    """
    page.run(key, "ArrowRight")
    assert page.run("return [...document.querySelectorAll('.word')].indexOf(document.activeElement)") == 1
    assert page.run("return document.querySelectorAll('.word[tabindex=\"0\"]').length") == 1
    page.run(key, "ArrowLeft")
    assert page.run("return [...document.querySelectorAll('.word')].indexOf(document.activeElement)") == 0


@pytest.mark.slow
def test_several_pictures_make_a_table_that_downloads(page, model, files, downloads):
    choose(page, *files)
    rows = table(page)
    assert [row[0] for row in rows] == [path.name for path in files]
    assert [row[1] for row in rows[:3]] == [expected(model, path, 3)[0] for path in files[:3]]
    assert "not a picture" in rows[3][1] and text(page, "progress") == "4 pictures, 1 without a caption"
    page.click("#download")
    found = list(csv.DictReader(io.StringIO(downloaded(downloads, "captions.csv"))))
    assert [row["image"] for row in found] == [path.name for path in files]
    assert [row["caption"] for row in found] == [*(row[1] for row in rows[:3]), ""]
    page.run("document.querySelectorAll('.open')[2].click()")
    assert text(page, "name") == files[2].name and caption(page) == rows[2][1]


def downloaded(folder, name):
    """Wait for a download; return its text, and make room for the next."""
    end = time.monotonic() + 30
    while not (folder / name).exists():
        assert time.monotonic() < end
        time.sleep(0.05)
    content = (folder / name).read_text()
    (folder / name).unlink()
    return content


def test_corrections_are_a_caption_file(page, files, downloads, tmp_path):
    choose(page, *files)
    assert page.run("return document.getElementById('download-corrections').disabled") is True
    wanted = {files[0]: 'A dog, on a "blue" sofa .', files[1]: "Zwei Hunde – im Schnee"}
    for path, words in wanted.items():
        page.run("document.querySelectorAll('.open')[arguments[0]].click()", files.index(path))
        page.click("#correct")
        page.run("document.getElementById('corrected').value = ''")
        page.type("#corrected", words)
        page.click("#correction button[type=submit]")
        assert caption(page) == words and text(page, "sure") == "Corrected by you"
    assert text(page, "download-corrections") == "Download 2 corrections"
    page.click("#download-corrections")
    (tmp_path / "corrections.csv").write_text(downloaded(downloads, "corrections.csv"))
    found = read_data(tmp_path / "corrections.csv")
    assert found.references == {path.stem.replace(" ", "%20"): (words,) for path, words in wanted.items()}
    assert "corrected" in table(page)[0][1]


def test_a_correction_can_be_left_alone(page, files):
    choose(page, files[0])
    before = caption(page)
    page.click("#correct")
    page.run("document.getElementById('corrected').value = 'something'")
    page.click("#discard")
    assert caption(page) == before and page.run("return document.activeElement.id") == "correct"


def test_a_file_that_is_no_picture_says_so(page, files):
    page.type("#files", str(files[3]))
    page.wait("return document.getElementById('caption').classList.contains('failed')")
    assert "not a picture" in caption(page) and page.run("return document.getElementById('copy').disabled") is True


PUT = """
    const bytes = Uint8Array.from(atob(arguments[1]), (letter) => letter.charCodeAt(0));
    const data = new DataTransfer();
    data.items.add(new File([bytes], 'image.png', { type: 'image/png' }));
    const event = arguments[0] === 'paste'
      ? new ClipboardEvent('paste', { clipboardData: data, bubbles: true })
      : new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true });
    document.body.dispatchEvent(event);
"""


@pytest.mark.parametrize("way, name", [("paste", "pasted.png"), ("drop", "picture.png")])
def test_a_picture_can_be_pasted_or_dropped(page, model, way, name):
    import base64

    page.run(PUT, way, base64.b64encode(picture(3)).decode())
    settled(page)
    assert caption(page) == expected(model, picture(3))[0] and text(page, "name") == name


def test_a_picture_can_be_taken(page):
    page.click("#photograph")
    page.wait("return document.getElementById('video').videoWidth > 0")
    page.click("#shutter")
    settled(page)
    assert text(page, "name") == "photo.jpg" and caption(page)
    assert (
        page.run("return document.getElementById('camera').open || !!document.getElementById('video').srcObject")
        is False
    )


def test_copying_gives_an_alternative_text(page, model, files):
    page.emulate("Browser.grantPermissions", permissions=["clipboardReadWrite", "clipboardSanitizedWrite"])
    choose(page, files[0])
    page.click("#copy")
    best = expected(model, files[0])[0]
    page.wait("return document.getElementById('copy').textContent === 'Copied'")
    assert text(page, "news") == f"Copied: {best[0].upper()}{best[1:]}."


def test_a_server_with_a_token_asks_for_it(window, model, files):
    with serving(create_app(model, token="letmein", limits=SMALL)) as client:
        window.visit(client.address + "/")
        window.wait("return document.getElementById('door').open")
        window.type("#token", "wrong")
        window.click("#door button")
        window.wait("return document.getElementById('door').open")
        window.run("document.getElementById('token').value = ''")
        window.type("#token", "letmein")
        window.click("#door button")
        window.wait("return document.getElementById('model').textContent.startsWith('tiny')")
        choose(window, files[0])
        assert caption(window) == expected(model, files[0])[0]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width, height", SIZES)
def test_it_fits_and_nothing_jumps(page, client, files, width, height, scheme):
    page.emulate("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    page.emulate(
        "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500
    )
    visit(page, client)
    page.run(SHIFTS)
    choose(page, files[0])
    time.sleep(0.3)
    assert page.run("return document.documentElement.scrollWidth <= innerWidth") is True
    assert sum(value for value, _ in page.run("return shifted")) < 0.002, page.run("return shifted")
    shot = np.asarray(Image.open(io.BytesIO(page.picture())).convert("L"))
    assert (np.median(shot) < 60) == (scheme == "dark")
    small = page.run("""
        return [...document.querySelectorAll('button, input[type=range]')]
          .filter((one) => !one.closest('dialog') && !one.classList.contains('word'))
          .map((one) => one.getBoundingClientRect()).filter((box) => box.height > 0 && box.height < 43).length;
    """)
    assert small == 0  # fingers need 44 pixels


@pytest.fixture(scope="module")
def axe(tmp_path_factory):
    """Return the source of axe-core, from npm."""
    if not shutil.which("npm"):
        pytest.skip("npm is needed")
    folder = tmp_path_factory.mktemp("npm")
    command = ["npm", "install", "--prefix", str(folder), "--no-audit", "--no-fund", "axe-core@4"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=300)
    return (folder / "node_modules" / "axe-core" / "axe.min.js").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width, height", SIZES)
def test_axe_finds_nothing(page, client, files, axe, width, height, scheme):
    page.emulate("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    page.emulate(
        "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500
    )

    def faults():
        page.emulate("Runtime.evaluate", expression=axe)
        page.run("""
            window.found = null;
            const plain = (one) => [one.id, one.nodes.map((node) => node.html)];
            axe.run().then((all) => { window.found = all.violations.map(plain); });
        """)
        return page.wait("return window.found && [window.found]")[0]

    visit(page, client)
    assert faults() == []
    choose(page, *files[:3])
    page.run("document.querySelectorAll('.word')[0].click()")
    assert faults() == []
    page.click("#correct")
    assert faults() == []
    page.visit(client.address + "/docs")
    page.wait("return document.querySelectorAll('article').length > 5")
    assert faults() == []
