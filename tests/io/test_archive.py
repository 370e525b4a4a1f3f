"""Zip files: what comes out is where it should be and named as it should be, and hostile ones are refused whole."""

from __future__ import annotations

import io
import stat
import struct
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest

from anogan.io import archive, find_images, read_scan, write_png
from anogan.io.archive import extract, is_archive, unpacked

PICTURE = np.arange(64, dtype=np.uint8).reshape(8, 8)


def zipped(path: Path, members: dict[str, bytes] | list[tuple[str, bytes]]) -> Path:
    pairs = members.items() if isinstance(members, dict) else members
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        warnings.simplefilter("ignore")  # of names that come twice
        for name, data in pairs:
            file.writestr(name, data)
    return path


def picture(folder: Path) -> bytes:
    write_png(folder / "picture.png", PICTURE)
    data = (folder / "picture.png").read_bytes()
    (folder / "picture.png").unlink()
    return data


def refused(path: Path) -> str:
    with pytest.raises(ValueError) as caught:
        extract(path, path.parent / "out")
    sentence = str(caught.value)
    assert sentence.startswith(f"{path}: ")
    assert "\n" not in sentence
    outside = set(path.parent.iterdir()) - {path, path.parent / "out"}
    assert not outside, "something was written outside the folder"
    return sentence.removeprefix(f"{path}: ")


def test_files_come_out_as_they_went_in(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"one/A": b"first", "two\\B": b"second", "./C": b"", "three/": b""})
    found = extract(path, tmp_path / "out")
    assert [place.relative_to(tmp_path / "out").as_posix() for place in found] == ["one/A", "two/B", "C"]
    assert [place.read_bytes() for place in found] == [b"first", b"second", b""]
    assert is_archive(path)
    assert not is_archive(found[0])
    assert not is_archive(tmp_path)


