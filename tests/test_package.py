"""What holds for the package as a whole: where imports point, what things are called."""

import ast
import collections
from pathlib import Path

import pytest

import captioner

PACKAGE = Path(captioner.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))


def test_a_class_name_occurs_once():
    places = collections.defaultdict(list)
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(path.relative_to(PACKAGE).as_posix())
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_imports_point_downward():
    pytest.importorskip("importlinter")
    from importlinter.cli import lint_imports

    assert lint_imports(str(PACKAGE.parent / "pyproject.toml"), no_cache=True) == 0


def test_no_module_is_a_drawer_for_anything():
    assert not [path for path in MODULES if path.stem in ("utils", "util", "helpers", "helper", "common", "misc")]
