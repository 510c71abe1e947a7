import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import captioner
from captioner.pretrained.box import BOX
from captioner.storage import write_json
from tests.speed import slow

RUN = "runs/captioner"
PICTURES = ("images/p13.png", "images/p14.png")
ROOT = Path(captioner.__file__).parent.parent

# predict as its own process does it, in which importing Keras or TensorFlow is an error
WITHOUT_KERAS = r"""
import re, sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("keras", "tensorflow"):
            raise RuntimeError(f"{name} is imported")
sys.meta_path.insert(0, Refuse())
from captioner.cli import main
try:
    main(sys.argv[1:])
finally:
    # not getrusage: its maximum begins with that of the process that started this one
    print(re.search(r"VmHWM:\s+(\d+)", open("/proc/self/status").read())[1], file=sys.stderr)
"""


def program(*arguments, **options):
    return subprocess.run(
        [sys.executable, *map(str, arguments)], capture_output=True, text=True, check=False, **options
    )


def objects(text):
    return [json.loads(line) for line in text.splitlines()]


def rows(text):
    return [line.split("\t") for line in text.splitlines()]


@pytest.fixture
def run(trained):
    (folder,) = (trained / "runs").iterdir()
    return folder.relative_to(trained)


def test_training_makes_the_graph_and_predict_needs_no_keras(run, call):
    options = ("predict", *PICTURES, "--model", RUN, "--json", "-n", "2", "--no-repeat-ngram", "2")
    quick = program("-c", WITHOUT_KERAS, *options, env={"PYTHONPATH": str(ROOT), "PATH": ""})
    assert quick.returncode == 0, quick.stderr
    assert int(quick.stderr.splitlines()[-1]) < 200 * 1024  # KiB at the most
    shutil.rmtree(run / "fast")
    slow = call(*options)
    ours, theirs = objects(quick.stdout), objects(slow.out)
    assert [one["file"] for one in ours] == [one["file"] for one in theirs] == list(PICTURES)
    for one, other in zip(ours, theirs, strict=True):
        assert [c["caption"] for c in one["captions"]] == [c["caption"] for c in other["captions"]]
        for mine, keras in zip(one["captions"], other["captions"], strict=True):
            assert abs(mine["log_prob"] - keras["log_prob"]) < 1e-4


def test_the_box_captions_without_keras(tmp_path):
    picture = ROOT / "data" / "sample" / "images" / "sample_0001.jpg"
    environment = {"PYTHONPATH": str(ROOT), "PATH": ""}
    quick = program("-c", WITHOUT_KERAS, "predict", picture, cwd=tmp_path, env=environment)
    assert quick.returncode == 0 and len(quick.stdout.split()) > 3, quick.stderr
    *said, kib = quick.stderr.splitlines()
    assert said[0] == "using the built-in captioner; --model RUN uses your own"
    assert len(said) == 2 and "unlike the pictures that this captioner was trained on" in said[1]  # it is a drawing
    assert int(kib) < 200 * 1024


@pytest.mark.slow
def test_a_stale_graph_is_said_and_not_used(run, call):
    before = call("predict", PICTURES[0], "--model", RUN)
    shutil.copytree(run, "runs/other")
    with (Path("runs/other") / "captioner.keras").open("ab") as file:
        file.write(b"\0" * 22)  # still an archive
    result = call("predict", PICTURES[0], "--model", "runs/other")
    assert "made from another file" in result.err and "captioner export runs/other writes it again" in result.err
    assert before.code == 0 and "another file" not in before.err


@pytest.mark.slow
def test_export_without_a_format_makes_the_graph_again(run, call):
    shutil.rmtree(run / "fast")
    result = call("export", run, "--precision", "float16")
    assert (result.code, result.out) == (0, f"{run}/fast\n"), result.err
    assert {path.name for path in (run / "fast").iterdir()} == {"encoder.onnx", "start.onnx", "step.onnx"}
    assert call("predict", PICTURES[0], "--model", RUN).code == 0


@pytest.mark.parametrize("name", [slow("onnx"), slow("litert"), slow("saved_model")])
def test_what_is_exported_captions_without_captioner(run, call, name, tmp_path):
    write_json(run / "evaluations" / "dev" / "scores.json", {"bleu_4": 0.25, "cider_d": 0.5})
    result = call("export", run, "--format", name, "-o", "out", "-n", "2", "--data-licence", "CC0")
    assert (result.code, result.out) == (0, "out\n"), result.err
    moved = tmp_path / "elsewhere"
    shutil.move("out", moved)
    lines = len((moved / "run.py").read_text().splitlines())
    assert lines <= 80
    refuse = "import runpy, sys; sys.modules['captioner'] = None; runpy.run_path(sys.argv.pop(1), run_name='__main__')"
    done = program("-c", refuse, moved / "run.py", *PICTURES, env={"PATH": ""})
    assert done.returncode == 0, done.stderr
    expected = objects(call("predict", *PICTURES, "--model", RUN, "--json", "-n", "2").out)
    found = rows(done.stdout)
    wanted = [(one["file"], caption) for one in expected for caption in one["captions"]]
    assert len(found) == len(wanted)
    for (file, text, log_prob), (path, caption) in zip(found, wanted, strict=True):
        assert (file, text) == (path, caption["caption"])
        assert abs(float(log_prob) - caption["log_prob"]) < 1e-3
    card = (moved / "README.md").read_text()
    assert "Merge over efficientnet_lite0" in card and "training data: CC0" in card and "Apache-2.0" in card
    assert "- evaluated: BLEU-4 25.00  CIDEr-D 50.00" in card
    assert json.loads((moved / "manifest.json").read_text())["format"] == name


