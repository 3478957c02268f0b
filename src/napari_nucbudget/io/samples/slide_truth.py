"""The truth of a drawn slide as points CSV, written row of blocks by row of blocks."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from napari_nucbudget.types.classes import DEFAULT_CLASSES

if TYPE_CHECKING:
    from napari_nucbudget.io.samples.slide import DrawnSlide

__all__ = ["write_truth"]


def write_truth(path: Path, slide: DrawnSlide, image: str) -> Path:
    """Write every nucleus of a drawn slide as `read_points_csv` reads it; memory is bounded.

    Raises
    ------
    OSError
        Where the place cannot be written; an old file stays then.
    """
    facts = {
        "image": image,
        "mpp": slide.mpp,
        "classes": [asdict(c) for c in DEFAULT_CLASSES.classes],
        "coordinates": "level-0 pixels, pixel centres at whole numbers",
    }
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("w", encoding="utf-8", newline="\n") as file:
            file.write("# nucbudget points, version 1\n")
            for key, value in facts.items():
                file.write(f"# {key}: {json.dumps(value, ensure_ascii=False)}\n")
            file.write("id,y,x,score,label,origin\n")
            first = 0
            for row in range(slide.kind.shape[0]):
                nuclei = slide.row_of_nuclei(row)
                frame = nuclei.to_frame()
                frame["id"] = range(first, first + len(nuclei))
                frame.to_csv(
                    file, index=False, header=False, float_format="%.2f", lineterminator="\n"
                )
                first += len(nuclei)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path
