"""CONTRIBUTING's steps to a new architecture, followed as they are written there."""

import re
import sys
import textwrap
import types
from pathlib import Path

import keras
import numpy as np
import pytest
import yaml

from captioner.config import build
from captioner.generation.config import GenerationConfig
from captioner.generation.decode import make_search
from captioner.models import architectures, config
from captioner.recipe import Recipe
from tests.models import cases, test_contract

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
MODULES = {
    "captioner/models/config.py": config,
    "captioner/models/architectures.py": architectures,
    "tests/models/cases.py": cases,
}


def blocks(language):
    """Return (file, code) of every block that begins with the name of its file."""
    found = re.findall(rf"^ *```{language}\n(.*?)^ *```", TEXT, flags=re.M | re.S)
    codes = map(textwrap.dedent, found)
    return [(code.splitlines()[0].removeprefix("# "), code) for code in codes]


@pytest.fixture
def followed(monkeypatch):
    """Do what the steps say, in their order; undo it afterwards."""
    for module, name in ((config, "ARCHITECTURES"), (architectures, "DECODERS"), (cases, "CASES")):
        monkeypatch.setattr(module, name, dict(getattr(module, name)))
    monkeypatch.setattr(cases, "DEFAULT", set(cases.DEFAULT))
    for file, code in blocks("python"):
        if file in MODULES:
            exec(compile(code, f"<CONTRIBUTING.md: {file}>", "exec"), MODULES[file].__dict__)
        else:
            name = file.removesuffix(".py").replace("/", ".")
            module = types.ModuleType(name)
            monkeypatch.setitem(sys.modules, name, module)
            exec(compile(code, f"<CONTRIBUTING.md: {file}>", "exec"), module.__dict__)
    return cases.make("mean")


def test_the_new_architecture_keeps_the_contract(followed, tmp_path):
    assert "mean" in cases.DEFAULT
    features = np.random.default_rng(0).normal(size=(3, *cases.CASES["mean"][1])).astype("float32")
    tokens = np.random.default_rng(1).integers(1, cases.WORDS, (3, 2, 7)).astype("int32")
    test_contract.test_stepping_equals_teacher_forcing(followed, features, tokens)
    test_contract.test_a_word_changes_no_earlier_logits(followed, features, tokens)
    test_contract.test_padding_changes_nothing(followed, features, tokens)
    test_contract.test_positions_pick_the_same_logits(followed, features, tokens.copy())
    test_contract.test_one_caption_a_picture(followed, features, tokens)
    test_contract.test_save_and_load(followed, features, tokens, tmp_path)
    search = make_search(followed, GenerationConfig(beam_size=2, max_length=5))
    assert keras.ops.shape(search(features)["tokens"])[0] == 3


def test_its_recipe_is_one(followed):
    ((file, text),) = blocks("yaml")
    assert file == "configs/mean.yaml"
    recipe = build(Recipe, yaml.safe_load(text))
    assert config.model_config(recipe.model)[0] == "mean"


def test_the_file_map_names_every_folder_in_one_sentence():
    rows = dict(re.findall(r"^\| (`[^|]+) \| ([^|]+) \|$", TEXT, flags=re.M))
    folders = {f"`{path.parent.name}/`" for path in (ROOT / "captioner").glob("*/__init__.py")}
    assert folders <= rows.keys(), folders - rows.keys()
    for name in folders:
        assert " and " not in rows[name], name
