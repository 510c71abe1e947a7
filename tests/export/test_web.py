"""The browser's side: its resizing beside Pillow's, the graph under Node, the page in Chromium."""

import contextlib
import functools
import http.server
import json
import os
import shutil
import subprocess
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from captioner.config import ConfigError
from captioner.export.graphs import whole_piece
from captioner.export.onnx_file import write_onnx
from captioner.export.web import BACKEND, require_runtime, write_page
from captioner.images.decode import resize
from captioner.storage import write_json
from captioner.text.cleaning import BETWEEN_SPACELESS
from tests.export.cases import make, pictures
from tests.report.browser import browser, needs_chromium

# onnxruntime-web's dist folder: no part of the project, `npm install onnxruntime-web` brings it
RUNTIME = Path(os.environ.get("ONNXRUNTIME_WEB", "node_modules/onnxruntime-web/dist"))
needs_node = pytest.mark.skipif(not shutil.which("node"), reason="node is needed")
needs_runtime = pytest.mark.skipif(
    not RUNTIME.is_dir(), reason="onnxruntime-web is needed: npm install, or ONNXRUNTIME_WEB names its dist folder"
)

FIT = """
const { fit } = require(process.argv[1]), fs = require("fs");
for (const one of JSON.parse(fs.readFileSync(0))) {
  one.data = Uint8Array.from(Buffer.from(one.data, "base64"));
  console.log(Buffer.from(fit(one, one)).toString("hex"));
}
"""
CAPTION = """
const [, backend, dist, folder] = process.argv, path = require("path"), fs = require("fs");
const ort = require(path.join(dist, "ort.node.min.js")), { captionPixels } = require(backend);
const read = (name) => JSON.parse(fs.readFileSync(path.join(folder, name)));
(async () => {
  ort.env.wasm.numThreads = 1;
  const session = await ort.InferenceSession.create(path.join(folder, "captioner.onnx"));
  const all = Uint8Array.from(fs.readFileSync(path.join(folder, "pixels")));
  const settings = read("settings.json"), size = settings.input_size[0] * settings.input_size[1] * 3, found = [];
  for (let start = 0; start < all.length; start += size) {
    found.push(await captionPixels(ort, session, all.slice(start, start + size), read("vocabulary.json"), settings, 3));
  }
  console.log(JSON.stringify(found));
})();
"""


def node(program, *arguments, given=""):
    done = subprocess.run(
        ["node", "-e", program, *map(str, arguments)], input=given, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@needs_node
def test_the_page_resizes_as_captioner_does():
    import base64

    given, expected = [], []
    for shape in ((30, 90), (70, 33), (10, 12)):
        picture = np.asarray(Image.fromarray(pictures(1, (6, 8))[0]).resize(shape[::-1], Image.BICUBIC))
        for resizing in ("whole", "crop", "pad"):
            for kernel in ("bicubic", "bilinear", "lanczos"):
                settings = {"input_size": [24, 40], "resizing": resizing, "filter": kernel}
                data = base64.b64encode(picture.tobytes()).decode()
                given.append({"data": data, "height": shape[0], "width": shape[1], "channels": 3, **settings})
                expected.append(resize(picture, (24, 40), resizing, kernel))
    found = node(FIT, BACKEND, given=json.dumps(given)).split()
    for line, ours, case in zip(found, expected, given, strict=True):
        theirs = np.frombuffer(bytes.fromhex(line), np.uint8).reshape(24, 40, 3)
        difference = np.abs(ours.astype(int) - theirs)
        # Pillow chooses whether rows or columns come first; between the two a level is rounded.
        assert difference.max() <= 2 and (difference > 1).mean() < 0.01, {**case, "data": ""}


@pytest.fixture
def folder(tmp_path):
    """A web folder but for the page, and the captioner that it was made from."""
    model = make("transformer")
    write_onnx(tmp_path / "captioner.onnx", whole_piece(model, 3), "float32", {})
    model.vocabulary.save(tmp_path / "vocabulary.json")
    settings = {"input_size": [9, 13], "resizing": "whole", "filter": "bicubic", "captions": 3, "name": "tiny"}
    about = {"about": "Transformer over tiny", "no_space_between": BETWEEN_SPACELESS.pattern}
    write_json(tmp_path / "settings.json", {**settings, **about})
    return tmp_path, model


@needs_node
@needs_runtime
def test_the_graph_gives_the_same_captions_under_node(folder):
    place, model = folder
    (place / "pixels").write_bytes(pictures().tobytes())
    found = json.loads(node(CAPTION, BACKEND, RUNTIME.resolve(), place))
    for row, captions in zip(found, model.caption_batch(list(pictures()), 3), strict=True):
        assert [one["caption"] for one in row] == [caption.text for caption in captions]
        np.testing.assert_allclose([one["log_prob"] for one in row], [one.log_prob for one in captions], atol=1e-4)


def test_a_runtime_that_is_missing(tmp_path):
    with pytest.raises(ConfigError, match=r"has no ort\.wasm\.min\.js; run `npm install onnxruntime-web`"):
        require_runtime(tmp_path)


@contextlib.contextmanager
def served(folder):
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@needs_chromium
@needs_runtime
def test_the_page_captions_in_the_browser(folder, tmp_path):
    place, model = folder
    write_page(place, require_runtime(RUNTIME))
    Image.fromarray(pictures(1, (30, 40))[0]).save(place / "a.png")
    expected = [one.text for one in model.caption(place / "a.png", n=3)]
    with served(place) as address, browser(tmp_path / "profile") as window:
        window._ask("POST", window.session + "/url", {"url": address})
        window.run(
            "fetch('a.png').then((answer) => answer.blob()).then((blob) => captionerBackend.caption(blob, { n: 3 }))"
            ".then((found) => { window.found = found; }, (error) => { window.found = { error: error.message }; });"
        )
        found = None
        for _ in range(300):
            found = window.run("return window.found;")
            if found:
                break
            time.sleep(0.2)
        assert [one["caption"] for one in found["captions"]] == expected, found
        assert "tiny" in window.run("return document.getElementById('model').textContent;")
        (tmp_path / "page.png").write_bytes(window.picture())
        messages = [one for one in window.logs("browser") if one["level"] == "SEVERE"]
        assert not messages
        events = [json.loads(one["message"])["message"] for one in window.logs("performance")]
        sent = [one["params"] for one in events if one["method"] == "Network.requestWillBeSent"]
        asked = [one["request"]["url"] for one in sent if one["documentURL"].startswith(address)]  # not by the new tab
        assert asked and all(url.startswith((address, "data:", "blob:")) for url in asked), asked
