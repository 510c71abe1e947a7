import io

import numpy as np
import pytest
from PIL import Image

from captioner.images.pictures import is_one_picture, picture_array
from captioner.storage import DataError

RGB = np.random.default_rng(0).integers(0, 256, (6, 8, 3)).astype(np.uint8)  # (height, width, 3)


def png(array):
    file = io.BytesIO()
    Image.fromarray(array).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize(
    "picture",
    [
        png(RGB),
        bytearray(png(RGB)),
        memoryview(png(RGB)),
        io.BytesIO(png(RGB)),
        Image.fromarray(RGB),
        RGB,
        RGB / 255,
        (RGB / 255).astype(np.float32),
        RGB.astype(np.float32),
        RGB.astype(np.int64),
        RGB.astype(np.uint16) * 257,
        np.dstack([RGB, np.full((6, 8), 255, np.uint8)]),
    ],
    ids=lambda picture: str(getattr(picture, "dtype", type(picture).__name__)),
)
def test_every_form_of_one_picture(picture):
    assert is_one_picture(picture)
    np.testing.assert_array_equal(picture_array(picture), RGB)


def test_paths(tmp_path):
    (tmp_path / "a.png").write_bytes(png(RGB))
    for path in (tmp_path / "a.png", str(tmp_path / "a.png")):
        assert is_one_picture(path)
        np.testing.assert_array_equal(picture_array(path), RGB)
    with (tmp_path / "a.png").open("rb") as file:
        np.testing.assert_array_equal(picture_array(file), RGB)


@pytest.mark.parametrize("grey", [RGB[..., 0], RGB[..., :1], RGB[..., 0] / 255, Image.fromarray(RGB[..., 0])])
def test_grey(grey):
    np.testing.assert_array_equal(picture_array(grey), np.repeat(RGB[..., :1], 3, axis=2))


def test_masks_are_black_and_white():
    np.testing.assert_array_equal(picture_array(RGB[..., 0] > 99)[..., 1], np.where(RGB[..., 0] > 99, 255, 0))


@pytest.mark.parametrize("scale", [1, 255])
def test_transparency_lies_on_white_as_in_files(scale):
    rgba = np.dstack([RGB, np.linspace(0, 255, 48).reshape(6, 8).astype(np.uint8)])  # (height, width, 4)
    expected = picture_array(png(rgba)).astype(int)
    found = picture_array(rgba if scale == 255 else rgba / 255).astype(int)
    assert np.abs(found - expected).max() <= 1
    grey_alpha = picture_array(rgba[..., [0, 3]])
    assert (grey_alpha[0, 0] == 255).all() and (grey_alpha[-1, -1] == RGB[-1, -1, 0]).all()


def test_pillow_pictures_are_turned_as_their_exif_says():
    picture = Image.fromarray(RGB)
    picture.getexif()[0x0112] = 6
    assert picture_array(picture).shape == (8, 6, 3)


def test_a_tensor_that_numpy_can_read():
    class Tensor:
        def __array__(self, dtype=None, copy=None):
            return RGB / 255

    assert is_one_picture(Tensor())
    np.testing.assert_array_equal(picture_array(Tensor()), RGB)


def test_batches_and_lists_are_several():
    assert not is_one_picture(np.zeros((2, 6, 8, 3)))
    assert not is_one_picture(["a.jpg"]) and not is_one_picture(("a.jpg", "b.jpg"))


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (RGB.transpose(2, 0, 1), r"1 to 4 channels, found the shape \(3, 6, 8\); channels come last, transpose it"),
        (np.zeros((6, 8, 7)), "expected 1 to 4 channels, found the shape"),
        (np.zeros(5), r"expected an array \(height, width, channels\), found the shape \(5,\)"),
        (np.zeros((0, 8, 3)), r"found the shape \(0, 8, 3\)"),
        (np.full((6, 8, 3), np.nan), "not finite"),
        (RGB / 127.5 - 1, "the array goes from -1 to 1; a picture's numbers go from 0 to 1 or from 0 to 255"),
        (np.full((6, 8, 3), 1e6), "goes from 1e\\+06"),
        (np.full((6, 8, 3), "x"), "expected an array of numbers"),
        (b"", "picture 3: empty"),
        (b"nothing", "picture 3: not a picture that can be read"),
        ("nowhere.jpg", "nowhere.jpg: no such file"),
        (".", "is a folder; give its pictures one by one"),
    ],
)
def test_what_cannot_be_a_picture_is_named(picture, message):
    with pytest.raises(DataError, match=message):
        picture_array(picture, "picture 3")


def test_a_truncated_pillow_picture():
    noise = np.random.default_rng(1).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    with pytest.raises(DataError, match="the picture: broken or truncated"):
        picture_array(Image.open(io.BytesIO(png(noise)[:500])))


@pytest.mark.parametrize("nothing", [None, 3, object(), io.StringIO("text")])
def test_other_things_are_type_errors(nothing):
    with pytest.raises(TypeError, match="the picture: "):
        picture_array(nothing)
