"""Makes small changes to the code, one at a time, and reports the changes that no test detects.

    .venv/bin/python scripts/mutate.py captioner/training/optimizers.py
    .venv/bin/python scripts/mutate.py captioner/generation captioner/metrics --sample 5
    .venv/bin/python scripts/mutate.py captioner/training --tests tests/training tests/stages --map map.json

A change inverts a comparison or an operator, changes a number, swaps `and` and `or`, drops a `not`, or removes a
statement. The tests of --tests run once with coverage; without --tests, those that mirror the named code. Then each
change is made in a copy of the package, never in the checkout, and the tests that run the changed line run on it until
the first failure, the quick ones first, up to --seconds of tests. A change that survives is printed on one line: a
test is missing, or the change has no effect. scripts/mutations.md has the results of the last run.

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
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from coverage_map import CoverageMap, digest_code, record

ROOT = Path(__file__).parent.parent
UNTESTED = ("strict", "missing_ok", "exist_ok")  # arguments that only matter where something else is wrong already

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult, ast.Pow: ast.Mult,
}  # fmt: skip


class Mutation(NamedTuple):
    """A change: the module, the statement's lines, the old and the new code, and the module's changed source."""

    path: Path
    line: int
    lines: frozenset[int]
    before: str
    after: str
    source: str


def mutations(path: Path) -> Iterator[Mutation]:
    """Yield every change of a module."""
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    begins = {part: node.lineno for node in ast.walk(tree) if isinstance(node, ast.stmt) for part in ast.walk(node)}
    untested = {node.value for node in ast.walk(tree) if isinstance(node, ast.keyword) and node.arg in UNTESTED}
    for index, node in enumerate(ast.walk(tree)):
        for number in range(len(_changed(node)) if node not in untested else 0):
            changed = copy.deepcopy(tree)
            target = list(ast.walk(changed))[index]
            before = ast.unparse(target)
            replacement = _changed(target)[number]
            _replace(changed, target, replacement)
            source = ast.unparse(ast.fix_missing_locations(changed))
            begin, end = node.lineno, node.end_lineno  # type: ignore[attr-defined]
            lines = frozenset((begins[node], *range(begin, end + 1)))
            yield Mutation(path, begin, lines, before, ast.unparse(replacement), source)


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


OPTIONS = ("-p", "no:cacheprovider", "-q", "--tb=no")


class Copy:
    """A copy of the files that the tests need, in which one module at a time is changed."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        for name in ("captioner", "tests", "configs", "scripts"):
            shutil.copytree(ROOT / name, self.folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", folder)
        (self.folder / "data").mkdir()
        (self.folder / "data" / "sample").symlink_to(ROOT / "data" / "sample")

    def survives(self, mutation: Mutation, tests: list[str], seconds: float) -> bool:
        """Return whether the tests pass with the change; a change that makes them last longer than that does not."""
        path = self.folder / mutation.path.relative_to(ROOT)
        for compiled in path.parent.glob(f"__pycache__/{path.stem}.*.pyc"):
            compiled.unlink()
        path.write_text(mutation.source, encoding="utf-8")
        try:
            return self.in_fork(lambda: pytest.main([*OPTIONS, "-x", *tests]), seconds)
        finally:
            shutil.copy(mutation.path, path)

    def map_of(self, sources: list[Path], tests: list[str], saved: Path) -> CoverageMap:
        """Return which tests run which lines of the sources, and save it.

        Raises:
            SystemExit: the tests fail without a change.
        """

        def run() -> int:
            sys.dont_write_bytecode = False  # makes the runs after it faster
            record(self.folder, [self.folder / source for source in sources], [*OPTIONS, *tests]).save(saved)
            return 0

        if not self.in_fork(run, 3600):
            raise SystemExit(f"{' '.join(tests)}: fails without a change")
        return CoverageMap.load(saved)

    def in_fork(self, run: Callable[[], int], seconds: float) -> bool:
        """Return whether a function, called in the copy by a process of its own, returns 0 within the time."""
        child = os.fork()
        if child == 0:
            os.setsid()  # so that processes started by the tests end with them
            os.chdir(self.folder)
            sys.path.insert(0, str(self.folder))
            sys.dont_write_bytecode = True
            os.environ.update(PYTHONPATH=str(self.folder), PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
            silent = os.open(os.devnull, os.O_WRONLY)
            os.dup2(silent, 1)
            os.dup2(silent, 2)
            code = 1
            try:
                code = int(run())
            finally:
                os._exit(code)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                return os.waitstatus_to_exitcode(status) == 0
            time.sleep(0.02)
        os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return False


def mirror(path: Path) -> Path:
    """Return the tests of a module or a folder."""
    place = path.relative_to(ROOT / "captioner")
    return Path("tests", place if path.is_dir() else place.with_name(f"test_{path.stem}.py"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("code", nargs="+", type=Path, help="Modules or folders of captioner/.")
    parser.add_argument("--tests", nargs="+", help="The tests to choose from (default: those that mirror the code).")
    parser.add_argument("--sample", type=int, help="Number of random changes per module (default: all).")
    parser.add_argument("--seed", type=int, default=0, help="Seed of the random choice.")
    parser.add_argument("--seconds", type=float, default=30, help="Seconds of tests for one change (default: 30).")
    parser.add_argument("--map", type=Path, help="Which tests run which lines; written if there is no such file.")
    arguments = parser.parse_args()
    import keras  # noqa: F401 - the forks share it

    places = [(ROOT / code).resolve() for code in arguments.code]
    tests = arguments.tests or sorted({str(mirror(place)) for place in places})
    if missing := [test for test in tests if not (ROOT / test.split("::")[0]).exists()]:
        parser.error(f"there is no {missing[0]}; name the tests with --tests")
    with tempfile.TemporaryDirectory() as folder:
        copy_ = Copy(folder)
        if arguments.map and arguments.map.exists():
            known = CoverageMap.load(arguments.map)
            if known.of != digest_code(copy_.folder):
                raise SystemExit(f"{arguments.map}: the code or the tests have changed since; remove it")
        else:
            saved = arguments.map.resolve() if arguments.map else Path(folder, "map.json")
            known = copy_.map_of([place.relative_to(ROOT) for place in places], tests, saved)
        for place in places:
            for path in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
                report(copy_, path, known, arguments)


def report(copy_: Copy, path: Path, known: CoverageMap, arguments: argparse.Namespace) -> None:
    """Test the changes of a module; print those that survive, and the count."""
    name = path.relative_to(ROOT)
    found = list(mutations(path))
    if arguments.sample is not None and arguments.sample < len(found):
        found = random.Random(arguments.seed).sample(found, arguments.sample)
    alive = 0
    for mutation in found:
        tests = known.tests_of(str(name), mutation.lines, str(mirror(path)), arguments.seconds)
        limit = 60 + 5 * sum(known.seconds[test] for test in tests)
        if not tests or copy_.survives(mutation, tests, limit):
            alive += 1
            how = "survives" if tests else "no test runs it"
            print(f"{name}:{mutation.line}: {how}: {mutation.before!r} -> {mutation.after!r}", flush=True)
    if found:
        print(f"{name}: {len(found)} changes, {len(found) - alive} detected, {alive} survive", flush=True)


if __name__ == "__main__":
    main()
