"""A model of KerasHub behind the server."""

import base64

import pytest

import captioner
from captioner.serving.app import create_app
from captioner.serving.limits import Limits
from captioner.serving.run import ServerConfig, served_model
from tests.hub.presets import preset
from tests.serving.server import picture, serving

LIMITS = Limits(batch=1, window=0.0, deadline=120)


@pytest.fixture(scope="module")
def folder():
    return preset("PaliGemmaCausalLM")


@pytest.fixture(scope="module")
def model(folder):
    return captioner.load(f"hub:{folder}")


@pytest.fixture(scope="module")
def client(folder):
    with serving(create_app(f"hub:{folder}", limits=LIMITS)) as client:
        yield client


@pytest.mark.slow
def test_it_is_served_as_any_other(client, folder, model):
    for number, caption in enumerate(model.caption([picture(0), picture(1)])):
        answer = client.post_picture("/caption", picture(number))
        assert answer.status == 200
        assert answer.json["caption"] == caption.text
        assert answer.json["confidence"] is None
        assert answer.json["captions"][0]["log_prob"] == pytest.approx(caption.log_prob, abs=1e-3)
    about = client.get("/model").json
    assert about["architecture"] == "PaliGemmaCausalLM"
    assert about["name"] == folder.name
    assert about["attention"] is False
    assert about["weights"] > 0
    assert about["words"] > 20


@pytest.mark.slow
def test_a_request_may_ask_otherwise(client, model):
    prompt = "answer in one sentence"
    usual, asked = model.caption(picture(0)), model.caption(picture(0), prompt=prompt)
    assert usual.text != asked.text, "or nothing is tested"
    data = base64.b64encode(picture(0)).decode()
    for answer in (
        client.post_form("/caption", [("file", "a.png", picture(0))], [("prompt", f" {prompt}\n")]),
        client.post_picture("/caption?prompt=answer%20in%20one%20sentence", picture(0)),
        client.post_json("/caption", {"image": data, "prompt": prompt}),
    ):
        assert answer.json["caption"] == asked.text
    several = client.post_json("/captions", {"images": [data, data], "prompt": prompt}).json["results"]
    assert [one["caption"] for one in several] == [asked.text] * 2
    assert client.post_form("/caption", [("file", "a.png", picture(0))], [("prompt", "")]).json["caption"] == usual.text


@pytest.mark.parametrize(
    "prompt, words",
    [(5, "must be a string"), ("x" * 1001, "1001 characters; send up to 1000"), ("a dog " * 150, "make it shorter")],
)
def test_an_impossible_prompt_is_said(client, prompt, words):
    answer = client.post_json("/caption", {"image": base64.b64encode(picture()).decode(), "prompt": prompt})
    assert answer.status == 400 and answer.json["error"].startswith("prompt: ") and words in answer.json["error"]
    assert client.post_picture("/caption", picture()).status == 200, "the queue is free again"


def test_the_description_says_that_it_takes_a_prompt(client):
    described = client.get("/openapi.json").json
    operation = described["paths"]["/caption"]["post"]
    for properties in (
        {one["name"]: one["schema"] for one in operation["parameters"]},
        operation["requestBody"]["content"]["multipart/form-data"]["schema"]["properties"],
        operation["requestBody"]["content"]["application/json"]["schema"]["properties"],
    ):
        assert properties["prompt"]["default"] == "caption en" and properties["prompt"]["maxLength"] == 1000
    assert client.get("/model").json["prompt"] == "caption en"


def test_programs_that_speak_to_ollama_pass_their_prompt_with_a_picture_only(client, folder, model):
    prompt, data = "answer in one sentence", base64.b64encode(picture(0)).decode()
    asked = model.caption(picture(0), prompt=prompt).text
    expected = asked[0].upper() + asked[1:] + "."
    generate = {"model": folder.name, "prompt": prompt, "images": [data], "stream": False}
    assert client.post_json("/api/generate", generate).json["response"] == expected
    messages = [{"role": "user", "content": prompt, "images": [data]}, {"role": "user", "content": "Well?"}]
    chat = {"model": folder.name, "messages": messages, "stream": False}
    assert client.post_json("/api/chat", chat).json["message"]["content"] == expected
    alone = {"model": folder.name, "prompt": prompt, "stream": False}
    assert client.post_json("/api/generate", alone).status == 400
    assert client.post_json("/api/generate", {**generate, "prompt": "a " * 600}).status == 400


def test_what_its_kind_lacks_is_said_and_keeps_it_from_nothing():
    """KerasHub has no beam search for Gemma 3: several captions are refused, and the server gets ready all the same."""
    with serving(create_app(f"hub:{preset('Gemma3CausalLM')}", limits=LIMITS)) as client:
        assert client.post_picture("/caption", picture()).status == 200
        answer = client.post_picture("/caption?n=2", picture())
        assert answer.status == 400 and "no beam search for Gemma3CausalLM" in answer.json["error"]


def test_processes_of_a_server_learn_its_name(folder):
    config = ServerConfig((f"hub:{folder}", "hub:hf://somebody/model"))
    assert ServerConfig.from_json(config.to_json()).models == config.models
    name = f"hub:{folder}"
    assert served_model(captioner.load(name), [name]).scores == {}
