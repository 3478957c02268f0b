"""``python -m napari_nucbudget`` is the command ``nucbudget``."""

from napari_nucbudget.cli import main

main()
