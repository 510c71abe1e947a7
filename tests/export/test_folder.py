"""An export is complete or not there."""

import pytest

from captioner.export.folder import PART, completed, require_free
from captioner.storage import DataError, read_manifest, write_manifest


def export(folder, content="new"):
    with completed(folder) as part:
        (part / "model").mkdir()
        (part / "model" / "weights").write_text(content)
        write_manifest(part, "export")


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_an_export_is_written_and_replaced(tmp_path):
    folder = tmp_path / "out"
    export(folder)
    (folder / "left").write_text("over")
    with pytest.raises(DataError, match="contains an earlier export; --overwrite replaces it"):
        require_free(folder, overwrite=False)
    require_free(folder, overwrite=True)
    export(folder, "newer")
    assert names(folder) == ["manifest.json", "model"]
    assert (folder / "model" / "weights").read_text() == "newer"


def test_an_export_that_fails_leaves_the_earlier_one_as_it_was(tmp_path):
    folder = tmp_path / "out"
    export(folder)
    with pytest.raises(KeyboardInterrupt), completed(folder) as part:
        (part / "half").write_text("")
        raise KeyboardInterrupt
    assert names(folder) == ["manifest.json", "model"] and read_manifest(folder)["stage"] == "export"


def test_an_export_that_fails_leaves_no_new_folder(tmp_path):
    with pytest.raises(DataError, match="disk"), completed(tmp_path / "out"):
        raise DataError("the disk is full")
    assert names(tmp_path) == []


@pytest.mark.parametrize("moved", [False, True])
def test_a_killed_export_is_repeated(tmp_path, moved):
    folder = tmp_path / "out"
    (folder / PART).mkdir(parents=True)
    (folder / PART / "half").write_text("")
    if moved:  # killed while its files were moved
        (folder / "model").mkdir()
    require_free(folder, overwrite=False)
    export(folder)
    assert names(folder) == ["manifest.json", "model"]


def test_a_killed_replacement_still_needs_to_be_asked_for(tmp_path):
    folder = tmp_path / "out"
    export(folder)
    (folder / PART).mkdir()
    with pytest.raises(DataError, match="--overwrite"):
        require_free(folder, overwrite=False)


def test_a_folder_with_other_files_is_refused(tmp_path):
    (tmp_path / "photo.jpg").write_text("")
    with pytest.raises(DataError, match="is not empty and is not an earlier export"):
        require_free(tmp_path, overwrite=True)
