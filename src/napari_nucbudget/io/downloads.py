"""Real sample images that are fetched once, checked, and kept in the user's cache."""

from __future__ import annotations

import hashlib
import http.client
import os
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from napari_nucbudget.errors import DownloadError, OutputError
from napari_nucbudget.io.files import write_atomically

__all__ = ["CMU_SLIDE", "SKIN", "RemoteFile", "cache_folder", "fetch"]

TIMEOUT_S = 20.0
"""A server that says nothing for so long counts as unreachable."""
MAX_BYTES = 1 << 26
"""No sample is larger; what is longer is some other file."""


@dataclass(frozen=True)
class RemoteFile:
    """A file on the network, known by its SHA-256."""

    name: str
    url: str
    sha256: str
    source: str
    """Where it comes from and under which terms, for people."""


SKIN = RemoteFile(
    name="skin.jpg",
    url=(
        "https://gitlab.com/scikit-image/data/-/raw/2cdc5ce89b334d28f06a58c9f0ca21aa6992a5ba/"
        "Normal_Epidermis_and_Dermis_with_Intradermal_Nevus_10x.JPG"
    ),
    sha256="8759fe080509712163453f4b17106582b8513e73b0788d80160abf840e272075",
    source="scikit-image's data; by Kilbad, Wikimedia Commons, public domain",
)
"""H&E skin with a naevus, 960 x 1280, "10x"; scikit-image states no pixel size."""

CMU_SLIDE = RemoteFile(
    name="CMU-1-Small-Region.svs",
    url=("https://openslide.cs.cmu.edu/download/openslide-testdata/Aperio/CMU-1-Small-Region.svs"),
    sha256="ed92d5a9f2e86df67640d6f92ce3e231419ce127131697fbbce42ad5e002c8a7",
    source="OpenSlide's freely distributable test data",
)
"""An Aperio slide's region, 2967 x 2220, 0.499 µm/px."""


def cache_folder() -> Path:
    """Folder for fetched files: ``NUCBUDGET_CACHE``, else the platform's place for caches."""
    if chosen := os.environ.get("NUCBUDGET_CACHE"):
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "napari-nucbudget"


def fetch(remote: RemoteFile, *, folder: Path | None = None) -> Path:
    """Path of the file in the cache, fetched first where it is not there yet.

    The SHA-256 decides: a damaged copy in the cache is fetched again, and a
    download that differs is thrown away. A file under the final name is whole.

    Parameters
    ----------
    remote : RemoteFile
    folder : path, optional
        Default `cache_folder`.

    Raises
    ------
    DownloadError
        Where there is no network, the server does not have the file, it is
        another file, or the cache cannot be written.
    """
    path = (folder or cache_folder()) / remote.name
    if path.is_file() and _is_expected(path.read_bytes(), remote):
        return path
    content = _download(remote, path)
    if not _is_expected(content, remote):
        raise DownloadError(
            f"What {remote.url} holds now is not the expected {remote.name} (another SHA-256), so "
            "it was not kept. Where a network asks for a sign-in first, sign in and try again."
        )
    try:
        write_atomically(path, content)
    except OutputError as error:
        raise DownloadError(
            f"{remote.name} was fetched but cannot be kept: {error} The environment variable "
            "NUCBUDGET_CACHE names another folder."
        ) from error
    return path


def _is_expected(content: bytes, remote: RemoteFile) -> bool:
    return hashlib.sha256(content).hexdigest() == remote.sha256


def _download(remote: RemoteFile, path: Path) -> bytes:
    try:
        with urllib.request.urlopen(remote.url, timeout=TIMEOUT_S) as answer:
            content: bytes = answer.read(MAX_BYTES)
            announced = answer.headers.get("Content-Length") or ""
    except urllib.error.HTTPError as error:
        with error:
            reason = f"the server answers {error.code} {error.reason}"
        raise _not_fetched(remote, path, reason) from error
    except urllib.error.URLError as error:
        raise _not_fetched(remote, path, str(error.reason)) from error
    except (OSError, http.client.HTTPException) as error:
        raise _not_fetched(remote, path, f"the connection broke: {error}") from error
    if announced.isdigit() and len(content) < int(announced):
        reason = f"the connection broke after {len(content):,} of {int(announced):,} bytes"
        raise _not_fetched(remote, path, reason)
    return content


def _not_fetched(remote: RemoteFile, path: Path, reason: str) -> DownloadError:
    return DownloadError(
        f"{remote.name} could not be fetched from {remote.url} ({reason}). Connect to the "
        f"internet and try again, or save the file as {path} by other means; the drawn biopsy "
        "needs no network."
    )
