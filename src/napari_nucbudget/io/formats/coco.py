"""COCO keypoints: every nucleus an annotation with one keypoint, its centre.

Keypoints are x, y with pixel centres at whole numbers. The extent of a nucleus
is not known; as many programs want a box, it gets that of the one pixel that
holds its centre. Annotation ids count from 1, since COCO's own tools take 0
for "none"; ``nucleus_id``, ``origin`` and ``prob`` are ours and skipped there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_nucbudget.errors import ConfigError, PointsError
from napari_nucbudget.io.files import write_atomically
from napari_nucbudget.io.formats.class_book import ClassBook, by_name, other_classes
from napari_nucbudget.io.formats.coordinates import from_file, shortest, to_file
from napari_nucbudget.io.formats.facts import VERSION, check_version, facts_of, read_facts
from napari_nucbudget.io.formats.format import EVERYTHING, Format
from napari_nucbudget.io.formats.points_file import PointsFile, checked
from napari_nucbudget.types.classes import UNLABELLED, ClassScheme
from napari_nucbudget.types.nuclei import HUMAN, Nuclei

__all__ = ["COCO", "read_coco", "write_coco"]

VISIBLE = 2


def write_coco(path: Path, points: PointsFile) -> Path:
    """Write points of one image.

    Raises
    ------
    OutputError
        Where the place cannot be written.
    """
    nuclei = points.nuclei
    names = [*nuclei.classes.names]
    if (nuclei.label < 0).any():
        names.append(UNLABELLED)
    image: dict[str, Any] = {"id": 1, "file_name": points.image}
    if points.shape is not None:
        image |= {"height": points.shape[0], "width": points.shape[1]}
    body = {
        "info": {
            "description": "Nuclei as keypoints",
            "nucbudget": {"version": VERSION, **facts_of(points)},
        },
        "images": [image],
        "categories": [
            {
                "id": i + 1,
                "name": name,
                "supercategory": "nucleus",
                "keypoints": ["centre"],
                "skeleton": [],
            }
            for i, name in enumerate(names)
        ],
    }
    write_atomically(path, _pieces(body, nuclei))
    return path


def _pieces(body: dict[str, Any], nuclei: Nuclei) -> Iterator[bytes]:
    """The file with its annotations one a line, made as they are written."""
    head = json.dumps(body, ensure_ascii=False).removesuffix("}")
    yield (head + ', "annotations": [').encode()
    separator = "\n"
    for row in _annotations(nuclei):
        yield (separator + json.dumps(row, ensure_ascii=False)).encode()
        separator = ",\n"
    yield b"\n]}\n"


def _annotations(nuclei: Nuclei) -> Iterator[dict[str, Any]]:
    xy = to_file(nuclei.yx, "centre").tolist()
    boxes = (np.floor(to_file(nuclei.yx, "corner"))).tolist()
    score = shortest(nuclei.score.astype(np.float64), nuclei.score).tolist()
    category = np.where(nuclei.label < 0, len(nuclei.classes), nuclei.label) + 1
    prob: list[Any] = []
    if nuclei.prob is not None:
        prob = shortest(nuclei.prob.astype(np.float64), nuclei.prob).tolist()
    for i, (x, y) in enumerate(xy):
        row: dict[str, Any] = {
            "id": i + 1,
            "image_id": 1,
            "category_id": int(category[i]),
            "keypoints": [x, y, VISIBLE],
            "num_keypoints": 1,
            "bbox": [*boxes[i], 1, 1],
            "area": 1,
            "iscrowd": 0,
            "score": score[i],
            "origin": nuclei.origin[i],
            "nucleus_id": int(nuclei.id[i]),
        }
        if prob:
            row["prob"] = [p if p == p else None for p in prob[i]]
        yield row


def read_coco(path: Path | str, classes: ClassScheme | None = None) -> list[PointsFile]:
    """Points of every image of a COCO file; where it has boxes alone, their middles.

    Parameters
    ----------
    path : path
    classes : ClassScheme, optional
        In place of the file's categories; another category is an error.

    Raises
    ------
    PointsError
        Where the file is absent, not JSON, no COCO file, or one without images.
    """
    path = Path(path)
    try:
        body = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise PointsError(f"{path} cannot be opened: {error.strerror or error}.") from error
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise PointsError(f"{path} is not JSON, or was cut short: {error}.") from error
    keys = ("images", "annotations", "categories")
    if not isinstance(body, dict) or not all(isinstance(body.get(k), list) for k in keys):
        raise PointsError(
            f"{path} is JSON, but no COCO file: it needs the lists {', '.join(keys)}."
        )
    if not body["images"]:
        raise PointsError(f"{path} holds no image: its list of images is empty.")
    try:
        return _points(path, body, classes)
    except (ConfigError, PointsError) as error:
        if str(error).startswith(str(path)):
            raise
        raise PointsError(f"{path}: {error}") from error
    except (
        AttributeError,
        KeyError,
        IndexError,
        OverflowError,
        TypeError,
        ValueError,
    ) as error:
        raise PointsError(
            f"{path} is no COCO file of nuclei: {type(error).__name__} {error}."
        ) from error


def _points(path: Path, body: dict[str, Any], given: ClassScheme | None) -> list[PointsFile]:
    header = (body.get("info") or {}).get("nucbudget", {})
    check_version(header.get("version", VERSION), path)
    facts = read_facts(header, path)
    book = ClassBook(given or facts.classes, fixed=given is not None)
    category = {c["id"]: str(c["name"]) for c in body["categories"]}
    by_image: dict[Any, list[dict[str, Any]]] = {image["id"]: [] for image in body["images"]}
    for annotation in body["annotations"]:
        rows = by_image.get(annotation["image_id"])
        if rows is None:
            raise PointsError(
                f"annotation {annotation.get('id')} names the image "
                f"{annotation['image_id']!r}, which is not listed."
            )
        rows.append(annotation)
    labels = {i: [_label(category, row, book) for row in rows] for i, rows in by_image.items()}
    known = facts.classes.names if facts.classes else tuple(category.values())
    wrote = tuple(name for name in known if name != UNLABELLED)  # whose probabilities it has
    found = []
    for image in body["images"]:
        rows = by_image[image["id"]]
        scheme, label = book.close(labels[image["id"]])
        size = image.get("height"), image.get("width")
        boxed = [not len(_keypoints(row)) for row in rows]
        remarks: tuple[str, ...] = ()
        if any(boxed):
            remarks = (f"{sum(boxed):,} boxes were taken as their middles.",)
        if any("prob" in row for row in rows):
            remarks += other_classes(wrote, scheme)
        found.append(
            PointsFile(
                _nuclei(rows, label, scheme, wrote),
                facts.mpp,
                str(image.get("file_name", "")),
                (int(size[0]), int(size[1])) if None not in size else None,
                facts.fields if len(body["images"]) == 1 else (),
                remarks=remarks,
            )
        )
    return [checked(points) for points in found]


def _label(category: dict[Any, str], row: dict[str, Any], book: ClassBook) -> int:
    name = category[row["category_id"]]
    return -1 if name == UNLABELLED else book.label(name)


def _nuclei(
    rows: list[dict[str, Any]], label: Any, classes: ClassScheme, wrote: tuple[str, ...]
) -> Nuclei:
    ids = [row.get("nucleus_id", row.get("id", i)) for i, row in enumerate(rows)]
    prob = None
    if rows and all("prob" in row for row in rows):
        empty: list[float | None] = [None] * len(wrote)
        prob = by_name([row["prob"] or empty for row in rows], wrote, classes)
    return Nuclei.from_points(
        np.concatenate([np.zeros((0, 2), np.float32), *(_centre(row) for row in rows)]),
        score=[float(row.get("score", 1.0)) for row in rows],
        label=label,
        origin=[str(row.get("origin", HUMAN)) for row in rows],
        id=ids,
        prob=prob,
        classes=classes,
    )


def _keypoints(row: dict[str, Any]) -> NDArray[np.float64]:
    """(K, 2) x, y of the keypoints that were set."""
    table = np.asarray(row.get("keypoints") or [], dtype=np.float64).reshape(-1, 3)
    return table[table[:, 2] > 0, :2]


def _centre(row: dict[str, Any]) -> Any:
    """(1, 2) coordinates y, x: the mean of the keypoints that were set, else the box's middle."""
    table = _keypoints(row)
    if len(table):
        return from_file(table.mean(axis=0), "centre")
    x, y, width, height = row["bbox"]
    return from_file([x + width / 2, y + height / 2], "corner")


COCO = Format(
    name="coco",
    title="COCO keypoints (JSON)",
    suffixes=(".coco.json",),
    read=read_coco,
    write=write_coco,
    keeps=EVERYTHING,
)
