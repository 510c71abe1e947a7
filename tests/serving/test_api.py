import base64
import json
import urllib.parse

import pytest

from captioner.captioner import Captioner
from tests.serving.server import picture


def expected(model, data, n=1, **options):
    """Return what the captioner itself says."""
    return [caption.text for caption in model.captioner.caption_batch([data], n, **options)[0]]


def test_a_form_of_a_few_lines_gets_a_caption(client, model):
    answer = client.post_form("/caption", [("file", "dog.png", picture())])
    assert answer.status == 200 and answer.headers["content-type"] == "application/json"
    assert answer.json["caption"] == expected(model, picture())[0] and answer.json["caption"]
    assert answer.json["model"] == "tiny" and answer.json["confidence"] is None
    assert [one["caption"] for one in answer.json["captions"]] == [answer.json["caption"]]


@pytest.mark.parametrize("field", ["file", "image", "photo"])
def test_a_form_may_call_its_picture_otherwise(client, field):
    assert client.post_form("/caption", [(field, "a b.png", picture())]).status == 200


def test_every_way_to_send_a_picture_gives_the_same(client, model):
    data, text = picture(1), base64.b64encode(picture(1)).decode()
    ways = [
        client.post_form("/caption", [("file", "x.png", data)]),
        client.post_form("/caption", fields=[("file", text)]),
        client.post_picture("/caption", data),
        client.post_picture("/caption", data, "application/octet-stream"),
        client.ask("POST", "/caption", data),
        client.post_json("/caption", {"image": text}),
        client.post_json("/caption", {"image": f"data:image/png;base64,{text}"}),
        client.post_json("/caption", {"file": {"name": "x.png", "data": text}}),
        client.ask(
            "POST",
            "/caption",
            urllib.parse.urlencode({"image": text}),
            {"Content-Type": "application/x-www-form-urlencoded"},
        ),
    ]
    assert [way.status for way in ways] == [200] * len(ways)
    assert {way.json["caption"] for way in ways} == {expected(model, data)[0]}


def test_several_captions_come_best_first(client, model):
    for way in (
        client.post_form("/caption", [("file", "x.png", picture(2))], [("n", "3")]),
        client.post_picture("/caption?n=3", picture(2)),
        client.post_json("/caption", {"image": base64.b64encode(picture(2)).decode(), "n": 3}),
    ):
        captions = [one["caption"] for one in way.json["captions"]]
        assert captions == expected(model, picture(2), 3) and len(captions) == 3
        assert all(one["log_prob"] < 0 and one["tokens"] for one in way.json["captions"])


def test_names_that_are_no_text_are_escaped(client):
    data = base64.b64encode(picture()).decode()
    images = [{"name": "caf\udce9.jpg", "data": data}, {"name": "\ud83d.jpg", "data": "!"}]
    answer = client.post_json("/captions", {"images": images})
    assert answer.status == 200
    assert [one["file"] for one in answer.json["results"]] == ["caf%E9.jpg", "?.jpg"]
    for fields in ({"style": "\ud83d"}, {"n": "\udce9"}):
        assert client.post_json("/captions", {"images": images, **fields}).status == 400


def test_the_beam_can_be_chosen(client, model):
    answer = client.post_picture("/caption?beam_size=1", picture(4))
    assert answer.json["caption"] == expected(model, picture(4), beam_size=1)[0]


def test_attention_comes_when_asked_for(client, model):
    assert "attention" not in client.post_picture("/caption", picture(5)).json["captions"][0]
    wide = client.post_picture("/caption?attention=true", picture(5, (60, 30))).json["captions"][0]
    attention = wide["attention"]
    assert attention["columns"] == 6 and attention["box"] == [0, 0, 1, 1]
    assert len(attention["weights"]) == len(wide["tokens"]) and {len(word) for word in attention["weights"]} == {24}
    own = model.captioner.caption_batch([picture(5, (60, 30))])[0][0]
    assert attention["weights"][0] == pytest.approx(own.attention[0], abs=1e-4)


def test_styles(client):
    plain, sentence, alt = (
        client.post_picture(f"/caption?style={style}", picture(1)).json["caption"]
        for style in ("plain", "sentence", "alt")
    )
    assert sentence == alt == plain[0].upper() + plain[1:] + "."


@pytest.mark.parametrize(
    "options, words",
    [
        ("n=0", "n: must be a whole number from 1 to 10"),
        ("n=11", "n: must be"),
        ("n=two", "n: must be"),
        ("n=1e3", "n: must be"),
        ("beam_size=99", "beam_size: must be"),
        ("n=3&beam_size=2", "n 3 needs beam_size 3 or more (got 2)"),
        ("style=loud", "style: must be one of plain, sentence, alt"),
        ("attention=maybe", "attention: must be true or false"),
        ("prompt=What+is+this", "prompt: not supported by tiny; leave it out"),
    ],
)
def test_impossible_options(client, options, words):
    answer = client.post_picture(f"/caption?{options}", picture())
    assert answer.status == 400 and words in answer.json["error"]


@pytest.mark.parametrize("n", [True, 2.5, [1], {"a": 1}, "9" * 5000, -1])
def test_impossible_options_in_json(client, n):
    answer = client.post_json("/caption", {"image": base64.b64encode(picture()).decode(), "n": n})
    assert answer.status == 400 and answer.json["error"].startswith("n: must be")


