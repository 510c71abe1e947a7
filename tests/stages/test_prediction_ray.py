import os
import subprocess
import sys
from pathlib import Path

import pytest

from captioner.pretrained.box import BOX
from tests.ray_nodes import cluster, needs_ray  # noqa: F401

SAMPLE = Path(__file__).parents[2] / "data" / "sample" / "images"
PICTURES = 100


@pytest.mark.slow
@needs_ray
def test_two_nodes_give_the_captions_of_a_local_run(cluster, tmp_path):  # noqa: F811
    address, access, _ = cluster
    (tmp_path / "pictures").mkdir()
    for picture in sorted(SAMPLE.glob("*.jpg"))[:PICTURES]:
        (tmp_path / "pictures" / picture.name).symlink_to(picture)
    (tmp_path / "pictures" / "broken.jpg").write_bytes(b"broken")

    def predict(*arguments):
        command = [sys.executable, "-m", "captioner", "predict", "pictures", "--model", str(BOX), *arguments]
        environment = {**os.environ, **access, "PYTHONPATH": os.pathsep.join(sys.path)}
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)

    settings = ["--precision", "float32", "--batch-size", "8"]
    local = predict(*settings)
    spread = predict(*settings, "--engine", "ray", "--address", address)
    assert (local.returncode, spread.returncode) == (1, 1), local.stderr + spread.stderr
    assert sorted(spread.stdout.splitlines()) == sorted(local.stdout.splitlines())
    assert len(spread.stdout.splitlines()) == PICTURES
    for done in (local, spread):
        assert "broken.jpg: not a picture" in done.stderr
