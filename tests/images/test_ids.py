import pytest

from captioner.images.ids import align, is_picture_name, normalize_id, normalize_ids, spell_id, whole_numbers


@pytest.mark.parametrize(
    ("text", "image_id"),
    [
        ("dog.jpg", "dog"),
        ("dog.JPEG", "dog"),
        ("dog.jpg.jpg", "dog"),
        ("dog.jfif", "dog"),
        ("dog.v2.png", "dog.v2"),
        ("dog", "dog"),
        ("dog.jpg#0", "dog"),
        ("dog.jpg#4r1n", "dog"),
        ("dog#3", "dog"),
        ("dog.jpg?w=300&h=2", "dog"),
        ("2258277193_586949ec62.jpg.1#0", "2258277193_586949ec62.jpg.1"),
        ("train\\dog.jpg", "train/dog"),
        ("train2014\\/dog.jpg", "train2014/dog"),
        ("./train/dog.jpg", "train/dog"),
        (".\\train\\dog.jpg", "train/dog"),
        ("../train//./dog.jpg", "train/dog"),
        (".hidden.jpg", ".hidden"),
        ("my dog.jpg", "my%20dog"),
        ("my%20dog.jpg", "my%20dog"),
        ("dog%20%281%29.jpg", "dog%20(1)"),
        ("dog (1).jpg", "dog%20(1)"),
        ("A%26B%2c%7e%41.jpg", "A&B,~A"),
        ("a%2Fb%5cc%3F%23%25%2541.jpg", "a%2Fb%5cc%3F%23%25%2541"),
        ("caf\u00e9.jpg", "caf\u00e9"),
        ("cafe\u0301.jpg", "caf\u00e9"),
        ("caf%C3%A9.jpg", "caf\u00e9"),
        ("%d1%84.jpg", "\u0444"),
        ("\udce9t\udce9.jpg", "%E9t%E9"),
        ("%E9t%E9.jpg", "%E9t%E9"),
        ("\ud83d.jpg", "?"),
        ("a\u3000b\u00a0c", "a%E3%80%80b%C2%A0c"),
        ("COCO_train2014_000000493652.jpg", "493652"),
        ("images/COCO_val2014_000000000042.jpg", "42"),
        ("train2017/000000493652.jpg", "493652"),
        ("000000493652", "493652"),
        ("images/000000493652.jpg", "images/000000493652"),
    ],
)
def test_a_picture_has_one_id(text: str, image_id: str) -> None:
    assert normalize_id(text) == image_id
    assert normalize_id(image_id) == image_id


@pytest.mark.parametrize(
    ("names", "ids"),
    [
        (["/data/train/a.jpg", "/data/dev/b.jpg"], ["train/a", "dev/b"]),
        (["/data/train/a.jpg", "/data/train2/b.jpg"], ["train/a", "train2/b"]),
        (["C:\\pics\\x\\a.jpg", "C:\\pics\\y\\b.jpg"], ["x/a", "y/b"]),
        (["c:/pics/a.jpg"], ["a"]),
        (["C:\\a.jpg", "D:\\b.jpg"], ["a", "b"]),
        (["\\\\host\\share\\x\\a.jpg", "\\\\host\\share\\b.jpg"], ["x/a", "b"]),
        (["file:///data/a.jpg", "file:///data/b c.jpg"], ["a", "b%20c"]),
        (["file:///C:/data/a.jpg", "file://localhost/C:/data/b.jpg"], ["a", "b"]),
        (["https://x.org/i/a.jpg?w=3", "https://x.org/i/j/b.jpg"], ["a", "j/b"]),
        (["https://x.org/a.jpg", "http://y.org/b.jpg"], ["x.org/a", "y.org/b"]),
        (["./train/dog.jpg", "/data/train/cat.jpg"], ["train/dog", "train/cat"]),
        (["dog.jpg", "/data/cat.jpg"], ["dog", "cat"]),
        (["/data/coco/train2017/000000000042.jpg"], ["42"]),
        (["1.0", "2.0"], ["1.0", "2.0"]),
        (["1.0", "x"], ["1.0", "x"]),
        (["train/a.jpg", "train/b.jpg"], ["train/a", "train/b"]),  # what is relative stays
    ],
)
def test_what_all_absolute_names_have_in_common_goes(names: list[str], ids: list[str]) -> None:
    assert list(normalize_ids(names).values()) == ids


def test_ids_in_json_are_text_or_whole_numbers() -> None:
    assert [spell_id(value) for value in (1, 1.0, "1", " x ")] == ["1", "1", "1", "x"]
    assert [spell_id(value) for value in (True, 1.5, None, [], "", float("nan"), float("inf"))] == [None] * 7


def test_names_of_pictures_are_known_by_their_ending() -> None:
    for name in ("a.jpg", "C:\\x\\a.PNG", "http://x.org/a.webp?x=1", "a b.jpg#0", " a.tiff "):
        assert is_picture_name(name)
    for name in (".jpg", "a", "a.jpg is a picture", "a.txt", "x/.png"):
        assert not is_picture_name(name)


def test_ids_are_aligned_only_where_none_is_known_and_nothing_else_can_be_meant() -> None:
    assert align(["im/a", "im/b", "im/x"], {"a", "b"}) == {"im/a": "a", "im/b": "b"}
    assert align(["a", "b"], ["train/a", "train/b"]) == {"a": "train/a", "b": "train/b"}
    assert align(["x/y/a"], ["y/a"]) == {"x/y/a": "y/a"}
    assert align(["a", "im/b"], ["a", "b"]) == {}
    assert align(["a"], ["train/a", "dev/a"]) == {}
    assert align(["im/a", "jm/a"], ["a"]) == {}


@pytest.mark.parametrize("name", ["./", "/", "../", "file:///", "http://", "", "././", "\\", ".jpg", "#0", " "])
def test_ids_are_never_empty(name):
    assert normalize_id(name) and normalize_ids([name])[name] and normalize_ids([name, "/a/b.jpg"])[name]


def test_a_long_name_takes_no_longer_for_each_letter() -> None:
    assert normalize_id(".jpg" * 100_000 + "x").endswith(".jpgx")
    assert normalize_id("a" + ".jpg" * 100_000) == "a"
    assert not is_picture_name(".jpg#" * 100_000 + "\nx")


def test_numbers_that_a_table_holds_as_fractions_are_whole_where_all_are() -> None:
    assert whole_numbers(["1.0", "2.00"]) == {"1.0": "1", "2.00": "2"}
    assert whole_numbers(["1.0", "x"]) == {"1.0": "1.0", "x": "x"}