@pytest.mark.parametrize(
    "name", ["../a", "one/../../a", "..\\a", "/etc/a", "\\\\host\\a", "C:\\a", "C:a", "a//b", "a\nb"]
)
def test_a_name_that_leads_out(tmp_path: Path, name: str) -> None:
    path = zipped(tmp_path / "a.zip", [("fine", b"x"), (name, b"x")])
    assert refused(path) == "holds a name that leads out of it or is no file name; zip the images again"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_a_link_or_a_device(tmp_path: Path, kind: int) -> None:
    member = zipfile.ZipInfo("link")
    member.create_system, member.external_attr = 3, (kind | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr(member, "/etc/passwd")
    assert refused(tmp_path / "a.zip") == "holds a link or a device in place of a file; zip plain files only"


@pytest.mark.parametrize("names", [("a", "a"), ("a", "a/b"), ("a/b", "a"), ("a/b", "a\\b")])
def test_two_files_of_one_name(tmp_path: Path, names: tuple[str, str]) -> None:
    path = zipped(tmp_path / "a.zip", [(name, b"x") for name in names])
    assert refused(path) == "holds two files of the same name; zip the images again"


def test_an_encrypted_archive(tmp_path: Path) -> None:
    data = bytearray(zipped(tmp_path / "a.zip", {"a": b"x"}).read_bytes())
    data[6] |= 1  # in the member's own header,
    data[data.index(b"PK\x01\x02") + 8] |= 1  # and in the directory
    (tmp_path / "a.zip").write_bytes(data)
    assert refused(tmp_path / "a.zip") == "is encrypted; unpack it first and name the folder"


def test_unusual_compression(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_LZMA) as file:
        file.writestr("a", bytes(1000))
    assert refused(tmp_path / "a.zip") == "is compressed in an unusual way; zip the images again"


def test_bombs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = zipped(tmp_path / "a.zip", {"a": bytes(1 << 20), "b": bytes(1 << 20)})
    monkeypatch.setattr(archive, "_SMALL", 1 << 20)
    size = path.stat().st_size
    expected = f"unpacks to 2,097,152 bytes, too many for an archive of {size:,}; unpack it yourself"
    assert refused(path) == expected
    monkeypatch.setattr(archive, "_SMALL", 4 << 20)
    monkeypatch.setattr(archive, "MAX_UNPACKED", 1 << 20)
    assert refused(path) == expected


def test_a_member_that_is_larger_than_it_says(tmp_path: Path) -> None:
    data = bytearray(zipped(tmp_path / "a.zip", {"a": bytes(1 << 20)}).read_bytes())
    place = data.index(b"PK\x01\x02") + 24
    data[place : place + 4] = struct.pack("<L", 10)
    (tmp_path / "a.zip").write_bytes(data)
    assert refused(tmp_path / "a.zip") == "is a damaged zip file, or of an unusual kind; zip the images again"
    assert (tmp_path / "out" / "a").stat().st_size <= 10


def test_very_many_members(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_DIRECTORY", 4000)
    path = zipped(tmp_path / "a.zip", {f"{number:04}": b"" for number in range(100)})  # 50 bytes each
    assert refused(path) == "lists too many files; split it"
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 10)  # then zipfile writes the 64-bit record
    path = zipped(tmp_path / "a.zip", {f"{number:04}": b"" for number in range(100)})
    assert refused(path) == "lists too many files; split it"
    monkeypatch.setattr(archive, "MAX_DIRECTORY", 5000)
    assert len(extract(path, tmp_path / "out")) == 100


def test_damage(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    whole = zipped(tmp_path / "a.zip", {"a/b": rng.bytes(300), "c": bytes(300)}).read_bytes()
    for trial in range(200):
        data = bytearray(whole[: rng.integers(4, len(whole))] if trial % 2 else whole)
        for place in rng.integers(4, len(data), 2) if len(data) > 4 else []:
            data[place] = rng.integers(256)
        (tmp_path / "a.zip").write_bytes(data)
        folder = tmp_path / f"out{trial}"
        try:
            assert all(place.is_relative_to(folder) for place in extract(tmp_path / "a.zip", folder))
        except ValueError as error:
            assert str(error).startswith(f"{tmp_path / 'a.zip'}: ")
    assert {path.name for path in tmp_path.iterdir()} <= {"a.zip", *(f"out{trial}" for trial in range(200))}


def test_paths_are_unpacked_named_and_removed(tmp_path: Path) -> None:
    data, inner = picture(tmp_path), io.BytesIO()
    with zipfile.ZipFile(inner, "w") as file:
        file.writestr("x.png", data)
    good = zipped(tmp_path / "good.zip", {"s/1.png": data, "s/2.png": data[:40], "inner.zip": inner.getvalue()})
    empty = zipped(tmp_path / "empty.zip", {"notes.txt": b"nothing to see"})
    bad = zipped(tmp_path / "bad.zip", {"../x": b""})
    write_png(tmp_path / "plain.png", PICTURE)
    with unpacked([good, tmp_path / "plain.png", empty, bad]) as files:
        paths = find_images(files.paths)
        assert [files.name(path) for path in paths] == [f"{good}/s/1.png", f"{good}/s/2.png", f"{tmp_path}/plain.png"]
        np.testing.assert_allclose(read_scan(paths[0]).pixels, PICTURE / 255, atol=1e-6)
        with pytest.raises(ValueError) as caught:
            read_scan(paths[1])
        assert files.name(str(caught.value)).startswith(f"{good}/s/2.png: ")
        assert [path for path, _ in files.problems] == [good / "inner.zip", empty, bad]
        reasons = [reason for _, reason in files.problems]
        assert reasons[0] == f"{good}/inner.zip: is an archive within an archive; unpack it first"
        assert reasons[1].startswith(f"{empty}: holds no PNG")
        assert reasons[2].startswith(f"{bad}: holds a name that leads out")
    assert not paths[0].exists()
