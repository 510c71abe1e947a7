import base64
import io

import numpy as np
import pytest
from PIL import Image

from captioner.images.decode import resize
from captioner.report.pictures import SIDE, embed_attention, embed_pictures, grid_box, grid_columns


def test_pictures_become_small_jpegs_and_broken_ones_are_said(tmp_path, said):
    Image.new("RGB", (900, 600), "red").save(tmp_path / "wide.png")
    Image.new("RGB", (30, 60), "blue").save(tmp_path / "small.jpg")
    (tmp_path / "broken.jpg").write_text("no picture")
    found = embed_pictures({path.stem: path for path in sorted(tmp_path.iterdir())})
    assert found.keys() == {"wide", "small"}
    assert (found["wide"].width, found["wide"].height) == (SIDE, SIDE * 2 // 3)
    assert (found["small"].width, found["small"].height) == (30, 60)
    kind, _, data = found["wide"].source.partition(",")
    assert kind == "data:image/jpeg;base64"
    picture = Image.open(io.BytesIO(base64.b64decode(data)))
    assert picture.format == "JPEG" and picture.size == (SIDE, SIDE * 2 // 3) and picture.getpixel((5, 5))[0] > 240
    assert said == [said[0]] and said[0].startswith("note: 1 of 3 pictures cannot be shown (first: ")
    assert "broken.jpg" in said[0]


def test_attention_is_kept_as_bytes_on_one_scale_for_all_words():
    attention = np.array([[0.5, 0.25, 0.25, 0.0], [0.0, 0.0, 0.0, 0.1], [0, 0, 0, 0]])
    found = embed_attention(["a", "dog", "x"], attention, 2, [0, 0, 1, 1])
    maps = [list(base64.b64decode(one)) for one in found["maps"]]
    assert maps == [[255, 128, 128, 0], [0, 0, 0, 51], [0, 0, 0, 0]]
    assert found["words"] == ["a", "dog", "x"] and found["columns"] == 2 and found["box"] == [0, 0, 1, 1]


@pytest.mark.parametrize(
    ("regions", "size", "columns"),
    [(49, (224, 224), 7), (196, (224, 224), 14), (50, (160, 320), 10), (8, (448, 224), 2)],
)
def test_a_grid_has_the_shape_of_the_encoders_input(regions, size, columns):
    assert grid_columns(regions, size) == columns


@pytest.mark.parametrize("resizing", ["whole", "crop", "pad"])
@pytest.mark.parametrize("shape", [(100, 200), (200, 100), (120, 120), (90, 250)])
def test_the_box_is_where_resizing_takes_the_input_from(resizing, shape):
    """A column of a picture that holds its own place comes out at the same place of the input, seen through the box."""
    height, width = shape
    places = np.linspace(0, 255, width)[None, :].repeat(height, axis=0)
    picture = np.repeat(places[:, :, None], 3, axis=2).astype(np.uint8)
    seen = resize(picture, (64, 64), resizing, "bilinear")[32, :, 0].astype(float)  # the row in the middle
    left, top, wide, high = grid_box(shape, (64, 64), resizing)
    expected = 255 * (left + wide * (np.arange(64) + 0.5) / 64)
    inside = (expected > 12) & (expected < 243)
    assert np.abs(seen - expected)[inside].max() < 6
    assert left + wide / 2 == pytest.approx(0.5) and top + high / 2 == pytest.approx(0.5)
    if resizing == "crop":
        assert min(left, top) >= 0 and max(wide, high) == pytest.approx(1)
    if resizing == "pad":
        assert max(left, top) <= 0 and min(wide, high) == pytest.approx(1)
