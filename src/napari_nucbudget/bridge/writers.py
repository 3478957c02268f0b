"""Points layers as files: ours with all they hold, other plugins' with what can be known."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_nucbudget.bridge.layers import unit_factor
from napari_nucbudget.bridge.readers import METADATA
from napari_nucbudget.errors import OutputError
from napari_nucbudget.io.formats.points_file import PointsFile
from napari_nucbudget.types.classes import (
    DEFAULT_CLASSES,
    UNLABELLED,
    ClassScheme,
    NucleusClass,
)
from napari_nucbudget.types.nuclei import HUMAN, Nuclei

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["layer_points", "write_layer"]

OUR_COLUMNS = ("id", "score", "label", "origin")
CLASS_COLUMNS = ("label", "class", "classification")
"""Features that name a class, ours first."""


def write_layer(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write a points layer in the format of the suffix; napari's single-layer writer.

    What the layer lacks, or the file takes otherwise, is shown as a warning.

    Raises
    ------
    OutputError
        Where the points lie in several planes, or the place cannot be written.
    """
    from napari_nucbudget.io.formats import write_points

    points = layer_points(data, attributes)
    if points.remarks:  # one notification rather than several
        said = " ".join(remark[0].upper() + remark[1:] for remark in points.remarks)
        warnings.warn(f"{attributes.get('name', 'points')}: {said}", stacklevel=2)
    return [str(write_points(path, points))]


def layer_points(data: Any, attributes: dict[str, Any]) -> PointsFile:
    """Nuclei of a points layer, given as napari gives layers to writers.

    A row that napari copied (it repeats id, score and class of another when a
    point is added by hand) is a new human dot without a class. Positions are
    those in the layer's own pixels.

    Parameters
    ----------
    data : (N, 2) array
        Or (N, D) with all points in one plane of the last two axes.
    attributes : dict
        Features, metadata, scale, units ... of the layer.

    Raises
    ------
    OutputError
        Where the points lie in several planes, or a class name cannot be one.
    """
    remarks: list[str] = []
    yx = _plane(np.asarray(data, dtype=np.float64), remarks)
    n = len(yx)
    facts = (attributes.get("metadata") or {}).get(METADATA, {})
    features: pd.DataFrame = attributes["features"]
    known = set(features.columns) if len(features) == n else set()
    numbers, fresh = _ids(features, known, remarks)
    score = _scores(features, known, n, remarks)
    origin = _origins(features, known, n)
    classes, label = _classes(features, known, facts, attributes, n)
    columns = [f"p_{name}" for name in classes.names]
    prob = None
    if columns and known.issuperset(columns):
        prob = features[columns].to_numpy(np.float32).copy()
        prob[fresh] = np.nan
    score[fresh], origin[fresh], label[fresh] = 1.0, HUMAN, -1
    _say_what_lacks(known, label, remarks)
    nuclei = Nuclei.from_points(
        yx, score=score, label=label, origin=list(origin), id=numbers, prob=prob, classes=classes
    )
    return PointsFile(
        nuclei,
        _mpp(attributes, facts, remarks),
        str(facts.get("image", "")),
        facts.get("shape"),
        tuple(facts.get("fields", ())),
        remarks=tuple(remarks),
    )


def _plane(data: NDArray[np.float64], remarks: list[str]) -> NDArray[np.float64]:
    """(N, 2) of points in one plane."""
    if data.size == 0:
        return np.zeros((0, 2))
    if data.shape[1] > 2:
        planes = np.unique(data[:, :-2], axis=0)
        if len(planes) > 1:
            raise OutputError(
                f"The points lie in {len(planes)} planes; a file of nuclei holds those of one "
                "image. Take one plane of the stack first."
            )
        remarks.append(f"the points lie in the plane {planes[0].tolist()}, which is not kept.")
    return data[:, -2:]


def _say_what_lacks(known: set[str], label: NDArray[np.int16], remarks: list[str]) -> None:
    lacks = [
        words
        for column, words in (
            ("id", "ids (rows are numbered)"),
            ("score", "scores (all are 1)"),
            ("origin", f"origins (all are {HUMAN!r})"),
        )
        if column not in known
    ]
    if not known & set(CLASS_COLUMNS) and len(label):
        lacks.append(f"classes (all are {UNLABELLED!r})")
    if lacks and len(label):
        remarks.append(f"the layer has no {', no '.join(lacks)}.")


