"""What `import captioner` offers, and the examples in docstrings."""

import doctest
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import captioner

PACKAGE = Path(captioner.__file__).parent
WITH_EXAMPLES = sorted(
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
    for path in PACKAGE.rglob("*.py")
    if ">>> " in path.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("module", WITH_EXAMPLES)
def test_examples_in_docstrings_give_what_they_say(module):
    result = doctest.testmod(importlib.import_module(module), optionflags=doctest.ELLIPSIS)
    assert result.attempted and not result.failed


def test_the_public_names_are_there_and_documented():
    for name in captioner.PUBLIC:
        found = getattr(captioner, name)
        assert found.__doc__, name
        assert name in dir(captioner)
    with pytest.raises(AttributeError, match="has no attribute 'captoner'"):
        captioner.captoner  # noqa: B018


def test_importing_the_package_imports_nothing_heavy():
    code = "import sys, captioner; print(sorted({'keras', 'numpy', 'PIL', 'yaml', 'h5py'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
