"""Sample data as layer data tuples: what File > Open Sample adds to the viewer."""

from __future__ import annotations

import weakref
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from napari_nucbudget.bridge.layers import LayerData, points_layer

__all__ = ["cmu_slide", "drawn_biopsy", "skin"]


def drawn_biopsy() -> list[LayerData]:
    """The drawn biopsy as a pyramid, and above it its truth as points that are hidden at first.

    Raises
    ------
    ImageError
        Where the installation lacks its sample data.
    """
    from napari_nucbudget.io.formats.csv import read_points_csv
    from napari_nucbudget.io.samples.locate import sample_path

    image = _slide_layer(sample_path("drawn_biopsy.ome.tif"), name="drawn biopsy")
    truth = read_points_csv(sample_path("drawn_biopsy.truth.csv"))
    place = {key: image[1][key] for key in ("scale", "units")}
    data, arguments, kind = points_layer(
        truth.nuclei, SimpleNamespace(name="drawn biopsy"), transform=place
    )
    # Another name than that of a detector's result, and out of sight: first look, then compare.
    arguments |= {"name": "truth (drawn biopsy)", "visible": False}
    return [image, (data, arguments, kind)]


def skin() -> list[LayerData]:
    """H&E skin from scikit-image's data, fetched once.

    Its pixel size is not known, so the layer has none, and the dock asks for it.

    Raises
    ------
    DownloadError
        Where it is not in the cache and cannot be fetched.
    """
    from napari_nucbudget.io.downloads import SKIN, fetch
    from napari_nucbudget.io.images import open_image
    from napari_nucbudget.types.image import Region

    source = open_image(fetch(SKIN))
    pixels = source.read(Region.whole(source.shape))
    return [(pixels, {"name": "skin", "rgb": True}, "image")]


def cmu_slide() -> list[LayerData]:
    """OpenSlide's CMU-1 small region (Aperio, 0.499 µm/px), fetched once.

    Raises
    ------
    DownloadError
        Where it is not in the cache and cannot be fetched.
    """
    from napari_nucbudget.io.downloads import CMU_SLIDE, fetch

    return [_slide_layer(fetch(CMU_SLIDE), name="CMU-1 small region")]


def _slide_layer(path: Path, *, name: str) -> LayerData:
    """Image layer over a TIFF that stays on disk, in micrometres where the file gives them."""
    from napari_nucbudget.io.tiff import TiffSource

    source = TiffSource(path)
    count, mpp = len(source.levels), source.mpp
    source.close()
    levels = [_open_level(path, i) for i in range(count)]
    arguments: dict[str, Any] = {"name": name, "rgb": True, "multiscale": count > 1}
    if mpp is not None:
        arguments |= {"scale": (mpp, mpp), "units": ("µm", "µm")}
    return (levels if count > 1 else levels[0]), arguments, "image"


def _open_level(path: Path, level: int) -> Any:
    """zarr array over one level; the file is closed when the array is no longer used."""
    import tifffile
    import zarr

    tif = tifffile.TiffFile(path)
    store = tif.aszarr(level=level)
    weakref.finalize(store, tif.close)
    return zarr.open_array(store, mode="r")
