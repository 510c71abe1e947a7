import hashlib
import io
import json
import shutil
import zipfile
from collections import namedtuple
from urllib.parse import urlparse

import pytest

from captioner.config import ConfigError
from captioner.data.dataset import DataConfig, load_captions
from captioner.data.download import catalog as download_module
from captioner.data.download.catalog import DATA_SETS, Archive, DataSet, download
from captioner.storage import DataError, read_manifest
from tests.data.server import serve

TOKENS = "".join(f"p{number}.jpg#0\tA dog .\n" for number in range(4))


def zipped(files):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return data.getvalue()


ARCHIVES = {
    "text.zip": zipped({"Flickr8k.token.txt": TOKENS, "train.txt": "p0.jpg\np1.jpg\n", "__MACOSX/._x": "junk"}),
    "pictures.zip": zipped({f"pictures/p{number}.jpg": f"picture {number}" for number in range(4)}),
}


@pytest.fixture
def web(monkeypatch):
    """A small data set on a server of ours, known under the name `small`."""
    with serve(ARCHIVES) as (server, address):
        archives = tuple(
            Archive(f"{address}/{name}", len(data), f"sha256:{hashlib.sha256(data).hexdigest()}", holds, 1000)
            for (name, data), holds in zip(ARCHIVES.items(), ("Flickr8k.token.txt", "pictures"), strict=True)
        )
        small = DataSet("four pictures", "Free.", archives, "look into FOLDER")
        monkeypatch.setitem(download_module.DATA_SETS, "small", small)
        yield server


