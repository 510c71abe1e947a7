import pytest

from captioner.data.readers.literals import read_list


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ('["A dog", "Dogs"]', ["A dog", "Dogs"]),
        ("['A dog runs .', \"A dog's run\"]", ["A dog runs .", "A dog's run"]),
        ("['A dog runs .' 'Two dogs'\n \"A dog's run\"]", ["A dog runs .", "Two dogs", "A dog's run"]),
        ("['a' 'dog' 'it\\'s']", ["a", "dog", "it's"]),
        ("[['a' 'dog']\n ['two' 'dogs']]", [["a", "dog"], ["two", "dogs"]]),
        ("['a', '', 'x']", ["a", "", "x"]),
        ("('A dog', 'Two dogs')", ["A dog", "Two dogs"]),
        ("[('a', 'dog'), ('two',)]", [["a", "dog"], ["two"]]),
        ("[u'a', u'dog']", ["a", "dog"]),
        ("[{'tokens': ['a', 'dog'], 'raw': 'A dog.'}]", [{"tokens": ["a", "dog"], "raw": "A dog."}]),
    ],
)
def test_lists_are_read_as_json_python_and_numpy_write_them(text: str, items: list[object]) -> None:
    assert read_list(text) == items


@pytest.mark.parametrize(
    "text", ["A dog", "[start] a dog [end]", "('A dog')", "(a dog)", "['a', {1}]", "['a'", "[", ""]
)
def test_what_is_no_list_is_none(text: str) -> None:
    assert read_list(text) is None


@pytest.mark.parametrize(
    "text",
    ["['" + "\\" * 60_000, "['a'" + " " * 60_000 + "]", "[" * 60_000 + "]", "['" * 60_000, "['" + "\\'" * 60_000],
)
def test_a_long_text_takes_no_longer_for_each_letter(text: str) -> None:
    read_list(text + "x]")
