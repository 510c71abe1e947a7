"""Changes the code in small ways, one at a time, and tells which changes no test notices.

    .venv/bin/python scripts/mutate.py captioner/training/optimizers.py tests/training/test_optimizers.py
    .venv/bin/python scripts/mutate.py captioner/metrics tests/metrics --sample 40

A change turns a comparison or an operator around, moves a number, swaps `and` and `or`, drops a `not`, or empties a
statement. Each is made in a copy of the package, never in the checkout, and the tests run on it until the first
failure. A change that survives is printed as a line: a test is missing, or the change means the same.
"""

import argparse
import ast
import copy
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
SECONDS = 600  # that the tests may take on a changed package; a change that makes them hang is noticed

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult, ast.Pow: ast.Mult,
}  # fmt: skip


class Mutation(NamedTuple):
    """A change: the module, the line, what it was and what it is, and the module's changed source."""

    path: Path
    line: int
    before: str
    after: str
    source: str


def mutations(path: Path) -> Iterator[Mutation]:
    """Yield every change of a module."""
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    for index, node in enumerate(ast.walk(tree)):
        for number in range(len(_changed(node))):
            changed = copy.deepcopy(tree)
            target = list(ast.walk(changed))[index]
            before = ast.unparse(target)
            replacement = _changed(target)[number]
            _replace(changed, target, replacement)
            source = ast.unparse(ast.fix_missing_locations(changed))
            yield Mutation(path, node.lineno, before, ast.unparse(replacement), source)  # type: ignore[attr-defined]


def _changed(node: ast.AST) -> list[ast.AST]:
    """Return what may stand in a node's place."""
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        return [ast.Compare(node.left, [COMPARISONS[type(node.ops[0])]()], node.comparators)]
    if isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
        return [ast.BinOp(node.left, OPERATORS[type(node.op)](), node.right)]
    if isinstance(node, ast.BoolOp):
        return [ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub):
        return [node.operand]
    if isinstance(node, ast.Constant) and isinstance(node.value, bool):
        return [ast.Constant(not node.value)]
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return [ast.Constant(node.value + 1)]
    if isinstance(node, ast.AugAssign) and type(node.op) in OPERATORS:
        return [ast.AugAssign(node.target, OPERATORS[type(node.op)](), node.value)]
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        return [ast.Pass()]  # a call for its effect
    return []


def _replace(tree: ast.AST, target: ast.AST, replacement: ast.AST) -> None:
    for parent in ast.walk(tree):
        for field, value in ast.iter_fields(parent):
            if value is target:
                setattr(parent, field, ast.copy_location(replacement, target))
                return
            if isinstance(value, list):
                for index, item in enumerate(value):
                    if item is target:
                        value[index] = ast.copy_location(replacement, target)
                        return


def survives(mutation: Mutation, tests: list[str]) -> bool:
    """Return whether the tests pass on a copy of the package with the change in it."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("captioner", "tests", "configs", "scripts"):
            shutil.copytree(ROOT / name, Path(folder, name), ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", folder)
        Path(folder, "data").mkdir()
        Path(folder, "data", "sample").symlink_to(ROOT / "data" / "sample")
        Path(folder, mutation.path.relative_to(ROOT)).write_text(mutation.source, encoding="utf-8")
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-n0", "-x", "-q", *tests]
        environment = {**os.environ, "PYTHONPATH": folder}
        try:
            result = subprocess.run(
                command, cwd=folder, env=environment, capture_output=True, timeout=SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            return False
        return result.returncode == 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("code", type=Path, help="A module or a folder of captioner/.")
    parser.add_argument("tests", nargs="+", help="The tests that should notice, as pytest takes them.")
    parser.add_argument("--sample", type=int, help="So many changes, drawn at random (default: all).")
    parser.add_argument("--seed", type=int, default=0, help="Of the draw.")
    arguments = parser.parse_args()
    code = (ROOT / arguments.code).resolve()
    modules = sorted(code.rglob("*.py")) if code.is_dir() else [code]
    found = [mutation for path in modules for mutation in mutations(path)]
    if arguments.sample is not None and arguments.sample < len(found):
        found = random.Random(arguments.seed).sample(found, arguments.sample)
    alive = 0
    for mutation in found:
        if survives(mutation, arguments.tests):
            alive += 1
            where = f"{mutation.path.relative_to(ROOT)}:{mutation.line}"
            print(f"{where}: survives: {mutation.before!r} -> {mutation.after!r}", flush=True)
    print(f"{len(found)} changes, {len(found) - alive} noticed, {alive} survive")


if __name__ == "__main__":
    main()
