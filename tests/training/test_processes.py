import keras
import pytest

from captioner.config import ConfigError
from captioner.data.parts import Part
from captioner.storage import DataError
from captioner.training import processes
from captioner.training.environment import COUNT, LAUNCHED, NUMBER

LOST = "UNKNOWN: Gloo AllGather failed: Read error [127.0.0.1]:55008: Connection reset by peer"


@pytest.fixture(autouse=True)
def by_itself(monkeypatch):
    for name in (COUNT, NUMBER, LAUNCHED):
        monkeypatch.delenv(name, raising=False)


def test_a_process_that_nothing_names_trains_by_itself():
    if keras.backend.backend() == "tensorflow":
        assert processes.join() is None
    assert not processes.is_joined()


def test_several_processes_need_jax(monkeypatch):
    monkeypatch.setenv(COUNT, "2")
    monkeypatch.setattr(keras.backend, "backend", lambda: "tensorflow")
    with pytest.raises(ConfigError, match=f"^{COUNT}: several processes train on JAX only; set KERAS_BACKEND=jax$"):
        processes.join()


@pytest.mark.parametrize(("value", "found"), [("one", "one"), (None, "nothing")])
def test_a_variable_that_is_no_number_is_named(monkeypatch, value, found):
    pytest.importorskip("jax")
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    monkeypatch.setenv(COUNT, "2")
    if value is not None:
        monkeypatch.setenv(NUMBER, value)
    with pytest.raises(ConfigError, match=f"^{NUMBER}: expected a whole number, found {found}$"):
        processes.join()


def test_that_another_process_has_ended_is_said_in_one_line():
    with pytest.raises(DataError) as caught, processes.peers_watched(Part(1, 2, 1)):
        raise ValueError(LOST)
    assert str(caught.value) == (
        "process 1 of 2: another process has ended, so this one ends, too; "
        "to continue, run captioner train --resume in all of them"
    )


@pytest.mark.parametrize(
    ("part", "message"), [(Part(1, 2, 1), "shapes (3,) and (4,) do not fit"), (Part(0, 1, 2), LOST)]
)
def test_other_errors_stay_what_they_are(part, message):
    with pytest.raises(RuntimeError) as caught, processes.peers_watched(part):
        raise RuntimeError(message)
    assert str(caught.value) == message
