import json
from pathlib import Path

import pytest

from captioner.data.coco import read_coco
from captioner.storage import DataError
from captioner.vision.images import list_images
from tests.data.shared import COCO_MINI, needs_coco_mini


def write(folder: Path, content: object) -> Path:
    path = folder / "captions.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def annotation(image_id: int | str, caption: str) -> dict[str, object]:
    return {"image_id": image_id, "caption": caption}


def test_annotations_are_grouped_by_picture(tmp_path: Path) -> None:
    annotations = [annotation(2, "A dog.\n"), annotation(1, "A cat."), annotation(2, "The dog"), annotation(2, " ")]
    assert read_coco(write(tmp_path, {"annotations": annotations})) == {"2": ("A dog.", "The dog"), "1": ("A cat.",)}


def test_a_bare_list_of_annotations_is_read(tmp_path: Path) -> None:
    assert read_coco(write(tmp_path, [annotation("000000000009.jpg", "A cat")])) == {"9": ("A cat",)}


@pytest.mark.parametrize(
    ("file_name", "image_id"), [("COCO_val2014_000000493652.jpg", "493652"), ("beach/dog.png", "beach/dog")]
)
def test_the_id_comes_from_the_file_name(tmp_path: Path, file_name: str, image_id: str) -> None:
    content = {"images": [{"id": 7, "file_name": file_name}], "annotations": [annotation(7, "A dog")]}
    assert read_coco(write(tmp_path, content)) == {image_id: ("A dog",)}


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ({"annotations": [annotation(1, "A dog"), {"image_id": 2}]}, "annotation 1 lacks"),
        ({"annotations": [annotation(1, "A dog"), 5]}, "annotation 1 lacks"),
        ({"annotations": [{"image_id": True, "caption": "A dog"}]}, "annotation 0 lacks"),
        ({"annotations": [], "images": []}, "holds no captions"),
        ({"annotations": [annotation(1, "A dog")], "images": {"1": "a.jpg"}}, "`images` is no list"),
        ({"images": []}, "has no list of annotations"),
        ("captions", "has no list of annotations"),
    ],
)
def test_another_form_is_refused(tmp_path: Path, content: object, fault: str) -> None:
    with pytest.raises(DataError, match=rf"captions\.json: {fault}"):
        read_coco(write(tmp_path, content))


@pytest.mark.slow
@needs_coco_mini
def test_every_picture_of_a_real_file_has_its_captions() -> None:
    references = read_coco(COCO_MINI / "captions_train2017_mini80.json")
    assert references.keys() == list_images(COCO_MINI / "train2017").keys()
    assert sum(map(len, references.values())) == 400
