"""Names of files follow the format that is chosen for them."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_nucbudget.io.formats import with_suffix_of


@pytest.mark.parametrize(
    ("typed", "format", "name"),
    [
        ("a.csv", "parquet", "a.parquet"),
        ("a.nuclei.csv", "geojson", "a.nuclei.geojson"),
        ("a.csv", "counts", "a.counts.csv"),
        ("a.coco.json", "csv", "a.nuclei.csv"),
        ("a.csv", "label-set", "a"),
        ("A.CSV", "csv", "A.CSV"),
        ("a.b", "csv", "a.b"),
        (".csv", "geojson", ".csv"),
    ],
)
def test_a_suffix_of_another_format_is_replaced(typed, format, name):
    assert with_suffix_of(f"folder/{typed}", format) == Path("folder") / name
