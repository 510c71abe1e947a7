"""Runs a benchmark: `python scripts/bench NAME` runs bench_NAME.py, which also measures a reference."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

FOLDER = Path(__file__).parent
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(FOLDER))


def main() -> None:
    names = sorted(path.stem.removeprefix("bench_") for path in FOLDER.glob("bench_*.py"))
    if len(sys.argv) < 2 or sys.argv[1] not in names:
        sys.exit(f"usage: python scripts/bench {'|'.join(names)} [--help]")
    importlib.import_module(f"bench_{sys.argv.pop(1)}").main()


if __name__ == "__main__":
    main()
