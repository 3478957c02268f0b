"""The folder of a slide run: what it computes, the blocks that are done, and the final table.

::

    run.json             slide, settings, versions
    tissue.png           the tissue that is computed
    parts/000017.parquet nuclei of a block, written whole or not at all
    nuclei.parquet       all of them, once every block is done; the parts go then

A block is done when its part is there. Nothing else says so, so nothing can
contradict it, whenever a run was stopped.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_nucbudget.errors import OutputError, PointsError
from napari_nucbudget.io.files import write_atomically
from napari_nucbudget.io.formats.facts import VERSION, facts_of
from napari_nucbudget.io.formats.points_file import PointsFile
from napari_nucbudget.types.classes import ClassScheme, NucleusClass
from napari_nucbudget.types.image import Region
from napari_nucbudget.types.nuclei import Nuclei

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["FinalTable", "SlideRunFolder"]

FORMAT = 1
RUN_FILE, TISSUE_FILE, PARTS, TABLE = "run.json", "tissue.png", "parts", "nuclei.parquet"
KEY, PART_KEY = b"nucbudget", b"nucbudget-slide-run"
Skipped = tuple[tuple[Region, str], ...]


@dataclass(frozen=True)
class FinalTable:
    """A finished run: its table, how many nuclei it holds, and the places that do not decode."""

    path: Path
    nuclei: int
    skipped: Skipped


@dataclass(frozen=True)
class SlideRunFolder:
    """A run's folder, begun or found; see `open`.

    Attributes
    ----------
    path : Path
    facts : dict
        What `run.json` holds: ``slide``, ``settings``, and more for the report.
    """

    path: Path
    facts: dict[str, Any]

    @classmethod
    def find(cls, path: Path) -> SlideRunFolder | None:
        """The run that a folder holds; None where it holds nothing yet.

        Raises
        ------
        OutputError
            Where the folder holds something else, or a run of a newer version.
        """
        try:
            facts = json.loads((path / RUN_FILE).read_text(encoding="utf-8"))
        except FileNotFoundError:
            if path.exists() and (not path.is_dir() or _is_foreign(path)):
                raise OutputError(
                    f"{path} holds something else than the result of a slide. Choose another "
                    "folder (--out)."
                ) from None
            return None
        except (OSError, ValueError) as error:
            raise OutputError(
                f"{path / RUN_FILE} cannot be read ({error}), so that nobody knows what was "
                "computed here. Choose another folder (--out), or remove this one."
            ) from error
        if not isinstance(facts, dict) or not {"format", "slide", "settings"} <= set(facts):
            raise OutputError(f"{path / RUN_FILE} is not of a slide run. Choose another folder.")
        if not isinstance(facts["format"], int) or facts["format"] > FORMAT:
            raise OutputError(
                f"{path} was begun by a newer version of napari-nucbudget. Update, or choose "
                "another folder (--out)."
            )
        return cls(path, facts)

    @classmethod
    def begin(cls, path: Path, facts: dict[str, Any]) -> SlideRunFolder:
        """A new run.

        Raises
        ------
        OutputError
            Where the folder cannot be written.
        """
        facts = {"format": FORMAT, **facts}
        write_atomically(path / RUN_FILE, json.dumps(facts, indent=1, sort_keys=True).encode())
        return cls(path, facts)

    def check(self, slide: dict[str, Any], settings: dict[str, Any]) -> None:
        """Refuse to go on with another slide or other settings.

        Raises
        ------
        OutputError
            Which names what differs.
        """
        known, given = self.facts["slide"], str(slide["fingerprint"])
        # Of a zarr folder, version 0.1.0 had the part before the hyphen alone.
        if known.get("fingerprint") not in (given, given.partition("-")[0]):
            raise OutputError(
                f"{self.path} holds the result of another slide, {known.get('name')} "
                f"({' x '.join(map(str, known.get('shape', ())))} pixels), or that file was "
                "changed since. Choose another folder (--out)."
            )
        old = self.facts["settings"]
        changed = [k for k in sorted({*old, *settings}) if old.get(k) != settings.get(k)]
        if changed:
            words = ", ".join(f"{k} was {old.get(k)}, now {settings.get(k)}" for k in changed)
            raise OutputError(
                f"{self.path} holds a run of this slide with other settings: {words}. Give the "
                "same settings to go on with it, or choose another folder (--out)."
            )

    # blocks

    def part(self, number: int) -> Path:
        return self.path / PARTS / f"{number:06d}.parquet"

    def write_part(self, number: int, nuclei: Nuclei, skipped: Skipped) -> None:
        """Keep the nuclei of a block; from now on it is done.

        Raises
        ------
        OutputError
            Where the disk is full or gone; what was there stays.
        """
        import pyarrow.parquet as pq

        facts = {"block": number, "skipped": [_skip_to_json(s) for s in skipped]}
        table = _table(nuclei, {PART_KEY: json.dumps(facts).encode()})
        buffer = BytesIO()
        pq.write_table(table, buffer)
        write_atomically(self.part(number), buffer.getvalue())

    def done(self, numbers: Iterable[int]) -> dict[int, int]:
        """Which of the blocks are done, and how many nuclei each has.

        A part that cannot be read, as after a power cut, is not done.
        """
        found = {}
        for number in numbers:
            count = _rows_of_part(self.part(number), number)
            if count is not None:
                found[number] = count
        return found

    # the end

    def finished(self) -> FinalTable | None:
        """The final table, where the run came to its end.

        Raises
        ------
        PointsError
            Where it is damaged.
        """
        path = self.path / TABLE
        if not path.exists():
            return None
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            found = pq.read_metadata(path)
            facts = json.loads(found.metadata[PART_KEY])
        except (pa.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
            raise PointsError(
                f"{path} is damaged ({error}). Remove it and give the same command again: the "
                "slide is computed anew."
            ) from error
        skipped = tuple(_skip_from_json(s) for s in facts["skipped"])
        return FinalTable(path, found.num_rows, skipped)

    def finish(
        self, numbers: Iterable[int], image: str, shape: tuple[int, int], mpp: float
    ) -> FinalTable:
        """Join the parts of all blocks, in their order, into the final table; ids are rows.

        Memory holds one block at a time.

        Raises
        ------
        OutputError
            Where the table cannot be written; the parts stay.
        PointsError
            Where a part is damaged.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        numbers = list(numbers)
        skipped: list[Any] = []
        for number in numbers:
            skipped += _part_facts(self.part(number))["skipped"]
        path = self.path / TABLE
        beside = path.with_name(f".{TABLE}.part")
        rows = 0
        try:
            with beside.open("wb") as file:
                schema = self._schema(numbers, image, shape, mpp, skipped)
                writer = pq.ParquetWriter(file, schema)
                for number in numbers:
                    part = pq.ParquetFile(self.part(number)).read()
                    ids = pa.array(np.arange(rows, rows + len(part), dtype=np.int64))
                    writer.write_table(part.set_column(0, "id", ids))
                    rows += len(part)
                writer.close()
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
        except pa.ArrowInvalid as error:
            raise PointsError(
                f"A part in {self.path / PARTS} is damaged ({error}). Remove it and give the same "
                "command again."
            ) from error
        except OSError as error:
            raise OutputError(
                f"{path} cannot be written: {error.strerror or error}. Nothing is lost: make room "
                "and give the same command again."
            ) from error
        finally:
            beside.unlink(missing_ok=True)
        self.clear_parts()
        return FinalTable(path, rows, tuple(_skip_from_json(s) for s in skipped))

    def clear_parts(self) -> None:
        """Remove what the final table holds anyway."""
        shutil.rmtree(self.path / PARTS, ignore_errors=True)

    def _schema(
        self,
        numbers: list[int],
        image: str,
        shape: tuple[int, int],
        mpp: float,
        skipped: list[Any],
    ) -> pa.Schema:
        """Columns of the parts; the header of a table of points, and what the run adds to it."""
        import pyarrow.parquet as pq

        empty = Nuclei.empty(self.classes)
        columns = pq.read_schema(self.part(numbers[0])) if numbers else _table(empty, {}).schema
        facts = {"version": VERSION, **facts_of(PointsFile(empty, mpp, image, shape))}
        extra = {"skipped": skipped, "settings": self.facts["settings"]}
        return columns.with_metadata(
            {
                KEY: json.dumps(facts).encode(),
                PART_KEY: json.dumps(extra, sort_keys=True).encode(),
            }
        )

    @property
    def classes(self) -> ClassScheme:
        """Classes of its nuclei, as `run.json` names them."""
        return ClassScheme(tuple(NucleusClass(**c) for c in self.facts["classes"]))


