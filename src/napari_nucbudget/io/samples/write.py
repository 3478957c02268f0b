"""The sample data that ship with the package, drawn anew from their seeds.

``python -m napari_nucbudget.io.samples FOLDER`` calls `write_sample_data`.
"""

from __future__ import annotations

import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_nucbudget.errors import OutputError
from napari_nucbudget.io.files import write_atomically
from napari_nucbudget.io.formats.csv import write_points_csv
from napari_nucbudget.io.label_sets import write_label_set
from napari_nucbudget.io.samples.tissue import draw_tissue
from napari_nucbudget.types.classes import DEFAULT_CLASSES
from napari_nucbudget.types.image import ArraySource, Region
from napari_nucbudget.types.labels import AnnotatedImage, LabelSet, Provenance
from napari_nucbudget.types.nuclei import Nuclei

__all__ = ["BIOPSY", "LABELS", "TRUTH", "pyramid", "write_biopsy", "write_sample_data"]

BIOPSY, TRUTH, LABELS = "drawn_biopsy.ome.tif", "drawn_biopsy.truth.csv", "labels"
BIOPSY_SEED, BIOPSY_SIDE = 4, 2048
MPP = 0.5
TILE = 256
JPEG_QUALITY = 87
LABEL_SEEDS = {
    102: "train",
    104: "train",
    114: "train",
    110: "validation",
    105: "test",
    115: "test",
}
"""One "patient" each, chosen because all three classes are in the picture."""
LABEL_SIDE = 250


def write_sample_data(folder: Path | str) -> list[Path]:
    """Draw all sample data into `folder` and give back what was written.

    Raises
    ------
    OutputError
        Where a file of that name exists already or the folder cannot be written.
    """
    folder = Path(folder)
    for name in (BIOPSY, TRUTH, LABELS):
        if (folder / name).exists():
            raise OutputError(f"{folder / name} exists already; give an empty folder.")
    return [*write_biopsy(folder), write_labels(folder / LABELS)]


def write_biopsy(
    folder: Path, *, shape: tuple[int, int] = (BIOPSY_SIDE, BIOPSY_SIDE), seed: int = BIOPSY_SEED
) -> tuple[Path, Path]:
    """A drawn biopsy as pyramidal OME-TIFF with JPEG tiles, and its truth as CSV."""
    drawn = draw_tissue(shape, mpp=MPP, seed=seed)
    path, truth = folder / BIOPSY, folder / TRUTH
    write_atomically(path, pyramid(drawn.rgb, mpp=drawn.mpp, name=BIOPSY.split(".")[0]))
    write_points_csv(truth, _rounded(drawn.nuclei), mpp=drawn.mpp, image=path.name)
    return path, truth


def write_labels(folder: Path) -> Path:
    """A small label set folder: each image is of another "patient", with its own staining."""
    images = []
    for number, (seed, split) in enumerate(LABEL_SEEDS.items(), start=1):
        drawn = draw_tissue((LABEL_SIDE, LABEL_SIDE), mpp=MPP, seed=seed)
        source = ArraySource(drawn.rgb, mpp=MPP, name=f"drawn_{number}")
        images.append(
            AnnotatedImage(
                source=source,
                nuclei=_rounded(drawn.nuclei),
                fields=(Region.whole(source.shape),),
                patient=f"patient-{number}",
                tissue="drawn",
                split=split,
            )
        )
    provenance = Provenance(
        name="Drawn tissue",
        licence="BSD-3-Clause",
        notes="drawn by napari-nucbudget itself; every nucleus is known; not for training "
        "detectors of real tissue",
    )
    return write_label_set(LabelSet(tuple(images), DEFAULT_CLASSES, (provenance,)), folder)


def pyramid(rgb: NDArray[np.uint8], *, mpp: float, name: str) -> bytes:
    """Bytes of a tiled OME-TIFF with JPEG tiles whose halved levels are SubIFDs.

    Nothing in it depends on the time or the machine but the JPEG encoder.
    """
    from io import BytesIO

    import tifffile

    levels = [rgb]
    while max(levels[-1].shape[:2]) > 2 * TILE:
        levels.append(_halved(levels[-1]))
    options: dict[str, Any] = {
        "tile": (TILE, TILE),
        "photometric": "rgb",  # stored as YCbCr, as scanners do
        "compression": "jpeg",
        "compressionargs": {"level": JPEG_QUALITY},
        "subsampling": (2, 2),
        "resolutionunit": "CENTIMETER",
    }
    metadata = {
        "axes": "YXS",
        "Name": name,
        "PhysicalSizeX": mpp,
        "PhysicalSizeXUnit": "µm",
        "PhysicalSizeY": mpp,
        "PhysicalSizeYUnit": "µm",
        "UUID": str(uuid.uuid5(uuid.NAMESPACE_URL, name)),
    }
    file = BytesIO()
    with tifffile.TiffWriter(file, ome=True) as tif:
        for number, level in enumerate(levels):
            resolution = (1e4 / mpp / 2**number,) * 2
            if number:
                tif.write(level, subfiletype=1, resolution=resolution, **options)
            else:
                tif.write(
                    level,
                    subifds=len(levels) - 1,
                    metadata=metadata,
                    resolution=resolution,
                    **options,
                )
    return file.getvalue()


def _halved(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Mean of 2 x 2 pixels; an odd last row or column is left out."""
    height, width = (n // 2 for n in rgb.shape[:2])
    quads = rgb[: 2 * height, : 2 * width].reshape(height, 2, width, 2, 3)
    mean: NDArray[np.uint8] = ((quads.sum(axis=(1, 3), dtype=np.uint16) + 2) >> 2).astype(np.uint8)
    return mean


def _rounded(nuclei: Nuclei) -> Nuclei:
    """Coordinates to a hundredth of a pixel, so that the tables stay readable."""
    return replace(nuclei, yx=np.round(nuclei.yx, 2))
