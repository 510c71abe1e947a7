import shutil
import sys

import pytest

import captioner
from captioner.captioner import load
from captioner.config import ConfigError
from captioner.hub.hub_captioner import HubCaptioner
from captioner.hub.loading import load_hub
from captioner.hub.names import digest_hub, is_hub, is_local, preset_of, require_hub
from captioner.loading import digest_model, load_models, require_model
from captioner.storage import DataError
from tests.hub.presets import MAKERS, keras_hub, preset
from tests.speed import slow_but


@pytest.fixture(scope="module")
def folder():
    return preset("PaliGemmaCausalLM")


def test_names():
    assert is_hub("hub:pali_gemma_3b_mix_224")
    assert not is_hub("runs/hub")
    assert preset_of("hub:hf://keras/model") == "hf://keras/model"
    assert is_local("./folder")
    assert is_local("a/folder")
    assert not is_local("hf://keras/model")
    assert not is_local("pali_gemma_3b_mix_224")


def test_a_preset_is_downloaded_only_where_that_is_allowed(monkeypatch):
    monkeypatch.delenv("CAPTIONER_ALLOW_DOWNLOAD", raising=False)
    for name in ("hub:pali_gemma_3b_mix_224", "hub:hf://somebody/model", "hub:kaggle://keras/a/b/c"):
        with pytest.raises(DataError, match=r"needs a download.*--allow-download or CAPTIONER_ALLOW"):
            captioner.load(name)
    monkeypatch.setenv("CAPTIONER_ALLOW_DOWNLOAD", "1")
    require_hub("hub:pali_gemma_3b_mix_224")
    with pytest.raises(ConfigError, match="mix_225: KerasHub has no such preset; near it: pali_gemma"):
        load_hub("hub:pali_gemma_3b_mix_225")


def test_a_folder_needs_no_download(folder, monkeypatch):
    monkeypatch.delenv("CAPTIONER_ALLOW_DOWNLOAD", raising=False)
    monkeypatch.chdir(folder.parent)
    require_model(f"hub:{folder}")
    model = captioner.load(f"hub:./{folder.name}")
    assert isinstance(model, HubCaptioner)
    assert model.input_size == (16, 16)
    assert isinstance(load_models([f"hub:{folder}"]), HubCaptioner)


def test_the_precision_is_the_one_that_is_asked_for(folder):
    assert load_hub(f"hub:{folder}").task.backbone.compute_dtype == "float32"
    assert load_hub(f"hub:{folder}", "bfloat16").task.backbone.compute_dtype == "bfloat16"


@pytest.mark.parametrize("kind", slow_but(MAKERS, "PaliGemmaCausalLM"))
def test_each_kind_is_known_by_its_preset(kind, tmp_path):
    shutil.copytree(preset(kind), tmp_path / "copy")
    (tmp_path / "copy" / "task.json").unlink()  # as presets of backbones alone are
    assert type(load_hub(f"hub:{tmp_path / 'copy'}").task).__name__ == kind


def test_what_is_no_preset_is_refused(tmp_path):
    with pytest.raises(DataError, match="hub:: has no preset"):
        require_hub("hub:")
    with pytest.raises(DataError, match="no such folder"):
        require_hub(f"hub:{tmp_path / 'missing'}")
    with pytest.raises(DataError, match=r"is not a preset, it has no config\.json"):
        captioner.load(f"hub:{tmp_path}")
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(DataError, match="cannot be loaded"):
        captioner.load(f"hub:{tmp_path}")


def test_a_model_that_does_not_caption_is_refused(tmp_path):
    keras_hub.models.BertBackbone(30, 1, 2, 8, 16).save_to_preset(str(tmp_path))
    with pytest.raises(ConfigError, match="is a BertBackbone; models that caption pictures: PaliGemmaCausalLM, BLIP2"):
        load_hub(f"hub:{tmp_path}")


def test_it_captions_alone_and_has_no_graph(folder):
    with pytest.raises(DataError, match="a KerasHub model cannot be part of an ensemble"):
        load_models([f"hub:{folder}", "runs/other"])
    with pytest.raises(DataError, match="has no graph; load it without fast=True"):
        captioner.load(f"hub:{folder}", fast=True)
    with pytest.raises(DataError, match="KerasHub models are not supported here"):
        load(f"hub:{folder}")


def test_a_digest_tells_folders_and_names_apart(folder, tmp_path):
    other = shutil.copytree(folder, tmp_path / "other")
    assert digest_hub(f"hub:{folder}") == digest_hub(f"hub:{other}")
    (other / "README.md").write_text("changed")
    assert digest_model(f"hub:{folder}") == digest_hub(f"hub:{folder}") != digest_hub(f"hub:{other}")
    assert digest_hub("hub:one") != digest_hub("hub:two")


def test_without_kerashub(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "keras_hub", None)
    with pytest.raises(DataError, match=r"KerasHub is not installed; `pip install 'captioner\[hub\]'`"):
        load_hub(f"hub:{folder}")
