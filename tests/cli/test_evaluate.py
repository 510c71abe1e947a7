import json

import pytest

from captioner.cli.evaluate import _name_of
from captioner.storage import digest_file

RUN = "runs/captioner"


def test_assigned_generation_is_an_option_and_leaves_the_plain_evaluation(call, trained):
    assert call("evaluate", RUN, "--metrics", "bleu").code == 0
    plain = trained / RUN / "evaluations/dev_metrics-bleu/scores.json"
    before = digest_file(plain)
    assert call("evaluate", RUN, "--metrics", "bleu", "--set", "generation.beam_size=3").code == 0
    assert digest_file(plain) == before
    own = json.loads((trained / RUN / "evaluations/dev_metrics-bleu_beam_size-3/scores.json").read_text())
    assert own["beam_size"] == 3


@pytest.mark.parametrize("assignment", ["model.units=8", "train.epochs=2", "text.min_count=2", "extraction.workers=2"])
def test_what_changes_nothing_in_an_evaluation_is_refused(refused, trained, assignment):
    section = assignment.partition(".")[0]
    refused(2, [f"--set {section}: changes nothing in an evaluation"], "evaluate", RUN, "--set", assignment)


def test_long_names_of_different_settings_differ():
    words = ",".join(f"word{number}" for number in range(30))
    one, other = (_name_of("dev", {"banned_words": words, "beam_size": size}) for size in (2, 3))
    assert one != other and len(one) == len(other) == 100
    assert _name_of("dev", {"beam_size": 2}) == "dev_beam_size-2"
