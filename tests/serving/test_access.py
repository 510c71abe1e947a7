import contextlib
import json
import logging

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from captioner.config import ConfigError
from captioner.serving.app import create_app
from tests.serving.conftest import SMALL
from tests.serving.server import picture, serving, until

TOKEN = "a-long-secret"


@pytest.fixture(scope="module")
def locked(model):
    with serving(create_app(model, token=TOKEN, origins=["https://photos.example"], limits=SMALL)) as client:
        yield client


@pytest.mark.parametrize("path", ["/caption", "/captions", "/describe", "/api/chat", "/api/generate", "/nowhere", "//"])
@pytest.mark.parametrize(
    "given", [None, "", "Bearer", "Bearer ", "Bearer a-long-secre", "Basic a-long-secret", "Bearer é"]
)
def test_nobody_comes_in_without_the_token(locked, path, given):
    headers = {} if given is None else {"Authorization": given.encode()}
    answer = locked.ask("POST", path, b"{}", headers)
    assert answer.status == 401 and answer.headers["www-authenticate"] == "Bearer"
    assert "Authorization: Bearer TOKEN" in answer.json["error"] and TOKEN not in answer.json["error"]


@pytest.mark.parametrize("path", ["/metrics", "/model", "/api/tags"])
def test_what_is_read_needs_it_too(locked, path):
    assert locked.get(path).status == 401
    assert locked.get(path, Authorization=f"Bearer {TOKEN}").status == 200


def test_the_token_lets_in(locked):
    for kind in ("Bearer", "bearer", "BEARER"):
        assert locked.post_picture("/caption", picture(), Authorization=f"{kind} {TOKEN}").status == 200


def test_the_page_and_the_monitors_are_open(locked):
    for path in ("/", "/static/page.js", "/healthz", "/readyz", "/openapi.json", "/docs"):
        assert locked.get(path).status == 200, path
    described = locked.get("/openapi.json").json
    assert described["security"] == [{"token": []}] and described["paths"]["/healthz"]["get"]["security"] == []


def test_the_same_paths_are_open_where_the_application_is_mounted_in_another(model):
    inside = create_app(model, token=TOKEN, limits=SMALL)

    @contextlib.asynccontextmanager
    async def lifespan(_app):
        async with inside.router.lifespan_context(inside):
            yield

    with serving(Starlette(routes=[Mount("/cap", inside)], lifespan=lifespan), ready=False) as mounted:
        until(lambda: mounted.get("/cap/readyz").status == 200, seconds=60)
        for path in ("/cap/", "/cap/static/page.js", "/cap/healthz", "/cap/docs"):
            assert mounted.get(path).status == 200, path
        for path in ("/cap/metrics", "/cap/model", "/cap/cap/healthz"):
            assert mounted.get(path).status == 401, path
        assert mounted.get("/cap/model", Authorization=f"Bearer {TOKEN}").status == 200


def test_an_empty_token_is_none_that_anybody_meant(model):
    with pytest.raises(ConfigError, match="token: is empty"):
        create_app(model, token="")


def test_other_web_pages_ask_only_where_they_are_named(locked, client):
    asks = {"Origin": "https://photos.example", "Access-Control-Request-Method": "POST"}
    allowed = locked.ask("OPTIONS", "/caption", headers={**asks, "Access-Control-Request-Headers": "authorization"})
    assert allowed.status == 200 and allowed.headers["access-control-allow-origin"] == "https://photos.example"
    others = locked.ask("OPTIONS", "/caption", headers={**asks, "Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in others.headers
    off = client.ask("OPTIONS", "/caption", headers=asks)
    assert off.status == 405 and "access-control-allow-origin" not in off.headers
    assert (
        "access-control-allow-origin" not in client.post_picture("/caption", picture(), Origin=asks["Origin"]).headers
    )


def test_each_request_leaves_one_line_with_its_id_and_no_picture(locked, caplog):
    caplog.set_level(logging.INFO, "captioner.serving.access")
    answer = locked.post_form("/caption", [("file", "secret-name.png", picture())], Authorization=f"Bearer {TOKEN}")

    def written():
        return [record for record in caplog.records if record.name == "captioner.serving.access"]

    until(written, seconds=60)  # the line comes when the answer has been sent
    (record,) = written()
    line = json.loads(record.getMessage())
    assert line["id"] == answer.headers["x-request-id"]
    assert (line["method"], line["path"], line["status"]) == ("POST", "/caption", 200)
    assert line["bytes_in"] > len(picture()) and line["bytes_out"] == len(answer.body) and line["ms"] > 0
    assert "secret" not in record.getMessage() and "PNG" not in record.getMessage()


@pytest.mark.parametrize("given, kept", [("abc-1.2_3", True), ("a b", False), ("x" * 65, False), ('"}', False)])
def test_a_clients_own_id_is_kept_where_it_is_harmless(client, given, kept):
    found = client.get("/healthz", **{"X-Request-Id": given}).headers["x-request-id"]
    assert (found == given) is kept and found


def test_metrics_count_by_known_routes_only(client):
    for path in ("/made-up-1", "/made-up-2", "/static/page.js"):
        client.get(path)
    client.post_picture("/caption", picture())
    text = client.get("/metrics").body.decode()
    assert 'captioner_requests_total{route="/caption",status="200"}' in text
    assert 'captioner_requests_total{route="other",status="404"}' in text and "made-up" not in text
    for name in ("captioner_request_seconds_bucket", "captioner_batch_pictures_sum", "captioner_ready 1.0"):
        assert name in text
    assert client.get("/metrics").headers["content-type"].startswith("text/plain")
