"""A model of KerasHub behind the server."""

import pytest

import captioner
from captioner.serving.app import create_app
from captioner.serving.limits import Limits
from captioner.serving.run import ServerConfig, served_model
from tests.hub.presets import preset
from tests.serving.server import picture, serving


@pytest.fixture(scope="module")
def folder():
    return preset("PaliGemmaCausalLM")


def test_it_is_served_as_any_other(folder):
    expected = captioner.load(f"hub:{folder}").caption([picture(0), picture(1)])
    with serving(create_app(f"hub:{folder}", limits=Limits(batch=1, window=0.0, deadline=120))) as client:
        for number, caption in enumerate(expected):
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


def test_processes_of_a_server_learn_its_name(folder):
    config = ServerConfig((f"hub:{folder}", "hub:hf://somebody/model"))
    assert ServerConfig.from_json(config.to_json()).models == config.models
    name = f"hub:{folder}"
    assert served_model(captioner.load(name), [name]).scores == {}
