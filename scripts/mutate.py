"""Makes small changes to the code, one at a time, and reports the changes that no test detects.

    .venv/bin/python scripts/mutate.py captioner/training/optimizers.py
    .venv/bin/python scripts/mutate.py captioner/generation captioner/metrics --sample 5
    .venv/bin/python scripts/mutate.py captioner/training/fit.py --tests tests/stages/test_train.py

A change inverts a comparison or an operator, changes a number, swaps `and` and `or`, drops a `not`, or removes a
statement. Each change is made in a copy of the package, never in the checkout, and the tests run on it until the first
failure: those of --tests, or the test module that mirrors the changed one. A change that survives is printed on one
line: a test is missing, or the change has no effect. scripts/mutations.md has the results of the last run.

TensorFlow is imported once, and every change is tested in a fork. pytest's plugins are not loaded.
"""

import argparse
import ast
import copy
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
SECONDS = 300  # time limit of the tests on a changed package; a change that makes them hang counts as detected

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult, ast.Pow: ast.Mult,
}  # fmt: skip


class Mutation(NamedTuple):
    """A change: the module, the line, the old and the new code, and the module's changed source."""

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
    """Return the possible replacements of a node."""
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


class Copy:
    """A copy of the files that the tests need, in which one module at a time is changed."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        for name in ("captioner", "tests", "configs", "scripts"):
            shutil.copytree(ROOT / name, self.folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", folder)
        (self.folder / "data").mkdir()
        (self.folder / "data" / "sample").symlink_to(ROOT / "data" / "sample")

    def survives(self, mutation: Mutation, tests: list[str]) -> bool:
        """Return whether the tests pass with the change."""
        path = self.folder / mutation.path.relative_to(ROOT)
        for compiled in path.parent.glob(f"__pycache__/{path.stem}.*.pyc"):
            compiled.unlink()
        path.write_text(mutation.source, encoding="utf-8")
        try:
            return self.passes(tests)
        finally:
            shutil.copy(mutation.path, path)

    def passes(self, tests: list[str], keep_compiled: bool = False) -> bool:
        """Return whether the tests pass in the copy. `keep_compiled` makes the next runs faster."""
        child = os.fork()
        if child == 0:
            os.setsid()  # so that processes started by the tests end with them
            os.chdir(self.folder)
            sys.path.insert(0, str(self.folder))
            sys.dont_write_bytecode = not keep_compiled
            os.environ.update(PYTHONPATH=str(self.folder), PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
            silent = os.open(os.devnull, os.O_WRONLY)
            os.dup2(silent, 1)
            os.dup2(silent, 2)
            options = ["-p", "no:cacheprovider", "-x", "-q", "--tb=no"]
            os._exit(int(pytest.main([*options, *tests])))
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                return os.waitstatus_to_exitcode(status) == 0
            time.sleep(0.05)
        os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return False


def mirror(path: Path) -> Path:
    """Return the test module of a module."""
    folder = path.parent.relative_to(ROOT / "captioner")
    return ROOT / "tests" / folder / f"test_{path.stem}.py"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("code", nargs="+", type=Path, help="Modules or folders of captioner/.")
    parser.add_argument("--tests", nargs="+", help="The tests to run (default: each module's own).")
    parser.add_argument("--sample", type=int, help="Number of random changes per module (default: all).")
    parser.add_argument("--seed", type=int, default=0, help="Seed of the random choice.")
    arguments = parser.parse_args()
    import keras  # noqa: F401 - the forks share it

    with tempfile.TemporaryDirectory() as folder:
        copy_ = Copy(folder)
        for code in arguments.code:
            code = (ROOT / code).resolve()
            for path in sorted(code.rglob("*.py")) if code.is_dir() else [code]:
                report(copy_, path, arguments)


def report(copy_: Copy, path: Path, arguments: argparse.Namespace) -> None:
    """Test the changes of a module; print those that survive, and the count."""
    name = path.relative_to(ROOT)
    found = list(mutations(path))
    tests = arguments.tests or [str(mirror(path).relative_to(ROOT))]
    if not found:
        return
    if not all((ROOT / test.split("::")[0]).exists() for test in tests):
        print(f"{name}: there is no {tests[0]}; name the tests with --tests", flush=True)
        return
    if not copy_.passes(tests, keep_compiled=True):
        print(f"{name}: {' '.join(tests)} fails without a change", flush=True)
        return
    if arguments.sample is not None and arguments.sample < len(found):
        found = random.Random(arguments.seed).sample(found, arguments.sample)
    alive = 0
    for mutation in found:
        if copy_.survives(mutation, tests):
            alive += 1
            print(f"{name}:{mutation.line}: survives: {mutation.before!r} -> {mutation.after!r}", flush=True)
    print(f"{name}: {len(found)} changes, {len(found) - alive} detected, {alive} survive", flush=True)


if __name__ == "__main__":
    main()
