"""Sample data that the project draws itself, with the truth about every nucleus."""

from __future__ import annotations

from napari_nucbudget.io.samples.locate import sample_path
from napari_nucbudget.io.samples.tissue import DrawnTissue, draw_tissue

__all__ = ["DrawnTissue", "draw_tissue", "sample_path"]
