"""Every option's help says what is taken where the option is left out, and says it as the code has it."""

import click
import pytest

from captioner.cli import COMMANDS, cli
from captioner.cli.generation import option_of
from captioner.data.dataset import DataConfig
from captioner.data.splits import FEW, FEW_SHARES, SHARES
from captioner.encoders.config import EncoderConfig
from captioner.extraction.config import ExtractionConfig
from captioner.images.decode import MAX_PIXELS
from captioner.metrics.config import EvaluationConfig
from captioner.serving.limits import MIB, Limits
from captioner.text.vocabulary import TextConfig

# left out, these do nothing, or their help says what happens then
NOTHING = {
    *("--set", "--address", "--references", "--shard", "--plot", "--processes", "--training", "--curves", "--out"),
    *("--attention", "--write", "--prefix", "--suffix", "--neutral-words", "--unsure", "--html", "--throw-out"),
    *("--token", "--cors", "--data-licence", "--mirror", "--only", "--predictions"),
    *("split --images", "clean --images", "clean --features", "export --format", "export --output"),
    "evaluate --config",
}
REFERENCES = {"report --references"}  # has a default, unlike those of evaluate and compare


def value_options():
    """Return `command --option` -> its help, for options that take a value and may be left out."""
    context, found = click.Context(cli), {}
    for command in COMMANDS:
        for option in cli.get_command(context, command).params:
            if isinstance(option, click.Option) and not option.is_flag and not option.required:
                found[f"{command} {option.opts[-1]}"] = option.get_help_record(context)[1]
    return found


OPTIONS = value_options()


@pytest.mark.parametrize("option", OPTIONS)
def test_an_option_says_its_default(option):
    does_nothing = option not in REFERENCES and (option in NOTHING or option.split()[-1] in NOTHING)
    assert ("default: " in OPTIONS[option]) is not does_nothing


def shares(of):
    return ",".join(f"{name}={share}" for name, share in of.items())


LIMITS = Limits()
IN_THE_CODE = {
    "extract --layer": EncoderConfig().layer,
    "extract --weights": EncoderConfig().weights,
    "extract --resizing": EncoderConfig().resizing,
    "extract --view": EncoderConfig().view,
    "extract --engine": ExtractionConfig().engine,
    "predict --engine": ExtractionConfig().engine,
    "predict --precision": ExtractionConfig().precision,
    "clean --rules": TextConfig().rules,
    "split --shares": f"{shares(SHARES)}, or with fewer than {FEW} pictures {shares(FEW_SHARES)}",
    "split --seed": DataConfig(captions="c").split_seed,
    "evaluate --metrics": ",".join(EvaluationConfig().metrics),
    "evaluate --cider-df": EvaluationConfig().cider_df,
    "evaluate --split": EvaluationConfig().split,
    "evaluate -n": EvaluationConfig().n,
    "compare --metrics": ",".join(EvaluationConfig().metrics),
    "compare --cider-df": EvaluationConfig().cider_df,
    "serve --batch": LIMITS.batch,
    "serve --window": f"{1000 * LIMITS.window:g}",
    "serve --queue": LIMITS.queue,
    "serve --deadline": f"{LIMITS.deadline:g}",
    "serve --max-mib": LIMITS.picture_bytes // MIB,
    "serve --max-megapixels": round(MAX_PIXELS / 1e6),
}


@pytest.mark.parametrize("option", IN_THE_CODE)
def test_the_default_is_that_of_the_code(option):
    said = OPTIONS[option].split("default: ")[1].removeprefix("the recipe's, or ")
    said = said.removeprefix("the recipe's evaluation.split, or ").removeprefix("the recipe's evaluation.n, or ")
    expected = str(IN_THE_CODE[option])
    assert said.startswith(expected) and said[len(expected)] in ");,"


@pytest.mark.parametrize("command", ["predict", "evaluate", "export"])
@pytest.mark.parametrize("setting", ["beam_size", "max_length", "length_penalty", "bad_endings", "temperature"])
def test_what_a_captioner_was_trained_with_is_its_own_default(command, setting):
    assert OPTIONS[f"{command} {option_of(setting)}"].count("(default: the model's own)") == 1
