"""The header that our own formats share: what the numbers mean, as a JSON object."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from napari_nucbudget.errors import ConfigError, PixelSizeError, PointsError, RegionError
from napari_nucbudget.io.formats.points_file import PointsFile
from napari_nucbudget.types.classes import ClassScheme, NucleusClass
from napari_nucbudget.types.image import Region, check_mpp

__all__ = ["VERSION", "Facts", "check_version", "facts_of", "read_facts"]

VERSION = 1
COORDINATES = "level-0 pixels, pixel centres at whole numbers"


@dataclass(frozen=True)
class Facts:
    """What a header says; `classes` is None where it names none."""

    classes: ClassScheme | None = None
    mpp: float | None = None
    image: str = ""
    shape: tuple[int, int] | None = None
    fields: tuple[Region, ...] = ()


def facts_of(points: PointsFile, *, coordinates: str = COORDINATES) -> dict[str, Any]:
    """The header of a file of these points; what is not known is left out, but for the mpp."""
    facts: dict[str, Any] = {
        "image": points.image,
        "mpp": points.mpp,
        "classes": [asdict(c) for c in points.nuclei.classes.classes],
    }
    if points.shape is not None:
        facts["shape"] = list(points.shape)
    if points.fields:
        facts["fields"] = [[r.y, r.x, r.height, r.width] for r in points.fields]
    facts["coordinates"] = coordinates
    return facts


def read_facts(facts: dict[str, Any], path: Path) -> Facts:
    """A header read back.

    Raises
    ------
    PointsError
        Where one of its values is not what it should be.
    """
    try:
        classes = None
        if "classes" in facts:
            classes = ClassScheme(tuple(NucleusClass(**c) for c in facts["classes"]))
        shape = facts.get("shape")
        return Facts(
            classes=classes,
            mpp=_pixel_size(facts.get("mpp")),
            image=str(facts.get("image", "")),
            shape=None if shape is None else (int(shape[0]), int(shape[1])),
            fields=tuple(_field(box) for box in facts.get("fields", [])),
        )
    except (ConfigError, PixelSizeError, RegionError) as error:
        raise PointsError(f"{path}: {error}") from error
    except (TypeError, ValueError, IndexError) as error:
        raise PointsError(
            f"{path} is not a table of points: its header cannot be understood ({error})."
        ) from error


def _pixel_size(given: Any) -> float | None:
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, (int, float)):
        raise ValueError(
            f"the pixel size, mpp, is {given!r} and no number; write it in µm per pixel, with a "
            "decimal point"
        )
    return check_mpp(given, of="its header")


def _field(box: Any) -> Region:
    region = Region(*(int(n) for n in box))
    if region.height < 1 or region.width < 1:
        raise RegionError(f"A field must be at least a pixel high and wide, got {list(box)}.")
    return region


def check_version(version: Any, path: Path) -> None:
    """Refuse files of a newer version.

    Raises
    ------
    PointsError
    """
    if not str(version).isdecimal() or int(version) > VERSION:
        raise PointsError(
            f"{path} has version {version} of the points format; up to {VERSION} can be "
            "read. Update napari-nucbudget."
        )
