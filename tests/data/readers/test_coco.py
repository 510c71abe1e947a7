import json
from pathlib import Path

import pytest

from captioner.data.readers.coco import listed_pictures, read_coco, read_image_info, read_karpathy
from captioner.images.listing import list_images
from captioner.storage import DataError
from tests.shared import COCO_MINI, needs_coco_mini


def write(folder: Path, content: object) -> Path:
    path = folder / "captions.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def annotation(image_id: int | str, caption: str) -> dict[str, object]:
    return {"image_id": image_id, "caption": caption}


def test_annotations_are_grouped_by_picture(tmp_path: Path) -> None:
    annotations = [annotation(2, "A dog.\n"), annotation(1, "A cat."), annotation(2, "The dog"), annotation(2, " ")]
    captions = read_coco(write(tmp_path, {"annotations": annotations}))
    assert captions.references == {"2": ("A dog.", "The dog"), "1": ("A cat.",)}
    assert captions.splits == {}


@pytest.mark.parametrize(
    ("file_name", "image_id"), [("COCO_val2014_000000493652.jpg", "493652"), ("beach/dog.png", "beach/dog")]
)
def test_the_id_comes_from_the_file_name(tmp_path: Path, file_name: str, image_id: str) -> None:
    content = {"images": [{"id": 7, "file_name": file_name}], "annotations": [annotation(7, "A dog")]}
    assert read_coco(write(tmp_path, content)).references == {image_id: ("A dog",)}


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("captions_train2014.json", "train"),
        ("captions_val2017.json", "dev"),
        ("captions_train2017_mini80.json", "train"),
        ("my_training2014.json", None),
    ],
)
def test_the_split_is_the_files(tmp_path: Path, name: str, split: str | None) -> None:
    (tmp_path / name).write_text(json.dumps({"annotations": [annotation(3, "A dog")]}))
    assert read_coco(tmp_path / name).splits == ({split: ("3",)} if split else {})


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ({"annotations": [annotation(1, "A dog"), {"image_id": 2}]}, "annotation 1 lacks"),
        ({"annotations": [annotation(1, "A dog"), 5]}, "annotation 1 lacks"),
        ({"annotations": [{"image_id": True, "caption": "A dog"}]}, "annotation 0 lacks"),
        ({"annotations": [], "images": []}, "contains no captions"),
        ({"annotations": [annotation(1, "A dog")], "images": {"1": "a.jpg"}}, "`images` is not a list"),
        ({"images": []}, "has no list of annotations"),
        ([annotation(1, "A dog")], "has no list of annotations"),
        ("captions", "has no list of annotations"),
    ],
)
def test_another_form_is_refused(tmp_path: Path, content: object, fault: str) -> None:
    with pytest.raises(DataError, match=rf"captions\.json: {fault}"):
        read_coco(write(tmp_path, content))


def image_info(folder: Path) -> Path:
    path = folder / "annotations" / "image_info_test2014.json"
    path.parent.mkdir(parents=True)
    names = [f"COCO_test2014_{number:012}.jpg" for number in (7, 5)]
    path.write_text(json.dumps({"images": [{"id": int(name[-6:-4]), "file_name": name} for name in names]}))
    return path


def test_a_list_of_pictures_without_captions(tmp_path: Path) -> None:
    captions = read_image_info(image_info(tmp_path))
    assert captions.references == {}
    assert captions.pictures == {number: Path(f"COCO_test2014_{int(number):012}.jpg") for number in ("7", "5")}
    assert captions.splits == {"test": ("7", "5")}
    with pytest.raises(DataError, match="lists no pictures"):
        read_image_info(write(tmp_path, {"images": []}))


def test_listed_pictures_are_found_where_the_archives_put_them(tmp_path: Path) -> None:
    path = image_info(tmp_path / "coco")
    with pytest.raises(
        DataError, match=r"lists 2 pictures, but the first \(COCO_test2014_000000000007\.jpg\) is not in"
    ):
        listed_pictures(path)
    (tmp_path / "coco" / "test2014").mkdir()
    (tmp_path / "coco" / "test2014" / "COCO_test2014_000000000007.jpg").touch()
    assert [picture.name[-6:] for picture in listed_pictures(path)] == ["07.jpg", "05.jpg"]
    assert listed_pictures(path)[0].parent == tmp_path / "coco" / "test2014"


def karpathy_image(name: str, split: str, *captions: str, **more: object) -> dict[str, object]:
    return {
        "filename": name,
        "split": split,
        "sentences": [{"raw": text, "tokens": text.split()} for text in captions],
        **more,
    }


def test_karpathys_splits_with_restval_in_train(tmp_path: Path) -> None:
    images = [
        karpathy_image(
            "COCO_val2014_000000000042.jpg", "restval", "A dog .", " ", "Dogs .", filepath="val2014", cocoid=42
        ),
        karpathy_image("COCO_train2014_000000000009.jpg", "train", "A cat.", filepath="train2014"),
        karpathy_image("COCO_val2014_000000000073.jpg", "val", "A bird", filepath="val2014"),
        karpathy_image("1000268201_693b08cb0e.jpg", "test", "A child"),
        karpathy_image("nobody.jpg", "test"),
    ]
    captions = read_karpathy(write(tmp_path, {"images": images, "dataset": "coco"}))
    assert captions.references == {
        "42": ("A dog .", "Dogs ."),
        "9": ("A cat.",),
        "73": ("A bird",),
        "1000268201_693b08cb0e": ("A child",),
    }
    assert captions.splits == {"train": ("42", "9"), "dev": ("73",), "test": ("1000268201_693b08cb0e",)}


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ({"images": [karpathy_image("a.jpg", "train", "A dog"), {"filename": "b.jpg"}]}, "image 1 lacks"),
        ({"images": [{**karpathy_image("a.jpg", "train"), "sentences": [{"sentid": 4}]}]}, "image 0 lacks"),
        ({"images": [karpathy_image("a.jpg", "train")]}, "contains no captions"),
        ({"annotations": []}, "has no list of images"),
    ],
)
def test_another_form_is_not_karpathys(tmp_path: Path, content: object, fault: str) -> None:
    with pytest.raises(DataError, match=rf"captions\.json: {fault}"):
        read_karpathy(write(tmp_path, content))


@pytest.mark.slow
@needs_coco_mini
def test_every_picture_of_a_real_file_has_its_captions() -> None:
    references = read_coco(COCO_MINI / "captions_train2017_mini80.json").references
    assert references.keys() == list_images(COCO_MINI / "train2017").keys()
    assert sum(map(len, references.values())) == 400


@pytest.mark.parametrize("name", ["/dev/zero", "../../etc/passwd", "a/../../b.jpg"])
def test_listed_pictures_stay_in_their_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "image_info.json").write_text(json.dumps({"images": [{"id": 1, "file_name": name}]}))
    with pytest.raises(DataError, match="is outside of its folder"):
        listed_pictures(tmp_path / "image_info.json")


def test_an_id_of_two_pictures_is_refused(tmp_path):
    path = tmp_path / "captions.json"
    images = [{"id": 1, "file_name": "a.jpg"}, {"id": 1, "file_name": "b.jpg"}]
    path.write_text(json.dumps({"images": images, "annotations": [{"image_id": 1, "caption": "a dog"}]}))
    with pytest.raises(DataError, match=r"two pictures have the id 1: a\.jpg and b\.jpg"):
        read_coco(path)
