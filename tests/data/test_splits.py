import json
from pathlib import Path

import pytest
from PIL import Image

from captioner.config import ConfigError
from captioner.data.splits import SHARES, make_splits, read_split, require_different, write_splits
from captioner.storage import DataError, write_manifest
from tests.data.test_duplicates import draw

IDS = [f"p{number}" for number in range(1000)]


def test_shares_are_met_and_every_picture_stands_once() -> None:
    splits = make_splits(IDS, SHARES)
    assert {name: len(ids) for name, ids in splits.items()} == {"train": 800, "dev": 100, "test": 100}
    assert sorted(name for ids in splits.values() for name in ids) == sorted(IDS)


def test_a_seed_gives_the_same_division_and_another_one_another() -> None:
    assert make_splits(IDS, SHARES, 3) == make_splits(reversed(IDS), SHARES, 3)
    first, second = (set(make_splits(IDS, SHARES, seed)["dev"]) for seed in (3, 4))
    assert len(first & second) < 30


def test_pictures_that_come_later_leave_nearly_all_on_their_side() -> None:
    before, after = make_splits(IDS[:990], SHARES), make_splits(IDS, SHARES)
    moved = [name for split, ids in before.items() for name in ids if name not in after[split]]
    assert len(moved) < 15


def test_shares_may_leave_pictures_over() -> None:
    splits = make_splits(IDS, {"train": 0.5, "dev": 0.01})
    assert {name: len(ids) for name, ids in splits.items()} == {"train": 500, "dev": 10}


def test_groups_stay_together() -> None:
    groups = [IDS[start : start + 5] for start in range(0, 500, 5)]
    splits = make_splits(IDS, SHARES, 1, [*groups, ("unknown", "p999")])
    for group in groups:
        assert sum(bool(set(group) & set(ids)) for ids in splits.values()) == 1
    assert abs(len(splits["train"]) - 800) <= 5
    assert sum(map(len, splits.values())) == 1000


