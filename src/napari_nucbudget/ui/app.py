"""napari with the sample and the dock: ``python -m napari_nucbudget.ui.app [POINTS.csv]``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from napari_nucbudget.bridge.layers import points_layer
from napari_nucbudget.errors import NucbudgetError
from napari_nucbudget.io.formats.csv import read_points_csv
from napari_nucbudget.types.nuclei import Nuclei

if TYPE_CHECKING:
    from napari.viewer import Viewer

__all__ = ["lay_out", "main"]

PLUGIN = "napari-nucbudget"


def lay_out(viewer: Viewer, points: Nuclei | None = None) -> None:
    """Open the drawn biopsy with its pixel size, the dock, and proposals."""
    layers = viewer.open_sample(PLUGIN, "drawn_biopsy")
    viewer.window.add_plugin_dock_widget(PLUGIN, "Detect nuclei")
    if points is not None:
        data, options, _ = points_layer(points, layers[0])
        viewer.add_points(data, **options)


def main() -> None:
    """Open the window and stay until it is closed."""
    import napari

    try:
        points = read_points_csv(Path(sys.argv[1])).nuclei if len(sys.argv) > 1 else None
    except NucbudgetError as error:
        sys.exit(f"{error}\nThis command takes a table of points; open images in the window.")
    viewer = napari.Viewer()
    viewer.window.resize(1600, 1000)
    lay_out(viewer, points)
    viewer.scene.camera.zoom *= 3  # close enough to see nuclei, not only dots
    napari.run()


if __name__ == "__main__":
    main()
