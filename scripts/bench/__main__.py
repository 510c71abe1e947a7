"""Benchmarks, each beside its reference in one run: `python scripts/bench train | decode | memory | metrics`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parent))

BENCHES = ("train", "decode", "memory", "metrics")


def main() -> None:
    if len(sys.argv) < 2 or sys.argv[1] not in BENCHES:
        sys.exit(f"usage: python scripts/bench {'|'.join(BENCHES)} [--help]")
    name = sys.argv.pop(1)
    if name == "train":
        import bench_train

        bench_train.main()
    elif name == "decode":
        import bench_decode

        bench_decode.main()
    elif name == "memory":
        import bench_memory

        bench_memory.main()
    else:
        import bench_metrics

        bench_metrics.main()


if __name__ == "__main__":
    main()