@pytest.mark.parametrize(
    ("shares", "fault"),
    [
        ({"train": 0.8, "dev": 0.3}, r"shares add up to 1\.1"),
        ({"train": 1.0, "dev": 0.0}, r"splits\.dev: .* found 0"),
        ({"train": float("nan")}, r"splits\.train"),
    ],
)
def test_impossible_shares(shares: dict[str, float], fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        make_splits(IDS, shares)


def test_too_few_pictures() -> None:
    with pytest.raises(DataError, match=r"3 pictures are too few for a split 'test' with a share of 0\.1"):
        make_splits("abc", SHARES)


def test_an_empty_list_is_refused(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("\n")
    with pytest.raises(DataError, match=r"train\.txt: names no picture"):
        read_split(tmp_path / "train.txt")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Twenty pictures; p7 is p3 saved smaller."""
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(20):
        picture = draw(3 if number == 7 else number)
        (picture.resize((100, 75), Image.Resampling.LANCZOS) if number == 7 else picture).save(
            folder / f"p{number}.jpg"
        )
    return folder


@pytest.mark.parametrize("seed", range(5))
def test_pictures_that_look_alike_come_on_one_side(tmp_path: Path, images: Path, seed: int, said: list[str]) -> None:
    ids = [*(f"p{number}" for number in range(20)), "nowhere"]
    paths = write_splits(tmp_path / "out", ids, {"train": 0.5, "dev": 0.5}, seed, images)
    splits = {name: read_split(path) for name, path in paths.items()}
    assert {"p3", "p7"} <= set(splits["train"]) or {"p3", "p7"} <= set(splits["dev"])
    assert sorted(name for found in splits.values() for name in found) == sorted(ids[:-1])
    assert said[0].endswith("left out of all splits (nowhere)")
    assert said[1] == "near-duplicate pictures, kept in one split: 1 group (p3 = p7)"
    assert said[2] == f"{paths['train']}: {len(splits['train'])} pictures"
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["seed"] == seed and manifest["near_duplicates"] == [["p3", "p7"]]
    assert require_different(splits, images) == 20


def test_a_picture_that_cannot_be_read_comes_into_no_split(tmp_path: Path, images: Path, said: list[str]) -> None:
    (images / "p5.jpg").write_bytes(b"no picture")
    paths = write_splits(tmp_path / "out", [f"p{n}" for n in range(20)], {"train": 0.5, "dev": 0.5}, 0, images)
    listed = sorted(name for path in paths.values() for name in read_split(path))
    assert listed == sorted(f"p{n}" for n in range(20) if n != 5)
    assert said[0] == f"note: 1 of 20 pictures in {images} cannot be read and are left out of all splits (p5)"


def test_a_list_may_name_pictures_in_other_folders_or_with_labels(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text("# mine\r\ntrain\\a b.jpg 3\r\n./train/c.jpg 1\r\n")
    assert read_split(path) == ("train/a%20b", "train/c")
    assert read_split(path, {"a%20b", "c"}) == ("a%20b", "c")
    assert read_split(path, {"c"}) == ("train/a%20b", "c")
    assert read_split(path, {"train/c", "c"}) == ("train/a%20b", "train/c")


def test_a_picture_in_two_splits_under_two_names_is_named(images: Path) -> None:
    splits = {"train": ("p1", "p2", "p3"), "dev": ("p7", "p8")}
    with pytest.raises(DataError, match=r"images: 1 picture is in two splits .* p3 in train, p7 in dev\); remove one"):
        require_different(splits, images)


def test_lists_and_manifests_of_others_are_not_replaced(tmp_path: Path) -> None:
    ids, shares = [f"p{n}" for n in range(20)], {"train": 0.5, "dev": 0.5}
    (tmp_path / "dev.txt").write_text("mine")
    with pytest.raises(DataError, match=r"dev\.txt: already exists and was not written by captioner split"):
        write_splits(tmp_path, ids, shares)
    assert [path.name for path in tmp_path.iterdir()] == ["dev.txt"]
    run = tmp_path / "run"
    run.mkdir()
    write_manifest(run, "train", seed=3)
    before = (run / "manifest.json").read_bytes()
    with pytest.raises(DataError, match=r"manifest\.json: already exists and was not written by captioner split"):
        write_splits(run, ids, shares)
    (run / "manifest.json").write_text('{"name": "my web page"}')
    with pytest.raises(DataError, match="not a manifest of captioner"):
        write_splits(run, ids, shares)
    assert before and [path.name for path in run.iterdir()] == ["manifest.json"]


def test_own_lists_are_replaced_and_a_killed_division_can_be_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids, shares = [f"p{n}" for n in range(20)], {"train": 0.5, "dev": 0.5}
    write_splits(tmp_path, ids, shares)
    with monkeypatch.context() as killed:
        killed.setattr("captioner.data.splits.write_manifest", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            write_splits(tmp_path, ids, shares, seed=1)
    assert not (tmp_path / "manifest.json").exists()
    write_splits(tmp_path, ids, shares, seed=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dev.txt", "manifest.json", "train.txt"]
    (tmp_path / "test.txt").write_text("mine")
    with pytest.raises(DataError, match=r"test\.txt: already exists"):
        write_splits(tmp_path, ids, {"train": 0.5, "test": 0.5})


def test_a_list_of_frames_that_are_called_as_fractions_keeps_their_names(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("0.0\n1.0\n")
    assert read_split(tmp_path / "train.txt") == ("0.0", "1.0")


@pytest.mark.parametrize(
    "text",
    [
        "image\na.jpg\nb.jpg\n",
        '"File Name"\n"a.jpg"\n"b.jpg"\n',
        '["a.jpg", "b.jpg"]',
        '[\n "a.jpg",\n "b.jpg"\n]\n',
        ",image\n0,a.jpg\n1,b.jpg\n",
        "a.jpg,0\nb.jpg,1\n",
        "0\ta.jpg\t7\n1\tb.jpg\t8\n",
    ],
)
def test_headers_rows_and_lists_of_json_are_no_pictures(tmp_path: Path, text: str) -> None:
    (tmp_path / "train.txt").write_text(text)
    assert read_split(tmp_path / "train.txt") == ("a", "b")


def test_a_picture_that_is_called_as_a_column_is_kept_where_it_is_known(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("image\nb\n")
    assert read_split(tmp_path / "train.txt", ["image", "b"]) == ("image", "b")
    (tmp_path / "train.txt").write_text("a,b.jpg\n1.jpg,2.jpg\n")
    assert read_split(tmp_path / "train.txt") == ("a,b", "1.jpg,2")


def test_lists_of_a_former_division_are_removed(tmp_path: Path) -> None:
    ids = [f"p{n}" for n in range(20)]
    write_splits(tmp_path, ids, {"train": 0.5, "dev": 0.5})
    write_splits(tmp_path, ids, {"a": 0.5, "b": 0.5})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "b.txt", "manifest.json"]
    write_splits(tmp_path, ids, {"train": 0.5, "dev": 0.5})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dev.txt", "manifest.json", "train.txt"]


@pytest.mark.parametrize("name", ["../out", "a/b", "..", "", ".hidden"])
def test_a_name_that_leaves_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="cannot be the name of a list"):
        write_splits(tmp_path / "lists", ["p1", "p2"], {name: 0.5, "dev": 0.5})
    assert list(tmp_path.iterdir()) == []
