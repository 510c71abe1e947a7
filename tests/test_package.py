"""What holds for the package as a whole: where imports point, what things are called."""

import ast
import collections
import subprocess
import sys
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
    program = "from importlinter.cli import lint_imports_command; lint_imports_command()"  # it takes logging over
    command = [sys.executable, "-c", program, "--no-cache", str(PACKAGE.parent / "pyproject.toml")]
    result = subprocess.run(command, cwd=PACKAGE.parent, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


def test_no_module_is_a_drawer_for_anything():
    assert not [path for path in MODULES if path.stem in ("utils", "util", "helpers", "helper", "common", "misc")]
