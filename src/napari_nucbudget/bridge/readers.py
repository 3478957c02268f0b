"""Files of nuclei as points layers: what File > Open does with our own suffixes."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from napari_nucbudget.bridge.layers import LayerData, points_layer
from napari_nucbudget.io.formats.points_file import PointsFile

__all__ = ["METADATA", "SUFFIXES", "file_layer", "get_reader", "read_layers"]

METADATA = "nucbudget"
"""Key of a layer's metadata under which the facts of the file are kept, for saving it again."""
SUFFIXES = (".nuclei.csv", ".nuclei.geojson", ".nuclei.parquet")
"""Those that the manifest lists: never every ``.csv``, which may be anything."""

Paths = str | Path | Sequence[str | Path]


def get_reader(path: Paths) -> Callable[[Paths], list[LayerData]] | None:
    """The reader, where every file has one of our suffixes; else None."""
    paths = _paths(path)
    ours = bool(paths) and all(str(p).lower().endswith(SUFFIXES) for p in paths)
    return read_layers if ours else None


def read_layers(path: Paths) -> list[LayerData]:
    """One points layer a file; what a file's remarks say is shown as a warning.

    Raises
    ------
    PointsError
        Where a file is damaged or of a newer version.
    """
    from napari_nucbudget.io.formats import read_points

    layers = []
    for each in _paths(path):
        for points in read_points(each):
            for remark in points.remarks:
                warnings.warn(f"{Path(each).name}: {remark}", stacklevel=2)
            layers.append(file_layer(points, name=_name(Path(each))))
    return layers


def file_layer(points: PointsFile, *, name: str) -> LayerData:
    """Points layer in the look of this plugin, in micrometres where the pixel size is known."""
    place: dict[str, Any] = {}
    if points.mpp is not None:
        place = {"scale": (points.mpp, points.mpp), "units": ("µm", "µm")}
    data, arguments, kind = points_layer(points.nuclei, SimpleNamespace(name=name), transform=place)
    facts = {
        "classes": points.nuclei.classes,
        "mpp": points.mpp,
        "image": points.image,
        "shape": points.shape,
        "fields": points.fields,
    }
    return data, {**arguments, "name": name, "metadata": {METADATA: facts}}, kind


def _paths(path: Paths) -> list[str | Path]:
    return [path] if isinstance(path, str | Path) else list(path)


def _name(path: Path) -> str:
    """File name without our suffix."""
    lower = path.name.lower()
    return next(
        (path.name[: -len(s)] for s in SUFFIXES if lower.endswith(s) and lower != s), path.name
    )
