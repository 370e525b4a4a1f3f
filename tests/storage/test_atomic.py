"""A half-written file never replaces a good one."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from anogan.storage.atomic import write_bytes


def test_folders_are_made_and_files_replaced(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "a.bin"
    write_bytes(path, b"one")
    write_bytes(path, b"two")
    assert path.read_bytes() == b"two"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_who_may_read_a_file_is_what_the_umask_says(tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        write_bytes(tmp_path / "a.bin", b"one")
    finally:
        os.umask(before)
    assert (tmp_path / "a.bin").stat().st_mode & 0o777 == mode


@pytest.mark.parametrize("step", ["open", "write", "replace"])
def test_on_a_full_disk_the_good_file_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    path = tmp_path / "a.bin"
    write_bytes(path, b"good")

    def full(*arguments: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if step == "open":
        monkeypatch.setattr(os, "open", full)
    elif step == "replace":
        monkeypatch.setattr(os, "replace", full)
    else:
        real = os.fdopen

        def opened(handle: int, mode: str) -> object:
            file = real(handle, mode, buffering=0)

            class Full:
                def __enter__(self) -> Full:
                    return self

                def __exit__(self, *error: object) -> None:
                    file.close()

                def write(self, data: bytes) -> None:
                    file.write(data[:1])
                    full()

            return Full()

        monkeypatch.setattr(os, "fdopen", opened)
    with pytest.raises(ValueError) as caught:
        write_bytes(path, b"new and longer")
    assert str(caught.value) == (
        f"{path}: cannot be written (No space left on device); free some space or choose another folder"
    )
    assert path.read_bytes() == b"good"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_in_the_place_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a file")
    with pytest.raises(ValueError, match="cannot be written"):
        write_bytes(tmp_path / "a" / "b", b"x")
