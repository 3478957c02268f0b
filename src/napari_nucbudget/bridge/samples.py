"""Sample data as layer data tuples: what File > Open Sample adds to the viewer."""

from __future__ import annotations

from types import SimpleNamespace

from napari_nucbudget.bridge.layers import LayerData, points_layer
from napari_nucbudget.bridge.slide_reader import slide_layer

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

    image = slide_layer(sample_path("drawn_biopsy.ome.tif"), name="drawn biopsy")
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

    return [slide_layer(fetch(CMU_SLIDE), name="CMU-1 small region")]
