"""What is derived from a finished slide run: one table of statistics, and a report to look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_nucbudget.core.outline import Outlines
from napari_nucbudget.core.overview import read_overview
from napari_nucbudget.core.statistics import ALL, ClassStatistics, region_statistics
from napari_nucbudget.core.tissue import TissueMask
from napari_nucbudget.infer.slide import SlideResult
from napari_nucbudget.io.images import open_image
from napari_nucbudget.io.slide_runs import TISSUE_FILE, SlideRunFolder
from napari_nucbudget.io.statistics_table import write_skipped, write_statistics
from napari_nucbudget.io.tissue_files import read_mask
from napari_nucbudget.types.classes import UNLABELLED
from napari_nucbudget.types.nuclei import Nuclei

__all__ = ["SlideSummary", "read_nuclei", "summarize"]

STATISTICS_FILE, SKIPPED_FILE = "statistics.csv", "skipped.csv"


@dataclass(frozen=True)
class SlideSummary:
    """What is said of a slide in a line.

    `regions` has a row for all nuclei of each drawn region; `report` is its page, where one was
    written.
    """

    name: str
    counts: dict[str, int]
    area_mm2: float
    per_mm2: float
    regions: tuple[ClassStatistics, ...] = ()
    report: Path | None = None


def summarize(
    result: SlideResult,
    *,
    report: bool = False,
    regions: Mapping[str, Outlines] | None = None,
) -> SlideSummary:
    """Write the statistics of a run, what was skipped, and the report if it is wanted.

    Parameters
    ----------
    result : SlideResult
    report : bool
    regions : mapping of str to Outlines, optional
        Drawn regions, which get statistics of their own; of the tissue in them.

    Raises
    ------
    OutputError
        Where they cannot be written; the table of nuclei is there anyway.
    """
    run = SlideRunFolder.find(result.folder)
    assert run is not None
    nuclei = read_nuclei(run, result.table.path)
    # Damage hardly ever lies on tissue alone: the area it takes away is an upper bound.
    lost = sum(region.area for region, _ in result.table.skipped) * result.mpp**2 * 1e-6
    area = max(result.area_mm2 - lost, 0.0)
    drawn = dict(regions or {})
    areas = _areas(run, result, drawn)
    rows = region_statistics(
        nuclei, {"tissue": None, **drawn}, mpp=result.mpp, area_mm2=area, areas=areas
    )
    if result.table.skipped:
        write_skipped(result.folder / SKIPPED_FILE, result.table.skipped)
    name = str(run.facts["slide"]["name"])
    write_statistics(result.folder / STATISTICS_FILE, rows, image=name)
    page = None
    if report:
        page = _report(run, result, nuclei, rows, drawn)
    counts = {n: c for n, c in nuclei.counts().items() if c or n != UNLABELLED}
    if all(n == UNLABELLED or not c for n, c in counts.items()):
        counts = {UNLABELLED: len(nuclei)}
    of_regions = tuple(row for row in rows if row.region in drawn and row.label == ALL)
    density = len(nuclei) / area if area else 0.0
    return SlideSummary(name, counts, area, density, of_regions, page)


def _areas(
    run: SlideRunFolder, result: SlideResult, drawn: Mapping[str, Outlines]
) -> dict[str, float]:
    """Level-0 pixels of each region that are tissue and were computed."""
    if not drawn:
        return {}
    tissue = _tissue(run)
    height, width = run.facts["slide"]["shape"]

    def computed(yx: NDArray[np.float64]) -> NDArray[np.bool_]:
        found = tissue.contains(yx)
        for skipped, _ in result.table.skipped:
            found &= ~skipped.contains(yx)
        return found

    return {name: each.area_where(computed, (height, width)) for name, each in drawn.items()}


def _tissue(run: SlideRunFolder) -> TissueMask:
    height, width = run.facts["slide"]["shape"]
    mask = read_mask(run.path / TISSUE_FILE, (int(height), int(width))).mask
    return TissueMask(mask, float(run.facts["tissue_step"]))


def _report(
    run: SlideRunFolder,
    result: SlideResult,
    nuclei: Nuclei,
    rows: list[ClassStatistics],
    drawn: Mapping[str, Outlines],
) -> Path:
    from napari_nucbudget.io.slide_report import THUMBNAIL_SIDE, write_report

    source = open_image(result.path, mpp=result.mpp)
    try:
        overview = read_overview(source, step=max(1.0, max(source.shape) / THUMBNAIL_SIDE))
    finally:
        close = getattr(source, "close", None)
        if close is not None:
            close()
    return write_report(
        run,
        result.table,
        nuclei,
        rows,
        overview,
        mpp=result.mpp,
        tissue=_tissue(run),
        regions=drawn,
    )


def read_nuclei(run: SlideRunFolder, path: Path) -> Nuclei:
    """Places, scores and classes of a final table; without probabilities, which would be large."""
    import pyarrow.parquet as pq

    table = pq.read_table(path, columns=["y", "x", "score", "label"], read_dictionary=["label"])
    yx = np.stack([table["y"].to_numpy(), table["x"].to_numpy()], axis=1)
    label = table["label"].combine_chunks()
    lookup = np.array([run.classes.index(n) for n in label.dictionary.to_pylist()], np.int16)
    nuclei = Nuclei.from_points(yx, score=table["score"].to_numpy(), classes=run.classes)
    if not len(nuclei):
        return nuclei
    return replace(nuclei, label=lookup[label.indices.to_numpy()])
