import inspect
import shlex
import subprocess
import sys

import click
import pytest

from captioner import __version__
from captioner.cli import COMMANDS, cli
from tests.cli.conftest import assert_one_line

GENERATION = (
    *("--beam-size", "--max-length", "--length-penalty", "--groups", "--diversity", "--sample", "--temperature"),
    *("--top-k", "--top-p", "--seed", "--min-length", "--no-repeat-ngram", "--banned-words", "--bad-endings"),
    *("--allow-unk", "--start", "--must-include"),
)
OPTIONS = {
    "extract": (
        *("-o", "--encoder", "--layer", "--weights", "--input-size", "--resizing", "--engine", "--address", "--shard"),
        *("--verify", "--strict", "--overwrite", "-c", "--set"),
    ),
    "merge-features": ("-o", "--overwrite"),
    "encoders": ("NAME",),
    "download": ("-o", "--mirror", "--only", "--keep"),
    "split": ("-o", "--images", "--shares", "--seed", "--check", "-c", "--set"),
    "clean": ("--rules", "--format", "--images", "--stats", "--plot", "--features", "-c", "--set"),
    "train": (*("--features", "--resume", "--overwrite", "--processes", "--engine", "--address", "-c", "--set"),),
    "evaluate": (
        *("--split", "--metrics", *GENERATION, "-n", "--predictions", "--references", "--parallel", "--all"),
        *("--cider-df", "--training", "--confidence", "-o"),
    ),
    "compare": ("--references", "--metrics", "--cider-df", "--parallel", "--all", "--json"),
    "report": ("-o", "--scores", "--references", "--images", "--pictures"),
    "predict": (
        *("--model", *GENERATION, "-n", "--json", "--out", "--attention", "--write", "--extension", "--existing"),
        *("--prefix", "--suffix", "--keep-times", "--dry-run", "--style", "--neutral", "--neutral-words", "--unsure"),
        *("--engine", "--address", "--overwrite", "--allow-urls"),
    ),
    "serve": (
        *("--model", "--host", "--port", "--workers", "--token", "--cors", "--batch", "--window", "--queue"),
        *("--deadline", "--max-mib", "--max-megapixels"),
    ),
    "find": ("--model", "-n", "--json", "--html", "--index"),
    "doubt": ("-o", "--model", "-n", "--shown", "--throw-out", "--features", "--index"),
    "run": ("-o", "--processes", "-c", "--set"),
    "average": ("-o", "--set", "--overwrite"),
    "shard": ("-o", "--pictures", "--per-shard", "--overwrite", "-c", "--set"),
    "export": ("-o", "--format", "--precision", "--overwrite", "--data-licence", "--web-runtime"),
    "doctor": ("--json",),
    "completion": (),
    "init": ("-o", "--overwrite"),
    "settings": ("--markdown",),
}


