"""Points as parquet: the columns of the CSV, its header in the schema's metadata."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path

from napari_nucbudget.errors import ConfigError, PointsError
from napari_nucbudget.io.files import write_atomically
from napari_nucbudget.io.formats.facts import VERSION, check_version, facts_of, read_facts
from napari_nucbudget.io.formats.format import EVERYTHING, Format
from napari_nucbudget.io.formats.points_file import PointsFile
from napari_nucbudget.io.formats.points_table import points_of_table
from napari_nucbudget.types.classes import ClassScheme

__all__ = ["PARQUET", "read_parquet", "write_parquet"]

KEY = b"nucbudget"


def write_parquet(path: Path, points: PointsFile) -> Path:
    """Write points of one image; every number keeps its bits.

    Raises
    ------
    OutputError
        Where the place cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pandas(points.nuclei.to_frame(), preserve_index=False)
    facts = {"version": VERSION, **facts_of(points)}
    metadata = {**(table.schema.metadata or {}), KEY: json.dumps(facts).encode()}
    buffer = BytesIO()
    pq.write_table(table.replace_schema_metadata(metadata), buffer)
    write_atomically(path, buffer.getvalue())
    return path


def read_parquet(path: Path, classes: ClassScheme | None = None) -> list[PointsFile]:
    """Points from a parquet file with columns y and x at least; one table an image.

    The columns mean what they mean in a CSV, see `points_of_table`.

    Raises
    ------
    PointsError
        Where the file is absent, damaged, of a newer version, or holds no such table.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with path.open("rb") as file:
            table = pq.read_table(file)
        header = json.loads((table.schema.metadata or {}).get(KEY, b"{}"))
        frame = table.to_pandas()
    except (pa.ArrowException, ValueError) as error:
        raise PointsError(f"{path} is not a parquet file, or is damaged: {error}") from error
    except OSError as error:
        raise PointsError(f"{path} cannot be opened: {error.strerror or error}.") from error
    if not isinstance(header, dict):
        raise PointsError(f"{path} is not a table of points: its header is no object.")
    check_version(header.get("version", VERSION), path)
    facts = read_facts(header, path)
    try:
        return points_of_table(frame, facts, classes)
    except (ConfigError, PointsError) as error:
        raise PointsError(f"{path}: {error}") from error
    except (TypeError, ValueError) as error:
        raise PointsError(f"{path} is not a table of points: {error}.") from error


PARQUET = Format(
    name="parquet",
    title="Table of nuclei (parquet)",
    suffixes=(".nuclei.parquet", ".parquet"),
    read=read_parquet,
    write=write_parquet,
    keeps=EVERYTHING,
)
