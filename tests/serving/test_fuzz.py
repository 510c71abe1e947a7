"""What strangers send: bodies by the API's own description, and noise. Nothing of it is the server's failure."""

import http.client
import json
import random
import socket

import pytest

from tests.serving.server import form, picture

BODIES = 2000


@pytest.fixture(scope="module")
def quiet(client):
    """The API's description without what has no body to make up."""
    return client.get("/openapi.json").json


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_requests_by_the_description(client, quiet):
    import schemathesis
    from hypothesis import HealthCheck, Phase, given, settings
    from schemathesis.checks import not_a_server_error

    schema = schemathesis.openapi.from_dict(quiet)
    sent = 0
    operations = [one.ok() for one in schema.get_all_operations()]
    assert len(operations) >= 12
    for operation in operations:
        with_body = operation.method.upper() == "POST"
        count = BODIES // 7 if with_body else 20

        @given(case=operation.as_strategy())
        @settings(
            max_examples=count,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def fuzz(case):
            nonlocal sent
            response = case.call(base_url=client.address)
            sent += 1
            case.validate_response(response, checks=[not_a_server_error])
            described = case.operation.definition.raw["responses"]
            assert str(response.status_code) in described or response.status_code in (404, 405), response.status_code
            if response.status_code >= 400 and "json" in response.headers.get("content-type", ""):
                assert "error" in response.json() or "status" in response.json()

        fuzz()
    assert sent >= BODIES
    assert client.post_picture("/caption", picture()).status == 200


def noise(rng):
    """Return a method, a path, headers and a body: something sensible that is broken somewhere, or plain noise."""
    path = rng.choice(["/caption", "/captions", "/describe", "/api/chat", "/api/generate", "/api/show", "/caption?n=2"])
    kind, body = rng.choice(
        [
            form([("file", "a.png", picture(rng.randrange(5)))], [("n", "2")]),
            ("image/png", picture(rng.randrange(5))),
            ("image/jpeg", picture(rng.randrange(5), format="JPEG")),
            (
                "application/json",
                json.dumps({"model": "tiny", "image": "iVBO", "messages": [{"images": ["x"]}]}).encode(),
            ),
            ("application/json", b'{"images": ["' + b"A" * 50 + b'"], "stream": false, "model": "tiny"}'),
            ("application/x-www-form-urlencoded", b"image=abc&n=1"),
            (rng.choice(["", "text/html", "multipart/form-data; boundary=", "image/svg+xml"]), rng.randbytes(300)),
        ]
    )
    body = bytearray(body)
    for _ in range(rng.choice([0, 1, 3, 30])):
        if body:
            body[rng.randrange(len(body))] = rng.randrange(256)
    if rng.random() < 0.3:
        del body[rng.randrange(len(body) + 1) :]
    return "POST", path, {"Content-Type": kind} if kind else {}, bytes(body)


@pytest.mark.slow
def test_random_bytes_as_bodies(client):
    rng = random.Random(0)
    statuses = set()
    for _ in range(BODIES):
        method, path, headers, body = noise(rng)
        statuses.add(client.ask(method, path, body, headers).status)
    assert statuses <= {200, 400, 404, 413, 415}, statuses
    assert {200, 400, 415} <= statuses
    assert client.post_picture("/caption", picture()).status == 200


def test_random_bytes_instead_of_requests(client):
    rng = random.Random(1)
    for _ in range(40):
        with client.socket() as connection:
            try:
                connection.sendall(rng.randbytes(rng.randrange(1, 400)) + b"\r\n\r\n")
                connection.shutdown(socket.SHUT_WR)
                answer = connection.recv(1000)
            except OSError:
                continue
            assert not answer or answer.startswith(b"HTTP/1.1 400"), answer
    assert client.post_picture("/caption", picture()).status == 200


def test_a_body_that_breaks_off(client):
    for length in (0, 1, 50):
        connection = http.client.HTTPConnection("127.0.0.1", client.port, timeout=30)
        connection.putrequest("POST", "/caption")
        connection.putheader("Content-Length", "1000")
        connection.endheaders(picture()[:length])
        connection.close()
    assert client.post_picture("/caption", picture()).status == 200
