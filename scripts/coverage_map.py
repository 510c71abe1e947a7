"""Which tests run which lines: chooses the tests that can detect a change of the code."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import coverage
import pytest

WHILE_IMPORTING = ""


class CoverageMap(NamedTuple):
    """What a run of the tests showed.

    Attributes:
        lines: file -> line -> the tests that run it. What a module's fixtures run counts for all tests of that module.
            Lines that run while the module is imported have the entry `WHILE_IMPORTING`.
        seconds: test -> its duration with its fixtures.
        of: digest of the code and the tests, see `digest_code`.
    """

    lines: dict[str, dict[int, list[str]]]
    seconds: dict[str, float]
    of: str

    def tests_of(self, file: str, lines: Iterable[int], first: str, seconds: float) -> list[str]:
        """Return the tests that run some of these lines, the quickest first, as many as fit.

        Args:
            file: the path from the project's folder.
            lines: numbers of lines. If they run while the module is imported, any test of the module can tell.
            first: tests whose names begin with this count as half as long.
            seconds: the time for all tests together; one test is returned however long it takes.
        """
        own = self.lines.get(file, {})
        found = {test for line in lines for test in own.get(line, [])}
        if WHILE_IMPORTING in found:
            found = {test for tests in own.values() for test in tests}
        found.discard(WHILE_IMPORTING)
        chosen: list[str] = []
        for test in sorted(found, key=lambda test: (self.seconds[test] * (1 if test.startswith(first) else 2), test)):
            if chosen and self.seconds[test] > seconds:
                continue
            chosen.append(test)
            seconds -= self.seconds[test]
        return chosen

    def save(self, path: Path) -> None:
        """Write the map as JSON."""
        path.write_text(json.dumps(self._asdict()), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> CoverageMap:
        """Read a map that `save` wrote."""
        read = json.loads(path.read_text(encoding="utf-8"))
        lines = {file: {int(line): tests for line, tests in own.items()} for file, own in read["lines"].items()}
        return cls(lines, read["seconds"], read["of"])


class _Watch:
    """A pytest plugin: tells coverage which test runs, and times the tests."""

    def __init__(self, measured: coverage.Coverage) -> None:
        self.measured = measured
        self.seconds: dict[str, float] = {}

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_protocol(self, item: Any) -> Any:
        began = time.perf_counter()
        yield
        self.seconds[item.nodeid] = time.perf_counter() - began

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_setup(self, item: Any) -> Any:
        self.measured.switch_context(f"fixtures {item.nodeid.split('::')[0]}")
        yield

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_call(self, item: Any) -> Any:
        self.measured.switch_context(item.nodeid)
        yield


def record(folder: Path, sources: Sequence[Path], options: Sequence[str]) -> CoverageMap:
    """Run tests in this process and return which lines of the sources they run.

    Args:
        folder: the project's folder.
        sources: modules or folders in it.
        options: pytest's arguments. The tests' output is pytest's own.

    Raises:
        RuntimeError: a test fails.
    """
    os.environ["COVERAGE_CORE"] = "ctrace"  # the only one that distinguishes tests
    include = [f"{source}/*" if source.is_dir() else str(source) for source in sources]
    with tempfile.TemporaryDirectory() as scratch:
        measured = coverage.Coverage(data_file=f"{scratch}/data", include=include)
        watch = _Watch(measured)
        measured.start()
        code = pytest.main(list(options), plugins=[watch])
        measured.stop()
        if code != pytest.ExitCode.OK:
            raise RuntimeError(f"the tests fail without a change (pytest: {int(code)})")
        data = measured.get_data()
        lines = {
            str(Path(file).relative_to(folder)): _tests(data.contexts_by_lineno(file), list(watch.seconds))
            for file in data.measured_files()
        }
    return CoverageMap(lines, watch.seconds, digest_code(folder))


def digest_code(folder: Path) -> str:
    """Return a digest of the package's code and the tests: a map of other ones would name tests that do not exist."""
    digest = hashlib.sha256()
    for path in sorted(path for name in ("captioner", "tests") for path in (folder / name).rglob("*.py")):
        digest.update(str(path.relative_to(folder)).encode() + path.read_bytes())
    return digest.hexdigest()


def _tests(contexts: dict[int, list[str]], known: list[str]) -> dict[int, list[str]]:
    """Replace the contexts of fixtures by the tests of their module."""
    modules: dict[str, list[str]] = {}
    for test in known:
        modules.setdefault(f"fixtures {test.split('::')[0]}", []).append(test)
    return {
        line: sorted({test for context in own for test in modules.get(context, [context])})
        for line, own in contexts.items()
    }
