import base64

import pytest

from tests.serving.server import picture

PICTURE = base64.b64encode(picture(1)).decode()


@pytest.mark.parametrize("task", [None, "", "caption", "<DETAILED_CAPTION>", "Describe the image", "alt", "alt_text"])
def test_a_description_is_a_sentence(client, model, task):
    asked = {"image_b64": PICTURE} if task is None else {"image_b64": PICTURE, "task": task}
    answer = client.post_json("/describe", asked)
    own = model.captioner.caption_batch([picture(1)])[0][0].text
    assert answer.status == 200 and answer.json == {"description": own[0].upper() + own[1:] + "."}


@pytest.mark.parametrize("task", ["ocr", "<OD>", "translate", 5, ["caption"], {"a": 1}, True])
def test_it_does_nothing_else(client, task):
    answer = client.post_json("/describe", {"image_b64": PICTURE, "task": task})
    assert answer.status == 400 and "only captions pictures" in answer.json["error"]


@pytest.mark.parametrize(
    "content, status, words",
    [
        ({}, 400, "image_b64: missing"),
        ({"image_b64": None}, 400, "base64"),
        ({"image_b64": "%%"}, 400, "not valid base64"),
        ({"image_b64": ""}, 400, "empty"),
        ({"image_b64": base64.b64encode(b"hello").decode()}, 415, "not a picture"),
        ([], 400, "not an object"),
    ],
)
def test_bad_requests(client, content, status, words):
    answer = client.post_json("/describe", content)
    assert answer.status == status and words in answer.json["error"], answer