def names(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


UNPACKED = {"Flickr8k.token.txt", "train.txt", *(f"pictures/p{number}.jpg" for number in range(4))}
MANIFESTS = {"text.zip.manifest.json", "pictures.zip.manifest.json"}


def test_a_set_is_fetched_unpacked_and_read(web, tmp_path, said):
    download("small", tmp_path / "data")
    assert names(tmp_path / "data") == UNPACKED | MANIFESTS
    assert said[0] == "small: four pictures. Free."
    assert said[-1] == f"{tmp_path / 'data'} is ready: look into {tmp_path / 'data'}"
    manifest = read_manifest(tmp_path / "data" / "pictures.zip")
    assert manifest["stage"] == "download" and manifest["files"] == 4 and manifest["url"].endswith("/pictures.zip")
    config = DataConfig(
        images=str(tmp_path / "data" / "pictures"),
        captions=str(tmp_path / "data" / "Flickr8k.token.txt"),
        splits={"train": str(tmp_path / "data" / "train.txt")},
    )
    assert load_captions(config).splits == {"train": ("p0", "p1")}


def test_what_is_there_is_not_fetched_again(web, tmp_path, said):
    download("small", tmp_path)
    asked = len(web.asked)
    download("small", tmp_path)
    assert len(web.asked) == asked and said[-1].startswith(f"{tmp_path} is up to date")
    shutil.rmtree(tmp_path / "pictures")
    download("small", tmp_path)
    assert [path for path, _ in web.asked[asked:]] == ["/pictures.zip"] and names(tmp_path) == UNPACKED | MANIFESTS


def test_a_killed_download_goes_on(web, tmp_path, monkeypatch):
    size = len(ARCHIVES["pictures.zip"])
    (tmp_path / "pictures.zip.part").write_bytes(ARCHIVES["pictures.zip"][:300])
    (tmp_path / "pictures.zip.part.json").write_text(json.dumps({"validator": web.etag}))
    download("small", tmp_path)
    assert web.asked[-1] == ("/pictures.zip", "bytes=300-") and size > 300
    assert names(tmp_path) == UNPACKED | MANIFESTS


@pytest.mark.parametrize("place", ["unpack", "write_manifest"])
def test_a_download_killed_while_unpacking_leaves_no_archive_for_ever(web, tmp_path, monkeypatch, place):
    def killed(*_args, **_kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(download_module, place, killed)
        with pytest.raises(KeyboardInterrupt):
            download("small", tmp_path)
    assert any(path.suffix == ".zip" for path in tmp_path.iterdir())
    download("small", tmp_path)
    assert names(tmp_path) == UNPACKED | MANIFESTS


def test_archives_may_be_kept_and_chosen(web, tmp_path):
    download("small", tmp_path, only=["text"], keep=True)
    assert names(tmp_path) == {"Flickr8k.token.txt", "train.txt", "text.zip", "text.zip.manifest.json"}
    with pytest.raises(ConfigError, match=r"--only words: small has no such archive \(known: text, pictures\)"):
        download("small", tmp_path, only=["words"])
    with pytest.raises(ConfigError, match=r"tiny: no such data set .*small"):
        download("tiny", tmp_path)


def test_an_archive_that_lies_there_already_is_checked_and_stays(web, tmp_path):
    for name, data in ARCHIVES.items():
        (tmp_path / name).write_bytes(data)
    download("small", tmp_path)
    assert web.asked == [] and names(tmp_path) == UNPACKED | MANIFESTS | set(ARCHIVES)
    (tmp_path / "text.zip").write_bytes(ARCHIVES["pictures.zip"][: len(ARCHIVES["text.zip"])])
    (tmp_path / "text.zip.manifest.json").unlink()
    with pytest.raises(DataError, match=r"text\.zip: (its sha256|has) .* remove it and get it again"):
        download("small", tmp_path)


def test_a_mirror_is_an_address_or_a_folder(web, tmp_path):
    with serve({f"old/{name}": data for name, data in ARCHIVES.items()}) as (mirror, address):
        download("small", tmp_path / "a", mirror=f"{address}/old/")
        assert [path for path, _ in mirror.asked] == ["/old/text.zip", "/old/pictures.zip"]
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "text.zip").write_bytes(ARCHIVES["text.zip"])
    with pytest.raises(DataError, match=r"there/pictures\.zip: no such file; --mirror names a folder"):
        download("small", tmp_path / "b", mirror=str(tmp_path / "there"))
    (tmp_path / "there" / "pictures.zip").write_bytes(ARCHIVES["pictures.zip"])
    download("small", tmp_path / "b", mirror=str(tmp_path / "there"))
    assert web.asked == [] and names(tmp_path / "a") == names(tmp_path / "b") == UNPACKED | MANIFESTS
    assert names(tmp_path / "there") == set(ARCHIVES)


def serve_instead(monkeypatch, web, data, holds="pictures"):
    """Let the server have `data` for pictures.zip, and nobody know its digest."""
    web.files["/pictures.zip"] = data
    text, pictures = DATA_SETS["small"].archives
    unknown = Archive(pictures.url, None, None, holds, 1000)
    monkeypatch.setitem(DATA_SETS, "small", DataSet("four pictures", "Free.", (text, unknown), ""))


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (
            zipped({"pictures/a.jpg": "a", "../../evil.txt": "evil"}),
            "leads out of the folder; the archive may be hostile",
        ),
        (zipped({"/etc/evil": "evil"}), "leads out of the folder"),
        (b"<html>quota exceeded</html>", "broken, or not a zip or tar"),
        (ARCHIVES["pictures.zip"][:-30], "broken, or not a zip or tar"),
        (zipped({"other.txt": "x"}), "does not contain pictures; it is not the expected archive"),
    ],
)
def test_hostile_and_broken_archives(web, tmp_path, monkeypatch, data, fault):
    serve_instead(monkeypatch, web, data)
    folder = tmp_path / "deep" / "data"
    with pytest.raises(DataError, match=rf"pictures\.zip: .*{fault}"):
        download("small", folder)
    assert not [name for name in names(tmp_path) if "evil" in name] and not (folder / "pictures").exists()
    assert "text.zip.manifest.json" in names(folder) and "pictures.zip.manifest.json" not in names(folder)


def test_another_archive_than_the_known_one(web, tmp_path):
    web.files["/text.zip"] = ARCHIVES["text.zip"][:-1] + b"x"
    with pytest.raises(DataError, match=r"text\.zip: is not the expected file"):
        download("small", tmp_path)
    assert names(tmp_path) == set()


def test_a_full_disk_is_said_before_anything_is_fetched(web, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 10**9, 1500))
    with pytest.raises(DataError, match=r"downloading and unpacking needs 2\.\d+ kB, but only 1\.5 kB are free"):
        download("small", tmp_path / "data")
    assert web.asked == [] and not (tmp_path / "data").exists()


def test_the_known_sets_are_whole():
    for name, data_set in DATA_SETS.items():
        assert data_set.about and data_set.terms.endswith("."), name
        for archive in data_set.archives:
            assert urlparse(archive.url).scheme in ("http", "https") and archive.name.endswith(".zip")
            kind, _, digits = archive.digest.partition(":")
            assert len(bytes.fromhex(digits)) == hashlib.new(kind).digest_size
    assert {"flickr8k", "coco2014", "coco2017"} <= set(DATA_SETS)
