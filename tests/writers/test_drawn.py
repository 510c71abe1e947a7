import csv
import io

import numpy as np
import pytest
from PIL import Image

from captioner.config import ConfigError
from captioner.generation.caption import Caption
from captioner.images.decode import load_image
from captioner.storage import DataError
from captioner.writers.drawn import AttentionFolder, ResultsFolder
from captioner.writers.lines import one_line
from captioner.writers.result import Captioned


@pytest.fixture
def pictures(tmp_path):
    paths = [tmp_path / "in" / name for name in ("dog.png", "more/dog.jpg", "more/Dog.png")]
    (tmp_path / "in" / "more").mkdir(parents=True)
    for path in paths:
        Image.new("RGB", (40, 30), "red").save(path)
    return paths


def captions(*texts, regions=0):
    attention = np.full((2, regions), 1 / 4, np.float32) if regions else None
    return [Caption(text, tuple(text.split()), -1.5 - rank, attention) for rank, text in enumerate(texts)]


def test_pictures_with_their_captions_and_a_table(pictures, tmp_path):
    out = ResultsFolder(tmp_path / "out", pictures)
    for path in pictures:
        out.add(Captioned(path, captions("a dog", 'the "dog", sleeping')))
    out.close()
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == [
        ".results.job.json",
        "Dog-3.jpg",
        "dog-2.jpg",
        "dog.jpg",
        "results.csv",
        "results.csv.manifest.json",
    ]  # one folder, whatever it takes for equal
    assert load_image(tmp_path / "out" / "dog.jpg").shape[1] == 320
    rows = list(csv.DictReader((tmp_path / "out" / "results.csv").read_text().splitlines()))
    assert [row["annotated"] for row in rows] == ["dog.jpg"] * 2 + ["dog-2.jpg"] * 2 + ["Dog-3.jpg"] * 2
    assert rows[1] == {
        "file": str(pictures[0]),
        "rank": "2",
        "caption": 'the "dog", sleeping',
        "log_prob": "-2.500000",
        "confidence": "",
        "annotated": "dog.jpg",
    }


@pytest.mark.parametrize("rows_left", [0, 1, 2])
def test_a_run_that_was_stopped_early_goes_on(pictures, tmp_path, rows_left):
    job = {"model": "m"}
    strange = pictures[0].with_name('caf\udce9, "x".png')
    pictures[0].rename(strange)
    named = [strange, *pictures[1:]]
    first = ResultsFolder(tmp_path / "out", named, job)
    for path in named:
        first.add(Captioned(path, captions("a dog", "two dogs")))
    table = (tmp_path / "out/results.csv").read_bytes()  # never closed: killed
    lines = table.splitlines(keepends=True)
    (tmp_path / "out/results.csv").write_bytes(b"".join(lines[: 1 + 2 * rows_left]))
    again = ResultsFolder(tmp_path / "out", named, job)
    assert [again.is_done(path) for path in named] == [place < rows_left - 1 for place in range(3)]
    for path in named:
        if not again.is_done(path):
            again.add(Captioned(path, captions("a dog", "two dogs")))
    again.close()
    assert (tmp_path / "out/results.csv").read_bytes() == table
    assert all(ResultsFolder(tmp_path / "out", named, job).is_done(path) for path in named)


def test_the_pictures_themselves_are_never_written_over(pictures):
    for make in (ResultsFolder, lambda folder, paths: AttentionFolder(folder, paths, None)):
        with pytest.raises(ConfigError, match="more: contains pictures to caption; name another folder"):
            make(pictures[1].parent, pictures)


def test_a_picture_that_arrives_from_the_folder_itself_ends_no_run(pictures):
    for folder in (
        ResultsFolder(pictures[0].parent, []),
        AttentionFolder(pictures[0].parent, [], None),
    ):
        with pytest.raises(DataError, match=r"dog\.png: cannot be drawn .*contains pictures to caption"):
            folder.add(Captioned(pictures[0], captions("a dog", regions=4)))


