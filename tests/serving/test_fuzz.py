"""Requests of every kind, damaged ones too: the server answers each, never with an error of its own."""

import json

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from captioner.export.fast import FastCaptioner
from captioner.export.fast_graph import write_graphs
from captioner.serving.app import create_app
from captioner.serving.model import ServedModel
from tests.serving.conftest import SMALL
from tests.serving.server import form, picture, serving

FEW, MANY = 60, 2000  # requests
CHECKS = (not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance)
PATHS = ("/caption", "/captions", "/describe", "/api/generate", "/api/chat", "/api/show")
KINDS = (
    "image/png",
    "application/json",
    "multipart/form-data",
    "multipart/form-data; boundary=x",
    "application/x-www-form-urlencoded",
    "application/octet-stream",
    "text/plain; charset=nothing",
    "",
    "/;;=",
)
WHOLE = form([("file", "a.png", picture())], [("n", "2"), ("style", "alt")])
JSON = json.dumps({"image": "iVBORw0KGgo=", "images": ["AAAA"], "n": 2, "model": "tiny", "stream": False}).encode()


@pytest.fixture(scope="module")
def client(model, tmp_path_factory):
    """A server on onnxruntime, which compiles nothing when another beam is asked for."""
    folder = tmp_path_factory.mktemp("graph")
    write_graphs(folder, model.captioner, "")
    with serving(create_app(ServedModel(FastCaptioner(folder), "tiny"), limits=SMALL)) as client:
        yield client


def quickly(examples):
    """Return settings that draw so many requests, the same ones each time."""
    return settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


def ask_as_described(client, examples):
    """Send requests that the description allows, and some that it does not; return how many statuses came."""
    schema = schemathesis.openapi.from_dict(client.get("/openapi.json").json)
    operations = [found.ok() for found in schema.get_all_operations()]
    statuses = {}
    with requests.Session() as session:

        @quickly(examples)
        @given(st.data())
        def ask(data):
            operation = data.draw(st.sampled_from(operations), label="operation")
            case = data.draw(operation.as_strategy(), label="case")
            answer = case.call(base_url=client.address, session=session, timeout=60)
            statuses[answer.status_code] = statuses.get(answer.status_code, 0) + 1
            case.validate_response(answer, checks=CHECKS)

        ask()
    return statuses


def damaged(data):
    """Return a content type and a body: random bytes, or a good body with some of its bytes changed."""
    if data.draw(st.booleans()):
        return data.draw(st.sampled_from(KINDS)), data.draw(st.binary(max_size=400))
    kind, body = data.draw(st.sampled_from([WHOLE, ("application/json", JSON), ("image/png", picture())]))
    changed = bytearray(body)
    for place in data.draw(st.lists(st.integers(0, len(body) - 1), min_size=1, max_size=8)):
        changed[place] = data.draw(st.integers(0, 255))
    return kind, bytes(changed[: data.draw(st.integers(0, len(body)))] if data.draw(st.booleans()) else changed)


def send_noise(client, examples):
    """Send bytes of no meaning to every address; return how many statuses came."""
    statuses = {}

    @quickly(examples)
    @given(st.data())
    def send(data):
        kind, body = damaged(data)
        path = data.draw(st.sampled_from(PATHS)) + data.draw(st.sampled_from(["", "?n=2", "?n=%00", "?beam_size=-1"]))
        answer = client.ask("POST", path, body, {"Content-Type": kind})
        assert answer.status < 500, (answer, path, kind, body)
        if answer.status >= 400:
            assert answer.json["error"], answer
        statuses[answer.status] = statuses.get(answer.status, 0) + 1

    send()
    return statuses


@pytest.mark.slow
def test_a_few_requests_as_described(client):
    assert 200 in ask_as_described(client, FEW)
    assert client.post_picture("/caption", picture()).status == 200


def test_a_little_noise(client):
    statuses = send_noise(client, FEW)
    assert {400, 415} <= set(statuses), statuses
    assert client.post_picture("/caption", picture()).status == 200


@pytest.mark.slow
def test_many_requests_as_described(client):
    statuses = ask_as_described(client, MANY)
    assert {200, 400} <= set(statuses), statuses
    assert client.post_picture("/caption", picture()).status == 200


@pytest.mark.slow
def test_much_noise(client):
    statuses = send_noise(client, MANY)
    assert {200, 400, 415} <= set(statuses), statuses
    assert client.post_picture("/caption", picture()).status == 200
