from pathlib import Path

import pytest
from coverage_map import WHILE_IMPORTING, CoverageMap, digest_code

LINES = {
    1: [WHILE_IMPORTING],
    5: ["tests/test_a.py::one", "tests/test_b.py::two", "tests/test_b.py::long"],
    6: ["tests/test_b.py::two"],
}
SECONDS = {"tests/test_a.py::one": 3.0, "tests/test_b.py::two": 2.0, "tests/test_b.py::long": 50.0}
MAP = CoverageMap({"captioner/a.py": LINES}, SECONDS, "digest")


@pytest.mark.parametrize(
    ("lines", "seconds", "expected"),
    [
        ([5], 60, ["tests/test_a.py::one", "tests/test_b.py::two", "tests/test_b.py::long"]),  # its own module's first
        ([5], 5.5, ["tests/test_a.py::one", "tests/test_b.py::two"]),
        ([6], 1, ["tests/test_b.py::two"]),  # one runs however long it takes
        ([1], 4, ["tests/test_a.py::one"]),  # any test of the module can tell
        ([7], 60, []),
    ],
)
def test_the_quickest_tests_of_a_line_are_chosen(lines: list[int], seconds: float, expected: list[str]) -> None:
    assert MAP.tests_of("captioner/a.py", lines, "tests/test_a.py", seconds) == expected
    assert MAP.tests_of("captioner/other.py", lines, "", seconds) == []


def test_a_map_is_read_as_it_was_written(tmp_path: Path) -> None:
    MAP.save(tmp_path / "map.json")
    assert CoverageMap.load(tmp_path / "map.json") == MAP


def test_the_digest_is_of_code_and_tests(tmp_path: Path) -> None:
    for name in ("captioner/a.py", "tests/test_a.py"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("x = 1\n")
    before = digest_code(tmp_path)
    (tmp_path / "captioner" / "notes.txt").write_text("no code")
    assert digest_code(tmp_path) == before
    (tmp_path / "tests" / "test_a.py").write_text("x = 2\n")
    assert digest_code(tmp_path) != before