@pytest.mark.slow
def test_an_ensemble_goes_into_a_saved_model(run, call, refused):
    shutil.copytree(run, "runs/second")
    refused(2, ["onnx: does not support ensembles"], "export", run, "runs/second", "--format", "onnx", "-o", "out")
    result = call("export", run, "runs/second", "--format", "saved_model", "-o", "both")
    assert result.code == 0, result.err
    done = program("both/run.py", PICTURES[0])
    model = call("predict", PICTURES[0], "--model", run, "--model", "runs/second")
    assert rows(done.stdout)[0][1] == model.out.strip(), done.stderr


def test_bad_calls(run, refused, monkeypatch):
    refused(2, ["--format and -o: give both"], "export", run, "--format", "onnx")
    refused(2, ["--format and -o: give both"], "export", run, "-o", "out")
    refused(2, ["the generation options do not apply"], "export", run, "--beam-size", "2")
    refused(1, ["nothing", "not a finished run"], "export", "nothing", "--format", "onnx", "-o", "out")
    refused(1, ["images: is not empty"], "export", run, "--format", "onnx", "-o", "images")
    refused(2, ["sampling cannot be exported"], "export", run, "--format", "onnx", "-o", "out", "--sample")
    refused(2, ["npm install onnxruntime-web"], "export", run, "--format", "web", "-o", "out")
    monkeypatch.setattr("captioner.export.formats.find_spec", lambda name: None if name == "tf2onnx" else name)
    refused(
        2, ["tf2onnx is not installed", "pip install 'captioner[export]'"], "export", run, "--format", "onnx", "-o", "o"
    )


@pytest.mark.slow
def test_an_encoder_that_is_not_known(trained, run, refused):
    import keras

    model = captioner.load(run)
    blind = type(model)(model.decoder, model.vocabulary, None, model.generation)
    blind.save_to(run / "captioner.keras")
    keras.utils.clear_session()
    refused(1, [str(run), "without the name of their encoder"], "export", run, "--format", "litert", "-o", "out")


@pytest.mark.slow
def test_an_earlier_export_is_replaced_when_asked(run, call, refused):
    call("export", run, "--format", "litert", "-o", "out")
    refused(1, ["out: contains an earlier export; --overwrite"], "export", run, "--format", "litert", "-o", "out")
    first = Path("out/captioner.tflite").stat().st_size
    again = ("export", run, "--format", "litert", "-o", "out", "--overwrite", "--precision", "float16")
    result = call(*again, "--consensus", "6")
    assert result.code == 0, result.err
    assert "consensus: an exported folder has no captions of training pictures" in result.err
    assert Path("out/captioner.tflite").stat().st_size < 0.7 * first


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(call, shell):
    result = call("completion", shell)
    assert result.code == 0 and "_CAPTIONER_COMPLETE" in result.out, result


def test_bash_completes_commands():
    environment = {"PYTHONPATH": str(ROOT), "_CAPTIONER_COMPLETE": "bash_complete", "COMP_WORDS": "captioner ex"}
    done = program("-m", "captioner", env={**environment, "COMP_CWORD": "1", "PATH": ""})
    assert "plain,export" in done.stdout.splitlines() and "plain,extract" in done.stdout.splitlines(), done


@pytest.mark.slow
def test_doctor(trained, call):
    result = call("doctor", "--json")
    assert result.code == 0, result
    found = json.loads(result.out)
    assert found["captioner"]["value"] == captioner.__version__ and found["keras"]["ok"]
    assert found["backend"]["value"] in ("tensorflow", "jax") and "cpu" in found["devices"]["value"]
    assert found["default model"]["value"].startswith(f"{BOX}, "), found["default model"]
    assert found["quick start"]["ok"], found["quick start"]
    assert {"java", "bfloat16", "AMX", "free disk", "weights"} <= set(found)
    for name, one in found.items():
        assert one["ok"] is not False or one["hint"], name


@pytest.mark.slow
def test_doctor_names_a_model_that_does_not_load(trained, run, call, monkeypatch):
    monkeypatch.setattr("captioner.pretrained.box.BOX", Path("none.keras"))
    monkeypatch.setattr("captioner.doctor._keras", list)
    (run / "captioner.keras").write_bytes(b"nothing")
    result = call("doctor")
    (line,) = [line for line in result.out.splitlines() if "default model" in line]
    assert "does not load" in line and "captioner train" in line
