import json
from pathlib import Path

import pytest

from captioner import keras_settings
from captioner.config import ConfigError
from captioner.keras_settings import _is_usable, find_backend, settings_path


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KERAS_HOME", raising=False)
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    (tmp_path / ".keras").mkdir()
    return tmp_path


def write(home: Path, content: object) -> None:
    text = content if isinstance(content, str) else json.dumps(content)
    (home / ".keras" / "keras.json").write_text(text)


def test_tensorflow_is_taken_where_nothing_says_otherwise(home: Path) -> None:
    assert settings_path() == home / ".keras" / "keras.json"
    assert find_backend() == "tensorflow"
    for content in ("{broken", "[1]", {"floatx": "float16"}, {"image_data_format": "channels_first"}):
        write(home, content)
        assert find_backend() == "tensorflow"


@pytest.mark.parametrize("name", ["theano", "torch", "numpy", "openvino", "TensorFlow", 5])
def test_a_backend_that_cannot_be_had_names_who_asks_for_it(home: Path, name: object, monkeypatch) -> None:
    write(home, {"backend": name})
    with pytest.raises(ConfigError, match=r"keras\.json: backend .*captioner runs on tensorflow or jax; set"):
        find_backend()
    monkeypatch.setenv("KERAS_BACKEND", str(name))
    with pytest.raises(ConfigError, match=rf"KERAS_BACKEND={name}: captioner runs on tensorflow or jax"):
        find_backend()
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    assert find_backend() == "tensorflow"


def test_one_that_is_not_installed_says_how_to_get_it(home: Path, monkeypatch) -> None:
    monkeypatch.setattr(keras_settings, "_is_missing", lambda name: name == "jax")
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    with pytest.raises(ConfigError, match=r"KERAS_BACKEND=jax: jax is not installed; pip install jax, or set"):
        find_backend()


def test_files_beside_which_keras_cannot_be_imported_are_known(home: Path) -> None:
    path = settings_path()
    assert _is_usable(path)
    for content, usable in [
        ({"floatx": "float16", "epsilon": 1e-7, "image_data_format": "channels_first"}, True),
        ({"floatx": "bfloat16"}, False),
        ({"epsilon": 1}, False),
        ({"image_data_format": "first"}, False),
        ("[1]", False),
    ]:
        write(home, content)
        assert _is_usable(path) == usable, content
