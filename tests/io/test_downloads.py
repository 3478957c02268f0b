"""Fetching sample files: once, whole, checked, and with a clear word where it fails."""

from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from napari_nucbudget.errors import DownloadError
from napari_nucbudget.io.downloads import CMU_SLIDE, SKIN, RemoteFile, cache_folder, fetch

CONTENT = bytes(range(256)) * 3000


class Server(BaseHTTPRequestHandler):
    """Serves `CONTENT` under /file, half of it under /broken, nothing else."""

    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if self.path not in ("/file", "/broken"):
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT if self.path == "/file" else CONTENT[: len(CONTENT) // 2])

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def address() -> Iterator[str]:
    Server.asked.clear()
    with HTTPServer(("127.0.0.1", 0), Server) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def remote(url: str, content: bytes = CONTENT) -> RemoteFile:
    return RemoteFile("slide.svs", url, hashlib.sha256(content).hexdigest(), source="here")


def test_a_file_is_fetched_into_the_cache(address: str, tmp_path: Path) -> None:
    path = fetch(remote(f"{address}/file"), folder=tmp_path / "new" / "cache")
    assert path == tmp_path / "new" / "cache" / "slide.svs"
    assert path.read_bytes() == CONTENT


def test_a_file_is_fetched_once(address: str, tmp_path: Path) -> None:
    for _ in range(2):
        fetch(remote(f"{address}/file"), folder=tmp_path)
    assert Server.asked == ["/file"]


def test_a_damaged_copy_is_fetched_again(address: str, tmp_path: Path) -> None:
    (tmp_path / "slide.svs").write_bytes(b"half")
    assert fetch(remote(f"{address}/file"), folder=tmp_path).read_bytes() == CONTENT


def test_nothing_but_the_file_is_left_in_the_cache(address: str, tmp_path: Path) -> None:
    fetch(remote(f"{address}/file"), folder=tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["slide.svs"]


def test_another_file_under_the_address_is_refused_and_not_kept(
    address: str, tmp_path: Path
) -> None:
    with pytest.raises(DownloadError, match="not the expected slide"):
        fetch(remote(f"{address}/file", b"something else"), folder=tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_transfer_that_breaks_off_leaves_nothing(address: str, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="broke after 384,000 of 768,000"):
        fetch(remote(f"{address}/broken"), folder=tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_gone_is_named_with_the_answer(address: str, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="404"):
        fetch(remote(f"{address}/gone"), folder=tmp_path)


def test_no_network_is_said_in_words_with_what_to_do(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/file"
        with pytest.raises(DownloadError, match=r"(?s)could not be fetched.*Connect") as caught:
            fetch(remote(url), folder=tmp_path)
    assert str(tmp_path / "slide.svs") in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_cache_that_cannot_be_written_is_named(address: str, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.raises(DownloadError, match="NUCBUDGET_CACHE"):
        fetch(remote(f"{address}/file"), folder=tmp_path / "cache")


def test_the_cache_is_where_the_variable_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NUCBUDGET_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path


@pytest.mark.parametrize(
    ("platform", "variable", "expected"),
    [
        ("linux", "XDG_CACHE_HOME", "base/napari-nucbudget"),
        ("win32", "LOCALAPPDATA", "base/napari-nucbudget"),
        ("darwin", "HOME", "base/Library/Caches/napari-nucbudget"),
        ("linux", "HOME", "base/.cache/napari-nucbudget"),
    ],
)
def test_the_cache_is_where_the_platform_keeps_caches(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, platform: str, variable: str, expected: str
) -> None:
    for name in ("NUCBUDGET_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("sys.platform", platform)
    monkeypatch.setenv(variable, str(tmp_path / "base"))
    assert cache_folder() == tmp_path / expected


@pytest.mark.parametrize("sample", [SKIN, CMU_SLIDE])
def test_the_samples_come_over_a_safe_line_with_a_hash(sample: RemoteFile) -> None:
    assert sample.url.startswith("https://")
    assert len(bytes.fromhex(sample.sha256)) == 32


@pytest.mark.data
def test_the_hash_of_the_slide_is_right(nucbudget_data: Path) -> None:
    content = (nucbudget_data / "slides" / CMU_SLIDE.name).read_bytes()
    assert hashlib.sha256(content).hexdigest() == CMU_SLIDE.sha256
