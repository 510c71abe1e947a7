"""What this machine's processor can compute by itself."""

from __future__ import annotations

import re
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
WITH_BFLOAT16 = frozenset(("avx512_bf16", "amx_bf16", "bf16"))  # the last one is Arm's name for it


def processor_flags() -> frozenset[str] | None:
    """Return the names of what the processor can do, as Linux lists them; None where the system has no such list."""
    try:
        match = re.search(r"^(?:flags|Features)\s*:(.*)$", CPUINFO.read_text(), re.MULTILINE)
    except OSError:
        return None
    return frozenset(match[1].split()) if match else frozenset()


def computes_bfloat16() -> bool:
    """Tell whether the processor multiplies bfloat16 numbers itself; without it they are slower than float32."""
    return bool((processor_flags() or frozenset()) & WITH_BFLOAT16)
