import pytest

from captioner.results import digests_of, require_whole
from captioner.run_folder import (
    CAPTIONER,
    CHECKPOINT,
    CHECKPOINTS,
    NEXT,
    SCORES,
    require_free,
    settle,
    state_of,
    workplace,
)
from captioner.storage import DataError, write_manifest, write_text


def finished(folder, text):
    for name in (CAPTIONER, "config.yaml", f"{CHECKPOINTS}/{CHECKPOINT}"):
        write_text(folder / name, text)
    write_manifest(folder, "train", captioner=text)
    return folder


def contents(folder):
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_a_finished_run_stays_until_the_new_one_is_complete(tmp_path):
    run = finished(tmp_path / "run", "old")
    before = contents(run)
    place = workplace(run, resume=False, overwrite=True)
    write_text(place / CAPTIONER, "new")
    write_text(place / CHECKPOINTS / CHECKPOINT, "half")
    assert state_of(run) == "finished"
    assert {name: text for name, text in contents(run).items() if not name.startswith(NEXT)} == before
    require_free(run, resume=True, overwrite=False)  # what was stopped goes on
    assert workplace(run, resume=True, overwrite=False) == place and (place / CAPTIONER).is_file()
    workplace(run, resume=False, overwrite=True)
    assert not place.exists()
    with pytest.raises(DataError, match="finished run"):
        require_free(run, resume=False, overwrite=False)
    require_free(run, resume=True, overwrite=False)  # which adds epochs to it


def test_a_complete_new_run_takes_the_old_ones_place_with_its_evaluation_gone(tmp_path):
    run = finished(tmp_path / "run", "old")
    for name in (SCORES, "per_image.csv", "predictions.json", "notes.txt"):
        write_text(run / name, "old")
    new = finished(run / NEXT, "new")
    expected = {**contents(new), "notes.txt": "old"}
    settle(run)
    assert contents(run) == expected and state_of(run) == "finished"


@pytest.mark.parametrize("moved", range(4))
def test_a_kill_while_runs_change_places_loses_nothing(tmp_path, moved, monkeypatch):
    run = finished(tmp_path / "run", "old")
    new = finished(run / NEXT, "new")
    expected, left, replace = contents(new), moved, type(run).replace

    def killed(path, target):
        nonlocal left
        if not left:
            raise KeyboardInterrupt
        left -= 1
        return replace(path, target)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(type(run), "replace", killed)
        settle(run)
    assert state_of(run) == "finished" and contents(run) == expected and not new.exists()


def evaluated(folder, captioner="one"):
    for name in (SCORES, "per_image.csv", "predictions.json"):
        write_text(folder / name, "{}")
    write_manifest(folder / SCORES, "evaluate", captioner=captioner, files=digests_of(folder))


def test_an_evaluation_is_one_unit(tmp_path):
    run = finished(tmp_path / "run", "one")
    evaluated(run)
    require_whole(run, run)
    for name in ("predictions.json", "per_image.csv", SCORES):
        write_text(run / name, "[]")
        with pytest.raises(DataError, match=rf"{name}: has changed since the evaluation; run captioner evaluate"):
            require_whole(run)
        (run / name).unlink()
        with pytest.raises(DataError, match="has changed since the evaluation"):
            require_whole(run)
        evaluated(run)
    (run / f"{SCORES}.manifest.json").unlink()
    with pytest.raises(DataError, match="its evaluation was not finished; run captioner evaluate"):
        require_whole(run)
    evaluated(run, captioner="another")
    require_whole(run)
    with pytest.raises(DataError, match="belong to another captioner than"):
        require_whole(run, run)
