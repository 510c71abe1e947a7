"""The README's lines for Ray Serve, on a Ray of this machine."""

import re
import textwrap
from pathlib import Path

import pytest

from captioner.captioner import Captioner
from captioner.encoders.encoder import EncoderConfig, build_encoder
from captioner.generation.config import GenerationConfig
from captioner.models.architectures import build_decoder
from captioner.text.vocabulary import TextConfig, Vocabulary
from tests.serving.conftest import WORDS
from tests.serving.server import Client, picture

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_readmes_lines_serve_captions(tmp_path, monkeypatch):
    ray, serve = pytest.importorskip("ray"), pytest.importorskip("ray.serve")
    (lines,) = re.findall(r"^```py\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)
    encoder = build_encoder(EncoderConfig("efficientnet_lite0", "pool", "random"))
    vocabulary = Vocabulary.fit(WORDS, TextConfig())
    decoder = build_decoder({"units": 8, "embedding_size": 4}, len(vocabulary), encoder.feature_shape)
    captioner = Captioner(decoder, vocabulary, encoder.description, GenerationConfig(max_length=5, min_length=2))
    captioner.save_to(tmp_path / "runs" / "merge" / "captioner.keras")
    assert '"runs/merge"' in lines and "num_replicas=2" in lines
    lines = lines.replace("runs/merge", str(tmp_path / "runs" / "merge")).replace("num_replicas=2", "num_replicas=1")
    (tmp_path / "captions.py").write_text(textwrap.dedent(lines))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{tmp_path}")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        import captions

        serve.start(http_options={"host": "127.0.0.1", "port": 8123})
        serve.run(captions.app, name="captions", route_prefix="/")
        client = Client(8123)
        expected = captioner.caption(picture())
        answer = client.post_form("/caption", [("file", "a.png", picture())], [("n", "2")])
        assert answer.status == 200 and answer.json["caption"] == expected.text
        assert client.get("/model").json["name"] == "merge"
        assert client.get("/").status == 200 and client.get("/static/page.js").status == 200
    finally:
        serve.shutdown()
        ray.shutdown()