def test_the_group_names_every_command(call):
    for arguments in (["--help"], ["-h"]):
        result = call(*arguments)
        assert result.code == 0 and result.err == ""
        assert all(f"  {name}  " in result.out for name in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(call, command):
    result = call(command, "--help")
    assert result.code == 0 and result.err == ""
    assert result.out.startswith(f"Usage: captioner {command}")
    assert all(option in result.out for option in OPTIONS[command])


def test_nothing_at_all_shows_the_help(call):
    result = call()
    assert result.code == 2 and "Commands:" in result.err and result.out == ""


def test_version(call):
    assert call("--version") == (0, f"captioner {__version__}\n", "")


def test_help_imports_nothing_heavy():
    code = (
        "import sys\nfrom captioner.cli import main\n"
        f"for call in [['--help'], *([name, '--help'] for name in {list(COMMANDS)})]:\n"
        "    try: main(call)\n    except SystemExit as ended: assert ended.code == 0\n"
        "heavy = {'keras', 'tensorflow', 'jax', 'numpy', 'PIL', 'h5py', 'nltk', 'yaml'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def test_the_layers_of_an_encoder_and_a_wrong_one_need_no_keras(tmp_path):
    (tmp_path / "images").mkdir()
    calls = [
        ["encoders", "vgg16"],
        ["extract", str(tmp_path / "images"), "--encoder", "vgg16", "--layer", "blok5_pool"],
    ]
    code = (
        f"import sys\nfrom captioner.cli import main\nfor call in {calls}:\n"
        "    try: main(call)\n    except SystemExit as ended: print(ended.code)\n"
        "assert not {'keras', 'tensorflow', 'jax'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=tmp_path)
    assert "block5_pool   7 x 7 x 512\n" in done.stdout and done.stdout.splitlines()[-1] == "2"
    assert "near it: block5_pool" in done.stderr


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["bogus"], ["No such command 'bogus'", "captioner --help"]),
        (["trian"], ["No such command 'trian'; did you mean captioner train?"]),
        (["help"], ["No such command 'help'; did you mean captioner --help?"]),
        (["caption", "a.jpg"], ["did you mean captioner predict?"]),
        (["train", "--epochs", "3"], ["No such option '--epochs'; --set train.epochs=... changes", "train --help"]),
        (["train", "--epochz", "3"], ["--set train.epochs=..."]),
        (["run", "--units", "3"], ["--set model.units=..."]),
        (["evaluate", "--bogus"], ["No such option '--bogus'", "captioner evaluate --help says more"]),
        (["settings", "trian"], ["trian: no such section or setting; did you mean train?"]),
        (["settings", "epochs"], ["did you mean train.epochs?"]),
        (["extract", "a", "--shard", "3/2"], ["'--shard'", "expected I/N such as 2/8", "found '3/2'"]),
        (["extract", "a", "--engine", "local", "--address", "b:1"], ["address: 'b:1' is for a Ray cluster"]),
        (["extract", ".", "-o", "b.h5", "-o", "c.h5"], ["2 outputs for 1 layers; name one output"]),
        (["extract", "a", "--encoder", "vgg61"], ["backbone 'vgg61' is unknown; did you mean vgg1"]),
        (["encoders", "vgg61"], ["backbone 'vgg61' is unknown; did you mean vgg1"]),
        (["merge-features", "a.h5"], ["Missing option '-o'"]),
        (["extract", "a", "b"], ["unexpected extra argument (b)", "captioner extract --help"]),
        (["predict"], ["Missing argument 'PICTURES...'", "captioner predict --help"]),
        (["clean", "--rules", "none"], ["'--rules'", "'ptb', 'classic', 'lower'"]),
        (["clean", "a.txt", "--format", "tsv"], ["'tsv' is not known (known: auto, flickr, csv"]),
        (["clean", "a.txt", "--plot", "a.txt"], ["--plot a.txt: the name must end in png, svg or pdf"]),
        (["split", "a.txt", "--shares", "half"], ["--shares half: expected name=share"]),
        (["split", "a.txt", "--check"], ["--images: missing"]),
        (["split", "a.txt", "--check", "--shares", "train=1"], ["--check: writes nothing"]),
        (["download", "flickr9k"], ["flickr9k: no such data set (known: flickr8k, coco2014"]),
        (["download", "coco2017", "--only", "test2017"], ["--only test2017: coco2017 has no such archive"]),
        (["train", "-o", __file__], ["'-o'", "is a file"]),
        (["predict", "a.jpg", "-n", "0"], ["'-n'", "x>=1"]),
        (["predict", "a.jpg", "--beam-size", "0"], ["'--beam-size'", "x>=1"]),
        (["evaluate", "--beam-size", "0"], ["'--beam-size'", "x>=1"]),
        (["predict", "a.jpg", "--temperature", "0"], ["'--temperature'", "x>0"]),
        (["predict", "a.jpg", "--top-p", "1.5"], ["'--top-p'", "0<x<=1"]),
        (
            ["predict", "a.jpg", "--beam-size", "3", "--top-k", "4"],
            ["--beam-size and --top-k: beam search and"],
        ),
        (["evaluate", "a", "b"], ["-o: missing; name the folder for the results of several runs"]),
        (["evaluate", "a", "b", "-o", "c", "--features", "f.pkl"], ["--features: names one file", "leave it out"]),
        (["evaluate", "--sample", "--predictions", "a", "--references", "b", "-o", "c"], ["--sample: does not apply"]),
        (["evaluate", "--predictions", "a.json"], ["--references"]),
        (["evaluate", "--predictions", "a.json", "--references", "b.txt"], ["-o"]),
        (["evaluate", "run", "--predictions", "a", "--references", "b", "-o", "c"], ["leave the run folder out"]),
        (["evaluate", "-P", "a", "-R", "b", "-o", "c", "-n", "3"], ["-n: does not apply to scoring --predictions"]),
        (["evaluate", "run", "--parallel"], ["--parallel: does not apply to captioning a split"]),
        (["evaluate", "run", "--all"], ["--all: does not apply to captioning a split"]),
        (["evaluate", "run", "-n", "0"], ["'-n'", "x>=1"]),
        (["evaluate", "run", "--metrics", ","], ["--metrics: names no metric"]),
        (["evaluate", "run", "--metrics", "oracle"], ["oracle chooses captions by other metrics"]),
        (["compare", "a"], ["Missing argument 'B'", "captioner compare --help"]),
        (["compare", "a.json", "b.json"], ["-R: missing; name the captions to score against"]),
        (["compare", "a.json", "b.json", "--metrics", "blue"], ["'blue' is not known (known: bleu, "]),
        (["report"], ["Missing argument 'RUN'", "captioner report --help"]),
        (["report", "run", "--pictures", "1"], ["'--pictures'", "x>=2"]),
    ],
)
def test_a_wrong_call_is_one_line(call, arguments, words):
    result = call(*arguments)
    assert result.code == 2 and result.out == ""
    assert_one_line(result.err, *words)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_help_has_examples_that_can_be_called(name):
    command = cli.get_command(click.Context(cli), name)
    lines = [line.strip() for line in inspect.cleandoc(command.help).split("Examples:")[-1].splitlines()]
    examples = [line for line in lines if line.startswith(f"captioner {name}")]
    assert "Examples:" in command.help and examples
    for example in examples:
        words = shlex.split(example.split(" >")[0].split(" #")[0])
        command.make_context(name, words[2:], resilient_parsing=False)
