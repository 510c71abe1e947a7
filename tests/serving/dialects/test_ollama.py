"""Requests that Ollama's own clients sent, recorded, and those that photo libraries write by hand."""

import base64
import json
from pathlib import Path

import pytest

from tests.serving.server import picture

RECORDED = Path(__file__).parent / "recorded"
PICTURE = base64.b64encode(picture(1)).decode()


def recorded():
    for path in sorted(RECORDED.glob("*.json")):
        for number, request in enumerate(json.loads(path.read_text())):
            yield pytest.param(request, id=f"{path.stem}-{number}-{request['path']}")


def with_picture(value):
    """Return a recorded body with a picture in the place of the first bytes of one."""
    if isinstance(value, dict):
        return {name: with_picture(one) for name, one in value.items()}
    if isinstance(value, list):
        return [with_picture(one) for one in value]
    return PICTURE if isinstance(value, str) and value.startswith("iVBORw0KGgo") else value


@pytest.fixture
def caption(model):
    text = model.captioner.caption_batch([picture(1)])[0][0].text
    return text[0].upper() + text[1:] + "."


def lines(answer):
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.body.decode().splitlines()]


def said(parts):
    """Return what a client puts together out of the parts of an answer."""
    return "".join(part["message"]["content"] if "message" in part else part["response"] for part in parts)


@pytest.mark.parametrize("request_", list(recorded()))
def test_recorded_requests(client, caption, request_):
    body = with_picture(request_["body"])
    sent = None if body is None else json.dumps(body)
    answer = client.ask(request_["method"], request_["path"], sent, request_["headers"])
    assert answer.status == 200, answer
    if request_["path"] == "/api/tags":
        assert [model["name"] for model in answer.json["models"]] == ["tiny:latest"]
    elif request_["path"] == "/api/show":
        assert "vision" in answer.json["capabilities"]
    else:
        parts = lines(answer) if body["stream"] else [answer.json]
        pictured = "messages" in body or "images" in body
        assert said(parts) == (caption if pictured else "")
        assert [part["done"] for part in parts] == [False] * (len(parts) - 1) + [True]
        assert parts[-1]["done_reason"] == ("stop" if pictured else "load")
        assert all(part["model"] == "tiny" and part["created_at"].endswith("Z") for part in parts)
        assert (len(parts) > 1) is body["stream"]
        if pictured:
            assert parts[-1]["eval_count"] == len(caption.split()) and parts[-1]["total_duration"] > 0


def test_an_answer_is_a_stream_unless_the_client_wants_none(client, caption):
    asked = {"model": "tiny:latest", "prompt": "Describe.", "images": [PICTURE]}
    assert said(lines(client.post_json("/api/generate", asked))) == caption
    assert client.post_json("/api/generate", {**asked, "stream": False}).json["response"] == caption


def test_what_a_photo_library_writes_by_hand(client, caption):
    asked = {
        "model": "tiny",
        "system": "You describe photographs for an archive.",
        "prompt": "Create a caption with exactly one sentence.",
        "images": [PICTURE],
        "stream": False,
        "format": "",
        "think": False,
        "keep_alive": "10m",
        "options": {"temperature": 0.1, "top_p": 0.9, "num_ctx": 4096, "seed": 1, "stop": ["\n"]},
    }
    answer = client.ask("POST", "/api/generate", json.dumps(asked))  # some send no content type
    assert answer.json["response"] == caption


def test_the_last_message_with_a_picture_counts(client, caption):
    other = base64.b64encode(picture(7)).decode()
    messages = [
        {"role": "user", "content": "This?", "images": [other]},
        {"role": "assistant", "content": "A dog."},
        {"role": "user", "content": "", "images": [PICTURE]},
        {"role": "user", "content": "And this?"},
    ]
    answer = client.post_json("/api/chat", {"model": "tiny", "messages": messages, "stream": False})
    assert answer.json["message"] == {"role": "assistant", "content": caption}


def test_several_pictures_get_a_line_each(client, caption):
    asked = {"model": "tiny", "prompt": "x", "images": [PICTURE, PICTURE], "stream": False}
    assert client.post_json("/api/generate", asked).json["response"] == f"{caption}\n{caption}"


def test_a_model_that_is_let_go_of(client):
    answer = client.post_json("/api/generate", {"model": "tiny", "keep_alive": 0, "stream": False})
    assert answer.json["done_reason"] == "unload"


@pytest.mark.parametrize(
    "path, content, status, words",
    [
        ("generate", {"model": "llava", "images": [PICTURE]}, 404, "model 'llava' not found"),
        ("generate", {"images": [PICTURE]}, 400, "model is required"),
        ("generate", {"model": 5, "images": [PICTURE]}, 400, "model is required"),
        ("generate", {"model": "tiny", "prompt": "Write a poem."}, 400, "only captions pictures"),
        ("generate", {"model": "tiny", "images": "x"}, 400, "images: must be a list"),
        ("generate", {"model": "tiny", "images": [5]}, 400, "base64"),
        ("generate", {"model": "tiny", "images": ["/etc/passwd"]}, 415, "not a picture"),
        ("generate", {"model": "tiny", "images": ["http://127.0.0.1/a.png"]}, 400, "base64"),
        ("generate", {"model": "tiny", "images": [PICTURE] * 33}, 413, "too many"),
        ("generate", {"model": "tiny", "images": [PICTURE], "format": "json"}, 400, "format: tiny does not support"),
        ("generate", {"model": "tiny", "images": [PICTURE], "format": {"type": "object"}}, 400, "format"),
        ("generate", {"model": "tiny", "images": [PICTURE], "suffix": "x"}, 400, "suffix"),
        ("generate", {"model": "tiny", "images": [PICTURE], "stream": "no"}, 400, "stream: must be true or false"),
        ("chat", {"model": "tiny", "messages": [{"role": "user", "content": "Hello"}]}, 400, "only captions pictures"),
        ("chat", {"model": "tiny", "messages": "x"}, 400, "messages: must be a list"),
        ("chat", {"model": "tiny", "messages": ["x"]}, 400, "messages: must be a list"),
        ("chat", {"model": "tiny", "messages": [{"role": "user", "images": {"a": 1}}]}, 400, "images: must be"),
        ("chat", {"model": "tiny", "messages": [], "tools": [{"type": "function"}]}, 400, "tools"),
        ("show", {"model": "llava"}, 404, "not found"),
    ],
)
def test_it_goes_no_further_than_captions(client, path, content, status, words):
    answer = client.post_json(f"/api/{path}", content)
    assert answer.status == status and words in answer.json["error"], answer


@pytest.mark.parametrize("path", ["pull", "delete", "create", "push", "copy", "embed", "embeddings", "ps", "blobs/x"])
def test_the_rest_of_ollama_is_not_there(client, path):
    assert client.post_json(f"/api/{path}", {"model": "tiny"}).status == 404


def test_version(client):
    assert client.get("/api/version").json["version"]


@pytest.mark.parametrize("path", ["/api/show", "/api/chat", "/api/generate"])
def test_a_model_whose_name_is_no_text_is_not_found(client, path):
    answer = client.post_json(path, {"model": "\ud83d"})
    assert answer.status == 404 and answer.json["error"].startswith("model '?' not found")
