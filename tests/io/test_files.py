"""A file is written whole or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from napari_nucbudget.errors import OutputError
from napari_nucbudget.io.files import write_atomically


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk takes the bytes into its cache, and has no room when they must be kept."""

    def fsync(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fsync)


def test_the_bytes_are_written_and_nothing_else_stays(tmp_path: Path) -> None:
    write_atomically(tmp_path / "new" / "a.bin", b"123")
    assert (tmp_path / "new" / "a.bin").read_bytes() == b"123"
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["a.bin"]


def test_an_old_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old and longer")
    write_atomically(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new"


@pytest.mark.usefixtures("full_disk")
def test_a_full_disk_leaves_the_old_file_and_no_half_of_the_new(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    with pytest.raises(OutputError, match=r"No space left on device.*Nothing was changed"):
        write_atomically(tmp_path / "a", b"new")
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_bytes() == b"old"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_device_is_written_to_and_never_replaced(tmp_path: Path) -> None:
    link = tmp_path / "out.csv"
    link.symlink_to("/dev/full")
    with pytest.raises(OutputError, match="No space left on device"):
        write_atomically(link, b"x" * 10_000)
    assert Path("/dev/full").is_char_device()
    assert link.is_symlink()


def test_a_link_to_a_file_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to("real")
    write_atomically(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"


def test_a_path_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match=r"file/a\.csv cannot be written"):
        write_atomically(tmp_path / "file" / "a.csv", b"x")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="this system has no /proc")
def test_a_read_only_folder_is_refused() -> None:
    """/proc takes no file from anybody, not even from root, whom permissions do not bind."""
    with pytest.raises(OutputError, match=r"/proc/self/a\.csv cannot be written"):
        write_atomically(Path("/proc/self/a.csv"), b"x")


def test_a_folder_in_the_place_of_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match="Is a directory"):
        write_atomically(tmp_path / "folder", b"x")
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]


@pytest.mark.skipif(not Path("/dev/fd").exists(), reason="this system has no /dev/fd")
def test_a_stream_that_leads_to_a_file_is_not_replaced(tmp_path: Path) -> None:
    with (tmp_path / "o.csv").open("wb") as stream:
        with pytest.raises(OutputError, match=r"leads to the file .*o\.csv; name that file"):
            write_atomically(Path(f"/dev/fd/{stream.fileno()}"), b"new")
        stream.write(b"other")
    assert (tmp_path / "o.csv").read_bytes() == b"other"
