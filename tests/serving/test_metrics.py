import subprocess
import sys

CODE = """
import os, sys
from captioner.serving.metrics import Metrics
Metrics().ready.set(float(sys.argv[1]))
print(os.getpid())
"""


def worker(ready):
    return int(subprocess.check_output([sys.executable, "-c", CODE, str(ready)], text=True))


def test_a_worker_that_has_ended_is_forgotten_when_it_is_replaced(tmp_path, monkeypatch):
    from captioner.serving.metrics import FOLDER, Metrics
    from captioner.serving.run import _Workers

    class Process:
        def __init__(self, pid):
            self.pid = pid

        def is_alive(self, timeout):
            return True

    class Config:
        workers, timeout_worker_healthcheck = 2, 1

    monkeypatch.setenv(FOLDER, str(tmp_path))
    monkeypatch.setattr("uvicorn.supervisors.multiprocess.SIGNALS", {})
    workers = _Workers(Config(), [])
    workers.processes = [Process(worker(1)), Process(worker(0))]
    workers.keep_subprocess_alive()
    assert "captioner_ready 0.0" in Metrics().text().decode()
    workers.processes[1] = Process(worker(1))
    workers.keep_subprocess_alive()
    assert "captioner_ready 1.0" in Metrics().text().decode()
