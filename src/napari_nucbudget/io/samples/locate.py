"""Where the sample data lie: in the installed package, or in the checkout."""

from __future__ import annotations

from pathlib import Path

from napari_nucbudget.errors import ImageError

__all__ = ["sample_path"]


def sample_path(name: str) -> Path:
    """Path of a file or folder of the sample data, such as ``"drawn_biopsy.ome.tif"``.

    A wheel carries ``sample_data`` inside the package; an editable install has
    it beside ``src``.

    Raises
    ------
    ImageError
        Where there is no such sample.
    """
    package = Path(__file__).resolve().parents[2]
    folders = (package / "sample_data", package.parents[1] / "sample_data")
    for folder in folders:
        if (folder / name).exists():
            return folder / name
    known = sorted({p.name for f in folders for p in f.glob("[!.]*")})
    raise ImageError(
        f"There is no sample {name!r}; this installation holds "
        f"{', '.join(known) or 'no sample data: install napari-nucbudget again'}."
    )