def _is_foreign(path: Path) -> bool:
    """Whether a folder holds more than what a run leaves before its first file is whole."""
    return any(not f.name.startswith(".") and f.name != TISSUE_FILE for f in path.iterdir())


def _table(nuclei: Nuclei, metadata: dict[bytes, bytes]) -> pa.Table:
    import pyarrow as pa

    frame = nuclei.to_frame()
    # An empty block would otherwise have other types than a full one.
    frame[["label", "origin"]] = frame[["label", "origin"]].astype(str)
    fields = [("id", pa.int64()), ("y", pa.float32()), ("x", pa.float32()), ("score", pa.float32())]
    fields += [("label", pa.string()), ("origin", pa.string())]
    fields += [(name, pa.float32()) for name in frame.columns[len(fields) :]]
    schema = pa.schema(fields)
    table = pa.Table.from_pandas(frame, schema=schema, preserve_index=False)
    return table.replace_schema_metadata(metadata)


def _part_facts(path: Path) -> dict[str, Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        facts: dict[str, Any] = json.loads(pq.read_metadata(path).metadata[PART_KEY])
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
        raise PointsError(
            f"{path} is damaged ({error}). Remove it and give the same command again."
        ) from error
    return facts


def _rows_of_part(path: Path, number: int) -> int | None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        found = pq.read_metadata(path)
        facts = json.loads(found.metadata[PART_KEY])
        return found.num_rows if facts["block"] == number else None
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError):
        return None


def _skip_to_json(skipped: tuple[Region, str]) -> list[Any]:
    region, reason = skipped
    return [region.y, region.x, region.height, region.width, reason]


def _skip_from_json(values: list[Any]) -> tuple[Region, str]:
    return Region(*(int(n) for n in values[:4])), str(values[4])
