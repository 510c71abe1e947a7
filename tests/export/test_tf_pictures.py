import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from captioner.export.tf_pictures import picture_reader
from captioner.images.decode import load_image, resize

RNG = np.random.default_rng(0)


def smooth(height, width, channels=3):
    small = RNG.integers(0, 256, (6, 8, channels), dtype=np.uint8)
    return Image.fromarray(small.squeeze()).resize((width, height), Image.BICUBIC)


def encoded(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def orientation(number):
    exif = Image.Exif()
    exif[0x0112] = number
    return exif


def check(content, size=(24, 40), resizing="whole", filter="bicubic"):
    ours = resize(load_image(content, at_least=size), size, resizing, filter)
    theirs = picture_reader(size, resizing, filter)(tf.constant(content)).numpy()
    assert theirs.shape == ours.shape and theirs.dtype == np.uint8
    difference = np.abs(ours.astype(int) - theirs)
    # Pillow chooses whether rows or columns come first; between the two a level is rounded.
    assert difference.max() <= 2 and (difference > 1).mean() < 0.01, (difference.max(), (difference > 1).mean())


@pytest.mark.parametrize("filter", ["bicubic", "bilinear", "lanczos"])
@pytest.mark.parametrize("resizing", ["whole", "crop", "pad"])
@pytest.mark.parametrize("shape", [(30, 90), (70, 33), (10, 12), (24, 40)])
def test_resizing_is_pillows(shape, resizing, filter):
    check(encoded(smooth(*shape), "PNG"), resizing=resizing, filter=filter)


@pytest.mark.parametrize("number", range(1, 9))
def test_jpegs_are_turned_upright(number):
    check(encoded(smooth(60, 90), "JPEG", exif=orientation(number)))


@pytest.mark.parametrize("shape", [(100, 170), (200, 330), (400, 660)])
def test_large_jpegs_are_decoded_smaller(shape):
    check(encoded(smooth(*shape), "JPEG", quality=90))


@pytest.mark.parametrize("kind", ["GIF", "BMP", "PNG"])
def test_other_kinds(kind):
    image = smooth(30, 50).quantize(64).convert("RGB") if kind == "GIF" else smooth(30, 50)
    check(encoded(image, kind))


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_grey_pictures_and_transparency_on_white(channels):
    check(encoded(smooth(30, 50, channels), "PNG"))


def test_an_exif_block_that_points_nowhere_turns_nothing():
    image = smooth(60, 90)
    content = bytearray(encoded(image, "JPEG", exif=orientation(6)))
    place = content.index(b"Exif\0\0") + 6 + 4
    content[place : place + 4] = b"\xff\xff\xff\x7f"
    read = picture_reader((24, 40), "whole", "bicubic")
    as_it_lies = read(tf.constant(encoded(image, "JPEG")))
    np.testing.assert_array_equal(read(tf.constant(bytes(content))), as_it_lies)
    turned = read(tf.constant(encoded(image, "JPEG", exif=orientation(6))))
    assert np.abs(np.subtract(turned, as_it_lies, dtype=float)).max() > 20
