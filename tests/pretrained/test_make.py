"""Making the built-in captioner and its graph; the shipped graph belongs to the shipped captioner."""

import sys

import pytest
from click.testing import CliRunner

import captioner
from captioner.export.fast import FOLDER, NoGraphError, load_fast
from captioner.pretrained.box import BOX
from captioner.pretrained.make import main, make_graph
from captioner.recipe import in_the_box
from captioner.run_folder import CAPTIONER
from tests.export.test_fast import assert_equal
from tests.shared import FLICKR8K, needs_flickr8k

SAMPLE = in_the_box("data/sample/images")
LARGEST = 20_000_000  # bytes of the graph
GRAPH = {"encoder.onnx", "start.onnx", "step.onnx"}


@pytest.fixture(scope="module")
def both():
    """The built-in captioner on onnxruntime and on Keras."""
    return captioner.load(fast=True), captioner.load()


@pytest.mark.slow
def test_the_shipped_graph_gives_the_captions_of_the_shipped_box(both):
    quick, model = both
    pictures = sorted(SAMPLE.iterdir())[::200]
    assert sum(path.stat().st_size for path in (BOX.parent / FOLDER).iterdir()) < LARGEST
    assert_equal(quick.caption_batch(pictures), model.caption_batch(pictures))
    one, other = quick.caption(pictures[0]), model.caption(pictures[0])
    assert one.confidence == pytest.approx(other.confidence, abs=1e-3) and one.attention is not None
    assert quick.facts() == model.facts() and quick.generation == model.generation
    assert (quick.familiarity is None) == (model.familiarity is None)


@pytest.mark.slow
@needs_flickr8k
def test_the_shipped_graph_captions_photographs_as_the_box_does(both):
    names = (FLICKR8K / "Flickr_8k.devImages.txt").read_text().split()[:100]
    pictures = [FLICKR8K / "Flicker8k_Dataset" / name for name in names]
    quick, model = (each.caption_batch(pictures) for each in both)
    assert_equal(quick, model)


@pytest.mark.slow
def test_one_command_makes_box_and_graph_of_a_run(run, tmp_path):
    file = tmp_path / "own.keras"
    result = CliRunner().invoke(main, [str(run), str(file)])
    assert result.exit_code == 0, result.output
    assert {path.name for path in (tmp_path / FOLDER).iterdir()} == GRAPH
    picture = SAMPLE / "sample_0721.jpg"
    assert_equal(load_fast(file).caption_batch([picture]), captioner.load(file).caption_batch([picture]))
    for path in (tmp_path / FOLDER).iterdir():
        path.unlink()
    result = CliRunner().invoke(main, ["--graph", str(file)])
    assert result.exit_code == 0, result.output
    assert {path.name for path in (tmp_path / FOLDER).iterdir()} == GRAPH


@pytest.mark.slow
def test_a_graph_of_an_earlier_box_is_never_used(run, tmp_path):
    file = tmp_path / "own.keras"
    file.write_bytes((run / CAPTIONER).read_bytes())
    make_graph(file)
    load_fast(file)
    file.write_bytes(file.read_bytes() + b"\0" * 22)  # still an archive
    with pytest.raises(NoGraphError, match=r"made from another file .*captioner\.pretrained\.make --graph .* again"):
        load_fast(file)


def test_what_cannot_be_made(run, tmp_path, monkeypatch):
    result = CliRunner().invoke(main, [])
    assert result.exit_code == 2 and "name a run, or give --graph" in result.output
    result = CliRunner().invoke(main, [str(run), "--graph"])
    assert result.exit_code == 2, result.output
    result = CliRunner().invoke(main, ["nothing", str(tmp_path / "own.keras")])
    assert result.exit_code == 1 and "nothing: no such file" in result.output
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    result = CliRunner().invoke(main, [str(run), str(tmp_path / "own.keras")])
    assert result.exit_code == 1 and "pip install 'captioner[export]'" in result.output
    assert not list(tmp_path.iterdir())