def test_several_pictures_each_have_their_result_or_their_reason(client, model):
    files = [("file", "a.png", picture(1)), ("file", "b.png", b"not one"), ("file", "c.png", picture(3)[:60])]
    files += [("file", "../../etc/d.png", picture(2))]
    results = client.post_form("/captions", files, [("n", "2")]).json["results"]
    assert [one["file"] for one in results] == ["a.png", "b.png", "c.png", "../../etc/d.png"]
    assert [one.get("status") for one in results] == [None, 415, 400, None]
    assert [one["caption"] for one in results[0]["captions"]] == expected(model, picture(1), 2)
    assert results[3]["caption"] == expected(model, picture(2))[0]
    assert "not a picture" in results[1]["error"] and "broken or truncated" in results[2]["error"]


def test_several_pictures_in_json(client, model):
    images = [
        base64.b64encode(picture(1)).decode(),
        "%%%",
        {"name": "n", "data": base64.b64encode(picture(2)).decode()},
    ]
    results = client.post_json("/captions", {"images": images}).json["results"]
    assert [one.get("status") for one in results] == [None, 400, None]
    assert [results[0]["caption"], results[2]["caption"]] == [expected(model, picture(seed))[0] for seed in (1, 2)]


def test_too_many_pictures(client):
    answer = client.post_form("/captions", [("file", f"{n}.png", picture()) for n in range(33)])
    assert answer.status == 413 and "33 pictures are too many for one request" in answer.json["error"]


@pytest.mark.parametrize(
    "path, kind, body, status, words",
    [
        ("/caption", "image/png", b"", 400, "no picture"),
        ("/caption", "image/png", b"\x89PNG\r\n\x1a\n", 400, "broken"),
        ("/caption", "image/jpeg", b"<svg/>", 415, "not a picture"),
        ("/caption", "text/plain", b"hello", 415, "content type 'text/plain' is not supported"),
        ("/caption", "application/json", b"{", 400, "not valid JSON"),
        ("/caption", "application/json", b"[]", 400, "not an object"),
        ("/caption", "application/json", b"[" * 100000, 400, "not valid JSON"),
        ("/caption", "application/json", b'{"image": 5}', 400, "base64"),
        ("/caption", "application/json", b'{"n": 5}', 400, "no picture"),
        ("/caption", "application/json", b"\xff\xfe{}", 400, "not valid JSON"),
        ("/caption", "multipart/form-data", b"x", 400, "boundary"),
        ("/caption", "multipart/form-data; boundary=x", b"y", 400, "malformed"),
        ("/caption", "multipart/form-data; boundary=x", b"--x\r\nContent-Disp", 400, "malformed"),
        ("/caption", "application/x-www-form-urlencoded", b"\xff=\xfe", 400, "malformed"),
        ("/captions", "application/json", b'{"images": []}', 400, "no picture"),
    ],
)
def test_what_is_no_picture_is_refused_in_one_line(client, path, kind, body, status, words):
    answer = client.ask("POST", path, body, {"Content-Type": kind})
    assert answer.status == status and words in answer.json["error"], answer
    assert "\n" not in answer.json["error"]


def test_two_pictures_where_one_is_expected(client):
    answer = client.post_form("/caption", [("file", "a", picture()), ("file", "b", picture())])
    assert answer.status == 400 and "2 pictures in the request" in answer.json["error"]


def test_other_addresses_and_methods(client):
    assert client.get("/nowhere").status == 404 and "/docs" in client.get("/nowhere").json["error"]
    assert client.get("/caption").status == 405
    assert client.get("/static/../app.py").status == 404 and client.get("/static/%2e%2e/app.py").status == 404


def test_what_the_server_says_of_itself(client):
    assert client.get("/healthz").json == {"status": "ok"}
    assert client.get("/readyz").json == {"status": "ready"}
    about = client.get("/model").json
    assert about["name"] == "tiny" and about["attention"] is True and about["architecture"] == "attention"
    assert about["encoder"] == "tiny conv" and about["scores"] == {"bleu_4": 0.5}
    assert about["styles"] == ["plain", "sentence", "alt"] and about["prompt"] is None


def test_the_pages_need_nothing_from_elsewhere(client):
    for path in ("/", "/docs"):
        page = client.get(path)
        assert page.status == 200 and page.headers["content-type"].startswith("text/html")
        assert "http://" not in page.body.decode().replace("http://www.w3.org/2000/svg", "")
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy
    for name in ("page.js", "backend.js", "style.css", "docs.js", "docs.css"):
        asset = client.get(f"/static/{name}")
        assert asset.status == 200 and b"https://" not in asset.body and b"http://" not in asset.body


def test_the_description_names_every_route(client):
    described = json.loads(client.get("/openapi.json").body)
    assert {"/caption", "/captions", "/describe", "/api/tags", "/api/chat", "/api/generate"} <= set(described["paths"])
    assert "security" not in described
    parameters = {one["name"] for one in described["paths"]["/caption"]["post"]["parameters"]}
    assert parameters == {"n", "beam_size", "style", "attention"}, "a prompt is for models that take one"

    def references(value):
        if isinstance(value, dict):
            yield from ([value["$ref"]] if "$ref" in value else [])
            value = list(value.values())
        if isinstance(value, list):
            for one in value:
                yield from references(one)

    known = {f"#/components/schemas/{name}" for name in described["components"]["schemas"]}
    assert set(references(described)) <= known


@pytest.mark.slow
def test_the_model_that_captions_by_a_vector_gives_no_attention(tiny_encoder):
    from captioner.serving.app import create_app
    from tests.serving.conftest import SMALL, make_captioner
    from tests.serving.server import serving

    captioner = make_captioner("pool", "merge")
    assert isinstance(captioner, Captioner)
    with serving(create_app(captioner, limits=SMALL)) as client:
        answer = client.post_picture("/caption?attention=1&n=2", picture())
        assert answer.status == 200 and answer.json["captions"][0]["attention"] is None
        assert client.get("/model").json["attention"] is False
