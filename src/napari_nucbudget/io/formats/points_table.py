"""Tables of nuclei, whatever file they stand in: the columns and what they mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_nucbudget.io.formats.class_book import other_classes
from napari_nucbudget.io.formats.facts import Facts
from napari_nucbudget.io.formats.points_file import PointsFile, checked
from napari_nucbudget.types.classes import DEFAULT_CLASSES, ClassScheme
from napari_nucbudget.types.nuclei import Nuclei

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["points_of_table"]


def points_of_table(
    frame: pd.DataFrame,
    facts: Facts,
    classes: ClassScheme | None = None,
    remarks: tuple[str, ...] = (),
) -> list[PointsFile]:
    """Nuclei of each image of a table, which a column ``image`` names.

    A column ``class`` serves where there is no ``label``.

    Parameters
    ----------
    frame : DataFrame
        Columns as `Nuclei.to_frame` makes them; y and x at least.
    facts : Facts
        The file's header.
    classes : ClassScheme, optional
        In place of the header's; without either they are the default ones.
    remarks : tuple of str
        What is to be said before what is found here.

    Raises
    ------
    ConfigError
        Where a class is not known.
    PointsError
        As `Nuclei.from_frame`.
    """
    scheme = classes or facts.classes or DEFAULT_CLASSES
    if "label" not in frame and "class" in frame:
        frame = frame.rename(columns={"class": "label"})
    parts = {facts.image: frame}
    if "image" in frame and len(frame):
        image = frame["image"].astype(object).fillna("").astype(str).to_numpy()
        parts = {str(name): part for name, part in frame.groupby(image, sort=False)}
    tables = {name: Nuclei.from_frame(part, scheme) for name, part in parts.items()}
    remarks += _left_out(list(map(str, frame.columns)), scheme, facts)
    own = facts if len(tables) < 2 else Facts(mpp=facts.mpp)  # what the header says is of one
    return [
        checked(PointsFile(nuclei, own.mpp, name, own.shape, own.fields, remarks=remarks))
        for name, nuclei in tables.items()
    ]


def _left_out(columns: list[str], classes: ClassScheme, facts: Facts) -> tuple[str, ...]:
    """What of the probabilities is not read; another program's p_value is none."""
    named = [column[2:] for column in columns if column.startswith("p_")]
    known = {*classes.names, *(facts.classes.names if facts.classes else ())}
    if not known & set(named):
        return ()
    if missing := sorted(set(classes.names) - set(named)):
        absent = ", ".join(f"p_{name}" for name in missing)
        return (f"The probabilities were left out: there is no column {absent}.",)
    return other_classes(named, classes)
