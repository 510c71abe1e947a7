"""Every command that the README shows in a bash block, and its Python block, run as they stand on a tiny data set."""

import re
import shlex
import shutil
from pathlib import Path

import pytest
import yaml
from PIL import Image

from captioner.cli import main
from tests.hub.presets import preset

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
COLOURS = {"red": (220, 30, 30), "green": (30, 160, 40), "blue": (40, 60, 210), "white": (240, 240, 240)}


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.M | re.S)


def commands():
    lines = [line for block in blocks("bash") for line in block.replace("\\\n", " ").splitlines() if line.strip()]
    assert all(line.startswith("captioner ") for line in lines), lines
    return [shlex.split(line)[1:] for line in lines]


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """A folder in which the README's paths exist: tiny data sets and small stand-ins of the recipes."""
    flickr, sample = tmp_path / "data" / "flickr8k", tmp_path / "data" / "sample" / "images"
    (flickr / "Flicker8k_Dataset").mkdir(parents=True)
    sample.mkdir(parents=True)
    lines = []
    for index in range(12):
        name, colour = list(COLOURS.items())[index % 4]
        Image.new("RGB", (40, 30), colour).save(flickr / "Flicker8k_Dataset" / f"p{index}.jpg")
        lines.append(f"p{index}.jpg#0\tA {name} picture .\n")
    for name in ("sample_0720.jpg", "sample_0721.jpg"):
        Image.new("RGB", (40, 30), (9, 9, 200)).save(sample / name)
    for name in ("a.jpg", "b.jpg"):
        Image.new("RGB", (40, 30), (9, 200, 9)).save(tmp_path / name)
    (flickr / "Flickr8k.token.txt").write_text("".join(lines))
    (flickr / "Flickr_8k.trainImages.txt").write_text("".join(f"p{index}.jpg\n" for index in range(8)))
    (flickr / "Flickr_8k.devImages.txt").write_text("".join(f"p{index}.jpg\n" for index in range(8, 12)))
    recipe = yaml.safe_load((ROOT / "configs" / "merge_vgg16.yaml").read_text())
    recipe["encoder"] = {"backbone": "efficientnet_lite0", "weights": "random"}
    recipe["model"] = {"units": 16, "embedding_size": 8}
    recipe["text"]["min_count"] = 1
    recipe["train"].update(epochs=1, batch_size=4)
    shutil.copytree(preset("PaliGemmaCausalLM"), tmp_path / "presets" / "pali_gemma")
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "merge_vgg16.yaml").write_text(yaml.safe_dump(recipe))
    del recipe["data"]["descriptions"]
    (tmp_path / "captioner.yaml").write_text(yaml.safe_dump({**recipe, "features": "features/own.pkl"}))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_the_commands_run_as_they_stand(tiny, capfd):
    ran = []
    for arguments in commands():
        if arguments[0] == "train" and "-o" in arguments and Path(arguments[arguments.index("-o") + 1]).exists():
            arguments = [*arguments, "--overwrite"]  # the README shows `run` and the stages as two ways to one folder
        with pytest.raises(SystemExit) as ending:
            main(arguments)
        assert ending.value.code == 0, (arguments, capfd.readouterr().err)
        ran.append(arguments[0])
    assert {"extract", "clean", "train", "evaluate", "predict", "run"} <= set(ran)
    (block,) = blocks("python")
    exec(compile(block, "README.md", "exec"), {})


def test_scripts_that_the_readme_names_are_there():
    for name in re.findall(r"scripts/[\w/.]*\w", README):
        path = ROOT / name
        assert path.exists(), name
        assert path.is_dir() or path.suffix or path.stat().st_mode & 0o100, f"{name} cannot be executed"


def test_files_that_the_readme_names_are_there():
    for name in re.findall(r"\]\(([\w/.]+)\)", README) + re.findall(
        r"`((?:configs|data)/[\w/.]+\.(?:yaml|md))`", README
    ):
        assert (ROOT / name).exists(), name