def test_attention_word_by_word_and_whole(pictures, tmp_path):
    pytest.importorskip("matplotlib")
    folder = AttentionFolder(tmp_path / "att", pictures, None)
    folder.add(Captioned(pictures[0], captions("dog's ball", regions=4)))
    folder.add(Captioned(pictures[1], []))  # nothing could be said
    made = sorted(path.relative_to(tmp_path / "att").as_posix() for path in (tmp_path / "att").rglob("*.png"))
    assert made == ["dog.png", "dog/01_dog_s.png", "dog/02_ball.png"]


def test_drawings_replace_drawings_but_no_picture_of_others(pictures, tmp_path):
    pytest.importorskip("matplotlib")
    folder = tmp_path / "att"
    folder.mkdir()
    Image.new("RGB", (9, 9)).save(folder / "dog.png")
    before = (folder / "dog.png").read_bytes()
    with pytest.raises(DataError, match=r"dog\.png: already exists and was not drawn by captioner predict"):
        AttentionFolder(folder, pictures, None)
    arriving = AttentionFolder(folder, [], None)
    with pytest.raises(DataError, match=r"dog\.png: already exists"):
        arriving.add(Captioned(pictures[0], captions("a dog", regions=4)))
    assert (folder / "dog.png").read_bytes() == before and len(list(folder.iterdir())) == 1
    (folder / "dog.png").unlink()
    for _ in range(2):
        again = AttentionFolder(folder, pictures, None)
        again.add(Captioned(pictures[0], captions("a dog", regions=4)))
    (folder / ".attention.json").unlink()  # as drawings were once left
    AttentionFolder(folder, pictures, None)


def test_what_arrives_replaces_no_picture_of_others_either(pictures, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/dog.jpg").write_bytes(b"a photograph")
    folder = ResultsFolder(tmp_path / "out", [])
    with pytest.raises(DataError, match=r"dog\.jpg: already exists and was not written by captioner predict"):
        folder.add(Captioned(pictures[0], captions("a dog")))
    assert (tmp_path / "out/dog.jpg").read_bytes() == b"a photograph"


def test_attention_of_a_model_that_has_none(pictures, tmp_path):
    folder = AttentionFolder(tmp_path / "att", pictures, None)
    with pytest.raises(DataError, match="--attention: this model's architecture has no attention over picture regions"):
        folder.add(Captioned(pictures[0], captions("a dog")))
    assert not (tmp_path / "att").exists()


def test_only_captioners_own_folder_is_overwritten(pictures, tmp_path):
    for name in ("dog.jpg", "results.csv"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / name).write_text("mine")
        with pytest.raises(DataError, match=f"{name}: already exists and was not written by captioner predict"):
            ResultsFolder(folder, pictures, overwrite=True)
        assert (folder / name).read_text() == "mine"


def test_a_name_with_a_carriage_return_is_known_again(pictures, tmp_path):
    strange = pictures[0].with_name("a\r.png")
    pictures[0].rename(strange)
    for _ in range(2):
        out = ResultsFolder(tmp_path / "out", [strange, *pictures[1:]])
        for path in (strange, *pictures[1:]):
            if not out.is_done(path):
                out.add(Captioned(path, captions("a dog")))
        out.close()
        text = (tmp_path / "out" / "results.csv").read_bytes().decode()
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
        assert [row["file"] for row in rows] == [str(strange), *map(str, pictures[1:])]


@pytest.mark.parametrize(
    ("name", "shown"),
    [("a b.jpg", "a b.jpg"), ("a\t\r\n\x1b\\.jpg", "a\\t\\r\\n\\x1b\\\\.jpg"), ("\udce9.jpg", "\udce9.jpg")],
)
def test_control_characters_of_names_are_escaped_in_lines(name, shown):
    assert one_line(name) == shown
