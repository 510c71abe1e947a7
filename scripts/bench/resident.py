"""How much memory a process took. Imports nothing that takes any."""

from __future__ import annotations

import re
import sys
from pathlib import Path


def peak_gib() -> float:
    """Return this process' peak resident size; getrusage would count its parent's before the exec, too."""
    status = Path("/proc/self/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    if found is None:
        sys.exit("/proc/self/status has no VmHWM: this bench needs Linux")
    return int(found[1]) / 2**20
