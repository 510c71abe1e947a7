"""captioner serve, as it is called: what it refuses, what it prints, how it ends."""

import contextlib
import gc
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from captioner.captioner import Captioner
from captioner.cli import serve
from captioner.encoders.encoder import EncoderConfig, build_encoder
from captioner.generation.config import GenerationConfig
from captioner.models.architectures import build_decoder
from captioner.pretrained.box import CARD
from captioner.serving.run import ServerConfig
from captioner.storage import write_json
from captioner.text.vocabulary import TextConfig, Vocabulary
from tests.interrupts import interrupts_heeded
from tests.serving.server import Client, picture, until

ROOT = Path(__file__).parents[2]
WORDS = [["a", "dog", "runs"], ["a", "cat", "sleeps"]]


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--port", "99999"], ["'--port'", "0<=x<=65535"]),
        (["--workers", "0"], ["'--workers'", "x>=1"]),
        (["--batch", "3"], ["batch: must be a power of two such as 16, found 3"]),
        (["--batch", "64", "--queue", "32"], ["--batch 64", "--queue 32"]),
        (["--deadline", "0"], ["'--deadline'", "x>0"]),
        (["--model", ""], ["'--model'", "the name is empty"]),
        (["--token", ""], ["--token: must consist of visible ASCII characters"]),
        (["--token", "schlüssel"], ["--token"]),
        (["--token", "a b\n"], ["--token"]),
    ],
)
def test_wrong_calls(refused, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    refused(2, words, "serve", *arguments)


def test_an_empty_token_in_the_environment_lets_nobody_in_by_mistake(refused, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CAPTIONER_TOKEN", "")
    refused(2, ["CAPTIONER_TOKEN: is empty", "unset it"], "serve", "--host", "0.0.0.0", "--port", "0")
    monkeypatch.setenv("CAPTIONER_TOKEN", "schlüssel")
    refused(2, ["--token"], "serve", "--port", "0")


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--port", "0"], ["runs", "contains no trained captioner"]),
        (["--port", "0", "--model", "nothing"], ["nothing", "captioner train"]),
        (
            ["--host", "nowhere.invalid", "--model", "nothing"],
            ["nowhere.invalid:5000: cannot listen there"],
        ),
    ],
)
def test_what_cannot_be_served(refused, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("captioner.pretrained.box.BOX", tmp_path / "none.keras")  # or it would be served
    refused(1, words, "serve", *arguments)


def test_a_port_that_is_taken_is_said_before_any_model_is_loaded(refused, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        words = [f"127.0.0.1:{port}: cannot listen there", "choose another --port"]
        refused(1, words, "serve", "--port", port, "--model", "nothing")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run folder that another process can load: EfficientNet-Lite0 with random weights, an untrained decoder."""
    folder = tmp_path_factory.mktemp("served") / "pets"
    encoder = build_encoder(EncoderConfig("efficientnet_lite0", "pool", "random"))
    vocabulary = Vocabulary.fit(WORDS, TextConfig())
    decoder = build_decoder({"units": 8, "embedding_size": 4}, len(vocabulary), encoder.feature_shape)
    generation = GenerationConfig(beam_size=2, max_length=5, min_length=2)
    Captioner(decoder, vocabulary, encoder.description, generation).save_to(folder / "captioner.keras")
    write_json(folder / "evaluations" / "dev" / "scores.json", {"bleu_4": 0.25, "cider_d": 0.5, "pictures": 7})
    return folder


class Started:
    """A `captioner serve` in a process of its own."""

    def __init__(self, *arguments):
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
        command = [sys.executable, "-m", "captioner", "serve", "--port", "0", "--batch", "2", *map(str, arguments)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        with interrupts_heeded():
            self.process = subprocess.Popen(command, env=environment, **pipes)
        self.printed = [self.process.stdout.readline() for _ in range(3)]
        found = re.search(r"http://127\.0\.0\.1:(\d+)", self.printed[0])
        assert found, (self.printed, self.process.stderr.read())
        self.client = Client(int(found[1]))
        self.said = []
        self.reader = threading.Thread(target=lambda: self.said.extend(self.process.stderr))
        self.reader.start()
        until(self.ready, seconds=300)

    def ready(self):
        assert self.process.poll() is None, self.said
        try:
            return self.client.get("/readyz").status == 200
        except OSError:
            return False

    def end(self, number):
        """Send a signal; return the exit code."""
        self.process.send_signal(number)
        code = self.process.wait(120)
        self.reader.join()
        self.process.stdout.close()
        self.process.stderr.close()
        return code


def ask_as_the_readme_does(address, folder):
    """Run the README's calls of curl against a server; return what each printed."""
    for name in ("a.jpg", "b.jpg"):
        (folder / name).write_bytes(picture(format="JPEG"))
    calls = re.findall(r"^\$ (curl .*127\.0\.0\.1:5000.*)$", (ROOT / "README.md").read_text(), re.M)
    assert len(calls) >= 3
    quiet = [call.replace("http://127.0.0.1:5000", address).replace("curl", "curl -sS") for call in calls]
    return [json.loads(subprocess.check_output(shlex.split(call), cwd=folder, text=True)) for call in quiet]


@pytest.mark.slow
def test_it_says_what_it_is_and_sigterm_answers_what_was_accepted(run, tmp_path):
    started = Started("--model", run)
    assert started.printed[0].startswith("captioner is at http://127.0.0.1:")
    assert str(run) in started.printed[1] and "merge over efficientnet_lite0 pool" in started.printed[1]
    assert started.printed[2] == "scores: BLEU-4 25.00  CIDEr-D 50.00\n"
    caption = started.client.post_form("/caption", [("file", "x.png", picture())]).json["caption"]
    if shutil.which("curl"):
        one, several, two = ask_as_the_readme_does(started.client.address, tmp_path)
        assert one["caption"] and len(several["captions"]) == 3 and several["caption"].endswith(".")
        assert [result["file"] for result in two["results"]] == ["a.jpg", "b.jpg"]
    before = len([line for line in started.said if '"/caption"' in line])
    with ThreadPoolExecutor(12) as threads:
        asked = [threads.submit(started.client.post_picture, "/caption", picture()) for _ in range(12)]
        until(lambda: b"captioner_queued_pictures 0.0" not in started.client.get("/metrics").body or asked[0].done())
        code = started.end(signal.SIGTERM)
        answers = [one.result() for one in asked if one.exception() is None]
    assert code == 0
    assert answers and all(answer.status == 200 and answer.json["caption"] == caption for answer in answers)
    lines = [json.loads(line) for line in started.said if line.startswith("{")]
    assert {"id", "method", "path", "status", "ms"} <= set(lines[0])
    assert not [line for line in started.said if "Traceback" in line or "WARNING" in line]
    # whoever was let in has a line with 200, and nobody was let in without an answer
    assert sum(line["path"] == "/caption" and line["status"] == 200 for line in lines) == len(answers) + before
    assert {line["status"] for line in lines if line["path"] == "/caption"} == {200}


def test_the_box_is_served_on_onnxruntime():
    started = Started()
    assert "transformer over efficientnet_lite2" in started.printed[1] and "on onnxruntime)" in started.printed[1]
    assert started.printed[2] == f"scores: see {CARD}\n"
    fields = [("n", "3"), ("attention", "true")]
    answer = started.client.post_form("/caption", [("file", "x.png", picture())], fields)
    assert answer.status == 200 and len(answer.json["captions"]) == 3 and answer.json["captions"][0]["attention"], (
        answer.json
    )
    assert "tensorflow" not in Path(f"/proc/{started.process.pid}/maps").read_text()
    assert started.end(signal.SIGTERM) == 0


@pytest.mark.slow
def test_several_processes_share_the_port_and_the_numbers(run):
    started = Started("--model", run, "--workers", "2", "--token", "secret")
    key = {"Authorization": "Bearer secret"}
    until(lambda: b"captioner_ready 1.0" in started.client.get("/metrics", **key).body, seconds=300)
    for _ in range(10):
        assert started.client.post_picture("/caption", picture(), **key).status == 200
        assert started.client.post_picture("/caption", picture()).status == 401
    text = started.client.get("/metrics", **key).body.decode()
    assert 'captioner_requests_total{route="/caption",status="200"} 10.0' in text
    assert started.end(signal.SIGTERM) == 0
    lines = [json.loads(line) for line in started.said if line.startswith("{")]
    assert sum(line["path"] == "/caption" and line["status"] == 200 for line in lines) == 10


def test_a_worker_prints_its_messages_to_its_end(monkeypatch):
    ended = []

    @contextlib.contextmanager
    def printing():
        try:
            yield
        finally:
            ended.append(True)

    monkeypatch.setattr(serve, "messages_printed", printing)
    monkeypatch.setattr(serve, "_printing", contextlib.ExitStack())
    monkeypatch.setattr(serve, "_load", lambda config: "model")
    monkeypatch.setattr("captioner.serving.app.create_app", lambda model, **_: model)
    monkeypatch.setenv("CAPTIONER_SERVE", ServerConfig((Path("x"),)).to_json())
    assert serve.worker_app() == "model"
    gc.collect()
    assert not ended
    serve._printing.close()
    assert ended


@pytest.mark.slow
def test_ctrl_c_ends_it_in_one_line(run):
    started = Started("--model", run, "--host", "127.0.0.1")
    assert started.end(signal.SIGINT) == 130
    assert started.said[-1] == "captioner: interrupted; the requests that were accepted were answered\n"
