import subprocess
import sys

import pytest

from captioner.locks import LOCK, hold
from captioner.storage import DataError

HOLDER = (
    "import sys, time; from pathlib import Path; from captioner.locks import hold\n"
    "with hold(Path(sys.argv[1])):\n"
    "    print('held', flush=True); sys.stdin.read()"
)


def test_a_folder_is_held_by_one_process(tmp_path):
    folder = tmp_path / "run"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(DataError, match=r"run: another process is writing to it; wait for it, or name another"):
            hold(folder).__enter__()
        other.kill()
    with hold(folder):  # a killed process holds nothing
        (folder / "a").touch()
    assert [path.name for path in folder.iterdir()] == ["a"]


def test_a_folder_in_which_nothing_was_written_goes(tmp_path):
    with pytest.raises(RuntimeError), hold(tmp_path / "run"):
        assert (tmp_path / "run" / LOCK).is_file()
        raise RuntimeError
    assert not (tmp_path / "run").exists()
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="cannot be written to"):
        hold(tmp_path / "file").__enter__()
