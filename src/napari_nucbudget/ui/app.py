"""napari with the sample and the dock: ``python -m napari_nucbudget.ui.app [POINTS.csv]``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from napari_nucbudget.bridge.layers import points_layer
from napari_nucbudget.io.formats.csv import read_points_csv

if TYPE_CHECKING:
    from napari.viewer import Viewer

__all__ = ["lay_out", "main"]

PLUGIN = "napari-nucbudget"


def lay_out(viewer: Viewer, points: Path | None = None) -> None:
    """Open the drawn biopsy with its pixel size, the dock, and proposals from a CSV."""
    layers = viewer.open_sample(PLUGIN, "drawn_biopsy")
    viewer.window.add_plugin_dock_widget(PLUGIN, "Detect nuclei")
    if points is not None:
        data, options, _ = points_layer(read_points_csv(points).nuclei, layers[0])
        viewer.add_points(data, **options)


def main() -> None:
    """Open the window and stay until it is closed."""
    import napari

    viewer = napari.Viewer()
    viewer.window.resize(1600, 1000)
    lay_out(viewer, Path(sys.argv[1]) if len(sys.argv) > 1 else None)
    viewer.scene.camera.zoom *= 3  # close enough to see nuclei, not only dots
    napari.run()


if __name__ == "__main__":
    main()
