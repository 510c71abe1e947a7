import json

import pytest

from captioner.config import ConfigError
from captioner.metrics.config import EvaluationConfig
from captioner.stages.compare import compare, describe
from captioner.storage import DataError

WORDS = ["dog", "cat", "cow", "bird", "horse", "fish", "mouse", "bear"]
CONFIG = EvaluationConfig(metrics=("bleu", "rouge"))


@pytest.fixture
def files(tmp_path):
    """Forty pictures: B says what the reference says, A often says something else, C does as A but for a word."""
    references, good, bad = [], [], []
    for number in range(40):
        animal, place = WORDS[number % 8], WORDS[number % 5]
        references.append(f"p{number}.jpg#0\tA {animal} runs to the {place} .\n")
        good.append({"image_id": f"p{number}", "caption": f"a {animal} runs to the {place}"})
        bad.append(
            {"image_id": f"p{number}", "caption": f"a {animal} runs" if number % 2 else "the fish is a bird here"}
        )
    (tmp_path / "r.txt").write_text("".join(references))
    (tmp_path / "a.json").write_text(json.dumps(bad))
    (tmp_path / "b.json").write_text(json.dumps(good))
    like = [{**entry, "caption": entry["caption"] + " now"} if n in (3, 8) else entry for n, entry in enumerate(bad)]
    (tmp_path / "c.json").write_text(json.dumps(like))
    return tmp_path


def run(folder, first, second, **options):
    config = options.pop("config", CONFIG)
    return compare(folder / first, folder / second, [folder / "r.txt"], config, **options)


def test_a_real_difference_is_called_one_and_chance_is_not(files):
    better = run(files, "a.json", "b.json")
    assert better.pictures == 40 and better.found.keys() == {"bleu_1", "bleu_2", "bleu_3", "bleu_4", "rouge_l"}
    one = better.found["bleu_4"]
    assert (
        one.second == pytest.approx(1, abs=1e-6) and one.p < 0.001 and 0 < one.low < one.second - one.first < one.high
    )
    assert all(one.p > 0.05 for one in run(files, "a.json", "c.json").found.values())
    turned = run(files, "b.json", "a.json").found["bleu_4"]
    assert (turned.first, turned.second) == (one.second, one.first) and turned.low == pytest.approx(-one.high)


def test_the_table_reads_well(files):
    lines = describe(
        run(files, "a.json", "b.json", config=EvaluationConfig(metrics=("rouge", "diversity")))
    ).splitlines()
    assert lines[0] == f"A  {files / 'a.json'}" and lines[1] == f"B  {files / 'b.json'}"
    assert lines[3].split() == ["A", "B", "B", "-", "A", "95", "%", "interval", "p"]
    rouge = lines[4].split()
    assert (
        rouge[0] == "ROUGE-L" and rouge[2] == "100.00" and rouge[3].startswith("+") and lines[4].endswith("B is better")
    )
    assert lines[7].split()[0] == "vocabulary" and lines[7].endswith("words")
    assert "another seed" in lines[-1]
    turned = describe(run(files, "b.json", "a.json")).splitlines()[4]
    assert turned.endswith("A is better") and " -" in turned
    assert "may be chance" in describe(run(files, "a.json", "c.json"))


def test_json_holds_all_of_it(files):
    found = run(files, "a.json", "b.json", config=EvaluationConfig(metrics=("rouge", "diversity"))).to_json()
    assert json.loads(json.dumps(found)) == found
    assert found["scores"]["rouge_l"].keys() == {"first", "second", "low", "high", "p"}
    assert found["scores"]["vocabulary"].keys() == {"first", "second"}


def test_only_pictures_that_both_have_captioned_count(files, said):
    entries = json.loads((files / "b.json").read_text())
    (files / "part.json").write_text(json.dumps(entries[10:]))
    assert run(files, "a.json", "part.json").pictures == 30
    assert said == [f"10 of the 40 pictures in {files / 'a.json'} are not in {files / 'part.json'} and are left out"]
    with pytest.raises(DataError, match=r"10 of the 40 pictures .* first 'p0'; caption them too, or leave out --all"):
        run(files, "a.json", "part.json", every=True)
    (files / "other.json").write_text(json.dumps([{"image_id": "x", "caption": "a dog"}]))
    with pytest.raises(DataError, match="have no id in common: 'x' in one, 'p0' in the other"):
        run(files, "a.json", "other.json")


def test_run_folders_bring_their_references(files):
    for name in "ab":
        (files / name).mkdir()
        (files / f"{name}.json").rename(files / name / "predictions.json")
        (files / name / "config.yaml").write_text(f"data: {{captions: {files / 'r.txt'}}}\n")
    found = compare(files / "a", files / "b", [], CONFIG)
    assert found.pictures == 40 and found.found["bleu_1"].second == pytest.approx(1, abs=1e-6)
    (files / "r2.txt").write_text("p0.jpg#0\tOther .\n")
    (files / "b" / "config.yaml").write_text(f"data: {{captions: {files / 'r2.txt'}}}\n")
    with pytest.raises(DataError, match=r"have different references, .*r\.txt and .*r2\.txt; choose one with -R"):
        compare(files / "a", files / "b", [], CONFIG)
    (files / "b" / "predictions.json").unlink()
    with pytest.raises(DataError, match=r"b: has no scores\.json; captioner evaluate .*b makes it"):
        compare(files / "a", files / "b", [files / "r.txt"], CONFIG)


def test_references_must_be_known(files):
    with pytest.raises(ConfigError, match="-R: missing"):
        compare(files / "a.json", files / "b.json", [], CONFIG)


def test_a_prediction_without_references_is_named_with_its_file(files):
    for name in "ab":
        entries = [*json.loads((files / f"{name}.json").read_text()), {"image_id": "x", "caption": "a dog"}]
        (files / f"{name}.json").write_text(json.dumps(entries))
    with pytest.raises(DataError, match=r"a\.json: 1 of the 41 candidates have no references \(first: 'x'\)"):
        run(files, "a.json", "b.json")


def test_plain_lines(files):
    for name, text in {
        "x": "a dog\na cat\n",
        "y": "the dog\na cat\n",
        "1": "a dog\nthe cat\n",
        "2": "dogs\na cat\n",
    }.items():
        (files / name).write_text(text)
    found = compare(files / "x", files / "y", [files / "1", files / "2"], CONFIG)
    assert found.pictures == 2 and found.corpus[0]["bleu_1"] == pytest.approx(1, abs=1e-6)