def _ids(
    features: pd.DataFrame, known: set[str], remarks: list[str]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Ids, and which rows of a layer of ours were added by hand; those get the next free ones."""
    n = len(features)
    fresh = np.zeros(n, dtype=bool)
    numbers = np.arange(n, dtype=np.int64)
    if "id" not in known:
        return numbers, fresh
    given = features["id"].to_numpy()
    whole = np.ones(n, dtype=bool)
    if given.dtype.kind == "f":  # napari fills what it does not know with NaN
        whole = np.isfinite(given) & (given == np.floor(given))
    if given.dtype.kind not in "iuf":
        remarks.append("the ids of the layer are no whole numbers; rows are numbered.")
        return numbers, fresh
    numbers = np.where(whole, given, -1).astype(np.int64)
    first = np.zeros(n, dtype=bool)
    first[np.unique(numbers, return_index=True)[1]] = True
    without = ~first | ~whole
    if without.any() and not known.issuperset(OUR_COLUMNS):
        remarks.append("ids of the layer are doubled or missing; rows are numbered.")
        return np.arange(n, dtype=np.int64), fresh
    numbers[without] = numbers.max(initial=-1) + 1 + np.arange(int(without.sum()))
    if without.any():
        remarks.append(
            f"{int(without.sum()):,} points were added by hand: they got new ids, "
            f"the origin {HUMAN!r}, and no class."
        )
    return numbers, without


def _scores(
    features: pd.DataFrame, known: set[str], n: int, remarks: list[str]
) -> NDArray[np.float32]:
    """Scores from 0 to 1; 1 where the layer has none."""
    if "score" not in known:
        return np.ones(n, dtype=np.float32)
    try:
        score = np.array(features["score"], dtype=np.float32)
    except (TypeError, ValueError):
        remarks.append("the scores of the layer are no numbers; all are 1.")
        return np.ones(n, dtype=np.float32)
    score[np.isnan(score)] = 1.0
    outside = int(((score < 0) | (score > 1)).sum())
    if outside:
        remarks.append(f"{outside:,} scores lie outside 0 .. 1 and were set to 0 or 1.")
    clipped: NDArray[np.float32] = np.clip(score, 0, 1)
    return clipped


def _origins(features: pd.DataFrame, known: set[str], n: int) -> NDArray[np.object_]:
    origin = np.full(n, HUMAN, dtype=object)
    if "origin" in known:
        given = features["origin"]
        origin[:] = np.where(given.isna(), HUMAN, given.astype(str))
    return origin


def _classes(
    features: Any, known: set[str], facts: dict[str, Any], attributes: dict[str, Any], n: int
) -> tuple[ClassScheme, NDArray[np.int16]]:
    """The classes and labels of the layer; a name that is new takes the colour of its points."""
    start: ClassScheme = facts.get("classes", DEFAULT_CLASSES)
    column = next((c for c in CLASS_COLUMNS if c in known), None)
    if column is None:
        return start, np.full(n, -1, dtype=np.int16)
    given = features[column]
    names = np.where(given.isna(), "", given.astype(str)).astype(object)
    unnamed = ("", UNLABELLED)
    met = [name for name in dict.fromkeys(names) if name.strip() and name not in unnamed]
    new = [name for name in met if name not in start.names]
    # Another program's classes replace the default ones; in a file of ours they join its own.
    kept = () if new and "classes" not in facts else start.classes
    missing = [name for name in met if name not in {c.name for c in kept}]
    defaults = {c.name: c for c in DEFAULT_CLASSES.classes}
    classes = ClassScheme(
        (
            *kept,
            *(
                defaults.get(name) or NucleusClass(name, _color(attributes, names, name))
                for name in missing
            ),
        )
    )
    lookup = {name: i for i, name in enumerate(classes.names)}
    return classes, np.array([lookup.get(name, -1) for name in names], dtype=np.int16)


def _color(attributes: dict[str, Any], names: NDArray[np.object_], name: str) -> str:
    """Hex colour of the first point of a class."""
    colors = np.asarray(attributes.get("face_color"))
    if colors.ndim != 2 or len(colors) != len(names):
        return "#00e5ff"
    rgb = np.round(colors[int(np.argmax(names == name)), :3].astype(float) * 255).astype(int)
    return "#{:02x}{:02x}{:02x}".format(*rgb)


def _mpp(attributes: dict[str, Any], facts: dict[str, Any], remarks: list[str]) -> float | None:
    """µm per pixel by the layer's scale and units, else by the file that it came from."""
    scale = np.asarray(attributes.get("scale", (1.0, 1.0)), dtype=float)[-2:]
    units = tuple(attributes.get("units") or ())[-2:]
    factors = [
        unit_factor(u, "micrometer") if hasattr(u, "is_compatible_with") else None for u in units
    ]
    if len(factors) == 2 and None not in factors:
        y, x = (abs(s) * (f or 0.0) for s, f in zip(scale, factors, strict=True))
        return float((y * x) ** 0.5)
    moved = np.asarray(attributes.get("translate", (0.0, 0.0)), dtype=float)[-2:]
    if not np.allclose(scale, 1) or not np.allclose(moved, 0):
        remarks.append(
            "the layer is scaled or moved without a unit of length; positions are written in "
            "its own pixels, and no pixel size."
        )
    mpp: float | None = facts.get("mpp")
    if mpp is None:
        remarks.append("the layer has no pixel size (scale with units), so the file has none.")
    return mpp
