"""``python -m napari_nucbudget.io.samples FOLDER``: draw the sample data anew."""

from __future__ import annotations

import sys

from napari_nucbudget.errors import NucbudgetError
from napari_nucbudget.io.samples.write import write_sample_data

if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("Usage: python -m napari_nucbudget.io.samples FOLDER")
    try:
        write_sample_data(sys.argv[1])
    except NucbudgetError as error:
        sys.exit(str(error))
