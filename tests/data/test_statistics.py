from pathlib import Path

import pytest

from captioner.config import ConfigError
from captioner.data.statistics import describe, kept_words, measure, unknown_share
from captioner.plots.statistics import plot, require_plot

TEXT = {
    "a": [["a", "dog", "runs"], ["a", "dog"]],
    "b": [["a", "dog", "runs"]],
    "c": [["a", "cat", "in", "the", "sun"], ["a", "dog", "runs"]],
}
SPLITS = {"train": ("a", "b"), "dev": ("c",), "test": ("gone",)}


def test_counts_by_split() -> None:
    statistics = measure(TEXT, SPLITS, ["d"])
    assert list(statistics.splits) == ["train", "dev"]  # no caption of test is there
    train = statistics.training
    assert (train.pictures, train.captions, train.lengths.tolist()) == (2, 3, [3, 2, 3])
    assert train.words == {"a": 3, "dog": 3, "runs": 2}
    assert statistics.whole.captions == 5
    assert statistics.commonest == [("a dog runs", 3)]


def test_what_a_vocabulary_does_not_reach() -> None:
    statistics = measure(TEXT, SPLITS)
    train, dev = statistics.splits["train"], statistics.splits["dev"]
    assert kept_words(train, 3) == {"a", "dog"}
    assert unknown_share(train, kept_words(train, 1)) == 0
    assert unknown_share(train, kept_words(train, 3)) == pytest.approx(2 / 8)
    assert unknown_share(dev, kept_words(train, 1)) == pytest.approx(4 / 8)


def test_the_description_holds_the_figures() -> None:
    lines = describe(measure(TEXT, SPLITS, ["d", "e"])).splitlines()
    rows = {line.split("  ")[0].strip(): line.split()[-7:] for line in lines}
    assert rows["train"] == ["2", "3", "1.50", "8", "3", "2.7", "3"]
    assert rows["all"] == ["3", "5", "1.67", "16", "7", "3.2", "5"]
    assert any(line.startswith("words seen in train at least") for line in lines)
    unknown = {name: next(line for line in lines if f"unknown in {name}" in line).split() for name in ("train", "dev")}
    assert unknown["train"][4:7] == ["0.00", "0.00", "25.00"] and unknown["dev"][4:7] == ["50.00", "50.00", "62.50"]
    assert "  3  a dog runs" in lines
    assert lines[-1] == "pictures without a caption: 2 (d, e)"
    bars = {line.split()[0]: line.count("█") for line in lines if "█" in line}
    assert bars["3"] == 40 and bars["2"] == 13


def test_without_splits_all_captions_are_learned() -> None:
    statistics = measure(TEXT)
    assert statistics.training is statistics.whole and statistics.learned == ""
    assert "words seen in all captions at least" in describe(statistics)


@pytest.mark.parametrize("name", ["s.png", "s.svg", "s.pdf"])
def test_a_picture_of_it(tmp_path: Path, name: str) -> None:
    pytest.importorskip("matplotlib")
    text = {**TEXT, "d": [["一", "$", "$x_1$"]]}
    plot(measure(text, {**SPLITS, "test": ("d",)}), tmp_path / name)
    data = (tmp_path / name).read_bytes()
    assert data.startswith((b"\x89PNG", b"<?xml", b"%PDF")) and len(data) > 5000


def test_another_ending_is_refused_before_the_work() -> None:
    with pytest.raises(ConfigError, match=r"--plot s\.txt: the name must end in png, svg or pdf"):
        require_plot(Path("s.txt"))


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    with pytest.raises(ConfigError, match=r"needs matplotlib; pip install 'captioner\[plot\]'"):
        require_plot(Path("s.png"))
