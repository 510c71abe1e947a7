import io
import tarfile

import pytest

from captioner.images.listing import find_pictures
from captioner.images.picture_list import PictureFiles
from captioner.images.tars import members_of, read_member
from captioner.storage import DataError


def test_a_list_that_grows_keeps_what_it_was_told():
    files = PictureFiles()
    names = [f"folder/{index} ä\udcff.jpg" for index in range(3000)]
    for index, name in enumerate(names):
        assert files.append(name, index, 2 * index) == index
    assert [files.name(place) for place in range(3000)] == names and len(files) == 3000
    assert files.bytes[2999] == 2999 and files.modified[2999] == 5998 and files.content(7) is None
    assert list(map(str, files)) == names and files.only_files


def make_tar(path, mode="w", **members):
    with tarfile.open(path, mode) as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(data), 7
            tar.addfile(info, io.BytesIO(data))


def test_pictures_of_a_tar_are_read_one_by_one(tmp_path):
    path = tmp_path / "shard-000.tar"
    make_tar(path, **{"a/1.jpg": b"one", "a/1.txt": b"text", ".hidden.png": b"x", "2.PNG": b"second"})
    found = list(members_of(path))
    assert [(member.name, member.size, member.modified) for member in found] == [
        ("a/1.jpg", 3, 7 * 10**9),
        ("2.PNG", 6, 7 * 10**9),
    ]
    files = PictureFiles()
    for member in found:
        files.append(f"{path}!{member.name}", member.size, member.modified, member.offset)
    assert [files.content(place) for place in (1, 0)] == [b"second", b"one"]
    assert files.name(0) == f"{path}!a/1.jpg" and not files.only_files
    path.write_bytes(path.read_bytes()[: found[1].offset + 2])
    with pytest.raises(DataError, match=r"2\.PNG: cut off"):
        files.content(1)


def test_tars_that_cannot_be_read(tmp_path):
    make_tar(tmp_path / "a.tar", "w:gz", **{"1.jpg": b"one"})
    with pytest.raises(DataError, match=r"not a readable tar file .*unpack compressed ones first"):
        list(members_of(tmp_path / "a.tar"))
    (tmp_path / "b.tar").write_bytes(b"nonsense" * 100)
    with pytest.raises(DataError, match=r"b\.tar: not a readable tar file"):
        list(members_of(tmp_path / "b.tar"))
    with pytest.raises(DataError, match="cannot be read"):
        read_member(tmp_path / "c.tar", 0, 3, "c")


def test_the_shards_of_a_webdataset_are_listed_as_a_folder_is(tmp_path):
    make_tar(tmp_path / "b.tar", **{"003.jpg": b"three", "001.png": b"one!"})
    make_tar(tmp_path / "a.tar", **{"./002.jpg": b"two", "002.txt": b"text"})
    pictures = find_pictures(tmp_path)
    assert list(pictures.ids) == ["001", "002", "003"]
    assert [pictures.content(place) for place in range(3)] == [b"one!", b"two", b"three"]
    assert pictures.name(0) == str(tmp_path / "b.tar!001.png") and pictures.bytes.tolist() == [4, 3, 5]
    assert pictures.shard(2, 3).content(0) == b"two"
    alone = find_pictures(tmp_path / "b.tar")
    assert list(alone.ids) == ["001", "003"] and alone.content(1) == b"three" and alone.digest() != pictures.digest()
    make_tar(tmp_path / "c.tar", **{"003.png": b"again"})
    with pytest.raises(DataError, match=r"b\.tar!003\.jpg and c\.tar!003\.png are both the picture '003'"):
        find_pictures(tmp_path)
    (tmp_path / "x.jpg").write_bytes(b"x")  # then the tar files are something else
    assert list(find_pictures(tmp_path).ids) == ["x"] and find_pictures(tmp_path).content(0) is None
