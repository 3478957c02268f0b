"""CRCHistoPhenotypes as it is published: MATLAB files of x, y that count from 1.

::

    Detection/img1/img1_detection.mat
    Classification/img1/img1_epithelial.mat, img1_fibroblast.mat,
                        img1_inflammatory.mat, img1_others.mat

One file is one class (or, of detection, none); a folder ``img1`` is one image;
a folder of such folders is a set. The files give no pixel size: the set's
publication says 0.55 µm/px.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_nucbudget.errors import ConfigError, PointsError
from napari_nucbudget.io.formats.coordinates import from_file
from napari_nucbudget.io.formats.format import Format
from napari_nucbudget.io.formats.points_file import PointsFile, checked
from napari_nucbudget.types.classes import DEFAULT_CLASSES, ClassScheme, NucleusClass
from napari_nucbudget.types.nuclei import Nuclei

__all__ = ["CRCHISTO", "CRCHISTO_CLASSES", "is_crchisto_folder", "read_crchisto"]

CRCHISTO_CLASSES = ClassScheme(
    (
        *DEFAULT_CLASSES.classes[:2],
        NucleusClass("fibroblast", "#ff9100", "E"),
        NucleusClass("others", "#39ff14", "R"),
    )
)
"""The four classes as published; the paper's third, miscellaneous, is the last two together."""
MERGED = {"fibroblast": "miscellaneous", "others": "miscellaneous"}
NAME = re.compile(r"(?P<image>.+)_(?P<what>detection|epithelial|fibroblast|inflammatory|others)")


def is_crchisto_folder(path: Path) -> bool:
    """Whether the folder, or a folder in it, holds files with the names of the set."""
    return any(NAME.fullmatch(f.stem) for f in [*path.glob("*.mat"), *path.glob("*/*.mat")])


def read_crchisto(path: Path | str, classes: ClassScheme | None = None) -> list[PointsFile]:
    """Dots of one file, one image's folder, or a folder of these.

    Parameters
    ----------
    path : path
    classes : ClassScheme, optional
        Default the four that were published; with the paper's three, fibroblasts
        and others become miscellaneous.

    Raises
    ------
    PointsError
        Where a file is absent, no MATLAB file, or not of this set.
    """
    path = Path(path)
    files = [path]
    if path.is_dir():
        files = sorted([*path.glob("*.mat"), *path.glob("*/*.mat")], key=_natural)
    images: dict[tuple[Path, str], list[Nuclei]] = {}
    for file in files:
        match = NAME.fullmatch(file.stem)
        if match is None:
            if not path.is_dir():
                raise PointsError(
                    f"{path} does not have a name of CRCHistoPhenotypes, such as "
                    "img1_detection.mat or img1_epithelial.mat."
                )
            continue
        dots = _nuclei(file, match["what"], classes or CRCHISTO_CLASSES)
        images.setdefault((file.parent, match["image"]), []).append(dots)
    if not images:
        raise PointsError(
            f"{path} holds no file of CRCHistoPhenotypes, such as img1/img1_epithelial.mat."
        )
    return [
        checked(_image(folder / f"{name}.bmp", parts)) for (folder, name), parts in images.items()
    ]


def _image(picture: Path, parts: list[Nuclei]) -> PointsFile:
    """All dots of an image; one without a class where one with a class lies is the same."""
    joined = Nuclei.concat(parts)
    typed = {tuple(place) for place in joined.yx[joined.label >= 0].tolist()}
    again = np.array(
        [
            n < 0 and tuple(at) in typed
            for at, n in zip(joined.yx.tolist(), joined.label, strict=True)
        ],
        np.bool_,
    )
    remarks: tuple[str, ...] = ()
    if again.any():
        remarks = (f"{int(again.sum()):,} dots stand in a file of a class too, and count once.",)
    alone = joined.select(~again)
    return PointsFile(replace(alone, id=np.arange(len(alone))), image=picture.name, remarks=remarks)


def _natural(path: Path) -> list[Any]:
    """Order in which img2 comes before img10."""
    return [int(p) if p.isdecimal() else p for p in re.split(r"(\d+)", str(path))]


def _nuclei(path: Path, what: str, classes: ClassScheme) -> Nuclei:
    label = -1
    if what != "detection":
        name = what if what in classes.names else MERGED.get(what, what)
        try:
            label = classes.index(name)
        except ConfigError as error:
            raise PointsError(f"{path}: {error}") from error
    try:
        return Nuclei.from_points(from_file(_table(path), "matlab"), label=label, classes=classes)
    except PointsError as error:
        raise PointsError(f"{path}: {error}") from error


def _table(path: Path) -> Any:
    """(N, 2) x, y of a file; an image without such nuclei has an empty table."""
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        content = loadmat(path)
    except OSError as error:
        raise PointsError(f"it cannot be opened: {error.strerror or error}.") from error
    except NotImplementedError as error:
        raise PointsError(
            "it is a MATLAB 7.3 file; save it with save(..., '-v7') in MATLAB."
        ) from error
    except (MatReadError, ValueError, TypeError, IndexError, KeyError, EOFError) as error:
        raise PointsError(f"it is no MATLAB file, or is damaged: {error}.") from error
    tables = [v for k, v in content.items() if not k.startswith("__")]
    if "detection" in content:
        tables = [content["detection"]]
    if len(tables) != 1 or not np.issubdtype(np.asarray(tables[0]).dtype, np.number):
        raise PointsError("it must hold one table of numbers, called 'detection'.")
    table = np.asarray(tables[0])
    if table.size and (table.ndim != 2 or table.shape[1] != 2):
        raise PointsError(f"its table has shape {table.shape}; columns x and y are expected.")
    return table.reshape(-1, 2)


CRCHISTO = Format(
    name="crchisto",
    title="CRCHistoPhenotypes (MATLAB)",
    suffixes=(".mat",),
    read=read_crchisto,
    write=None,
    keeps=frozenset(),
)
