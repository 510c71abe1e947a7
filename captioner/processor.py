"""Features of this machine's processor."""

from __future__ import annotations

import re
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
WITH_BFLOAT16 = frozenset(("avx512_bf16", "amx_bf16", "bf16"))  # the last one is the name on Arm


def processor_flags() -> frozenset[str] | None:
    """Return the processor's feature flags as listed by Linux, or None if the system has no such list."""
    try:
        match = re.search(r"^(?:flags|Features)\s*:(.*)$", CPUINFO.read_text(), re.MULTILINE)
    except OSError:
        return None
    return frozenset(match[1].split()) if match else frozenset()


def computes_bfloat16() -> bool:
    """Tell whether the processor multiplies bfloat16 in hardware; otherwise bfloat16 is slower than float32."""
    return bool((processor_flags() or frozenset()) & WITH_BFLOAT16)
