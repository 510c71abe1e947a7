import ast
from pathlib import Path

from mutate import mutations

CODE = """
def clip(value, most=3):
    if value > most and not value == 7:
        warn(value)
        return most
    for _ in zip(value, most, strict=True):
        pass
    return value - 1
"""


def test_every_change_is_one_change_and_python(tmp_path: Path) -> None:
    path = tmp_path / "clip.py"
    path.write_text(CODE)
    found = list(mutations(path))
    assert {(change.before, change.after) for change in found} == {
        ("value > most", "value >= most"),
        ("value > most and (not value == 7)", "value > most or not value == 7"),
        ("not value == 7", "value == 7"),
        ("value == 7", "value != 7"),
        ("warn(value)", "pass"),
        ("value - 1", "value + 1"),
        ("3", "4"),
        ("7", "8"),
        ("1", "2"),
    }
    plain = ast.unparse(ast.parse(CODE))
    for change in found:
        ast.parse(change.source)
        assert change.source != plain
        assert change.line in change.lines
        assert sum(old != new for old, new in zip(plain.splitlines(), change.source.splitlines(), strict=True)) == 1
    assert path.read_text() == CODE
