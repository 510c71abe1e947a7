import os
from pathlib import Path

import pytest
from PIL import Image

from captioner.config import ConfigError
from captioner.data.dataset import load_captions
from captioner.recipe import Source, load_recipe
from captioner.stages.init import init, look_at
from captioner.storage import DataError

TOKENS = "".join(f"p{index:02}.jpg#0\tA dog number {index} .\n" for index in range(12))


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """A folder of twelve pictures, beside the current folder's captioner.yaml that is to be."""
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    for index in range(12):
        Image.new("RGB", (40, 30), (20 * index, 9, 99)).save(f"photos/p{index:02}.jpg")
    return Path("photos")


def loaded(path="captioner.yaml"):
    return load_recipe(Source(Path(path)))


@pytest.mark.parametrize("place", ["photos/captions.token.txt", "captions.txt"])
def test_captions_in_the_folder_or_beside_it_are_found(photos, place):
    Path(place).write_text(TOKENS)
    found = init(photos, None, Path("captioner.yaml"))
    assert (found.pictures, len(found.ids)) == (12, 12)
    recipe = loaded()
    assert (recipe.data.images, recipe.data.captions) == ("photos", place)
    assert recipe.data.shares == {"train": 0.75, "dev": 0.25} and recipe.evaluation.split == "dev"
    assert recipe.features.startswith(f"features{os.sep}photos_") and recipe.features.endswith("_pool.pkl")
    assert {len(ids) for ids in load_captions(recipe.data).splits.values()} == {9, 3}


def test_texts_beside_the_pictures(photos):
    for picture in photos.iterdir():
        picture.with_suffix(".txt").write_text("a dog\n")
    init(photos, None, Path("captioner.yaml"))
    assert loaded().data.captions == "photos"


def test_the_file_with_captions_of_most_pictures_is_taken(photos):
    Path("few.csv").write_text("image,caption\np01.jpg,a dog\n")
    Path("notes.txt").write_text("nothing of that kind\n")
    Path("all.csv").write_text("image,caption\n" + "".join(f"p{index:02}.jpg,a dog\n" for index in range(12)))
    assert look_at(photos).captions == Path("all.csv")


def test_lists_of_splits_are_found(photos):
    Path("captions.txt").write_text(TOKENS)
    for name, numbers in {"train": range(8), "val": range(8, 10), "test": range(10, 12)}.items():
        Path(f"my_{name}_images.txt").write_text("".join(f"p{index:02}.jpg\n" for index in numbers))
    init(photos, None, Path("captioner.yaml"))
    recipe = loaded()
    assert recipe.data.lists == {
        name: f"my_{file}_images.txt" for name, file in {"train": "train", "dev": "val", "test": "test"}.items()
    }
    assert recipe.evaluation.split == "test"


def test_captions_without_a_dev_split_give_a_recipe_that_can_be_trained(photos):
    rows = [f"p{index:02}.jpg,a dog,{'test' if index > 8 else 'train'}" for index in range(12)]
    Path("captions.csv").write_text("\n".join(["image,caption,split", *rows]))
    init(photos, None, Path("captioner.yaml"))
    assert "the splits train, test; part of train is used as dev" in Path("captioner.yaml").read_text()
    assert set(load_captions(loaded().data).splits) == {"train", "dev", "test"}


def test_splits_that_the_captions_carry(photos):
    lines = [
        f'{{"image": "p{index:02}.jpg", "caption": "a dog", "split": "{"dev" if index > 8 else "train"}"}}\n'
        for index in range(12)
    ]
    Path("captions.jsonl").write_text("".join(lines))
    init(photos, None, Path("captioner.yaml"))
    assert loaded().data.splits == {} and {"train", "dev"} == set(load_captions(loaded().data).splits)


def test_other_scripts_take_other_rules(photos):
    Path("captions.txt").write_text(TOKENS.replace("A dog number", "Собака номер"))
    init(photos, None, Path("captioner.yaml"))
    assert loaded().text.rules == "lower"


def test_a_recipe_elsewhere_has_paths_from_there(photos):
    Path("captions.txt").write_text(TOKENS)
    Path("recipes").mkdir()
    init(photos, Path("captions.txt"), Path("recipes/mine.yaml"))
    assert "images: ../photos" in Path("recipes/mine.yaml").read_text()


def test_a_recipe_is_not_replaced_unasked(photos):
    Path("captions.txt").write_text(TOKENS)
    Path("captioner.yaml").write_text("data: {}")
    with pytest.raises(ConfigError, match=r"captioner\.yaml: already exists; give --overwrite to replace it"):
        init(photos, None, Path("captioner.yaml"))
    init(photos, None, Path("captioner.yaml"), overwrite=True)
    assert loaded().data.images == "photos"


def test_what_cannot_be_used_is_said(photos):
    with pytest.raises(DataError, match="found no captions for its pictures in it or beside it"):
        look_at(photos)
    Path("other.txt").write_text("q1.jpg#0\tA dog .\n")
    with pytest.raises(DataError, match=r"other\.txt: none of its 1 pictures is in photos \(it lists 'q1'"):
        look_at(photos, Path("other.txt"))
    Path("few.txt").write_text("p01.jpg#0\tA dog .\n")
    with pytest.raises(DataError, match=r"few\.txt: has captions for 1 pictures in photos; at least 8 are needed"):
        look_at(photos, Path("few.txt"))
    with pytest.raises(DataError, match="nowhere: no such folder"):
        look_at(Path("nowhere"))


def test_only_a_recipe_is_replaced(photos):
    captions = Path("captions.txt")
    captions.write_text(TOKENS)
    for path in (captions, next(photos.iterdir())):
        before = path.read_bytes()
        with pytest.raises(ConfigError, match="is not a recipe and is not replaced; name another file with -o"):
            init(photos, captions, path, overwrite=True)
        assert path.read_bytes() == before
