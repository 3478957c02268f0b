from __future__ import annotations

import json

import numpy as np
import pytest

from napari_nucbudget.errors import PointsError
from napari_nucbudget.io.formats.coco import read_coco, write_coco
from napari_nucbudget.io.formats.points_file import PointsFile
from napari_nucbudget.types.nuclei import Nuclei

NUCLEI = Nuclei.from_points([[3, 7], [4.6, 8.5]], label=[1, -1], id=[0, 5], score=[1, 0.5])


def body(**changes):
    return {
        "images": [{"id": 1, "file_name": "a.png", "height": 20, "width": 30}],
        "categories": [{"id": 4, "name": "Tumor"}],
        "annotations": [],
        **changes,
    }


def annotation(number=1, **members):
    return {"id": number, "image_id": 1, "category_id": 4, **members}


@pytest.fixture
def read(tmp_path):
    def call(content, classes=None):
        path = tmp_path / "a.coco.json"
        path.write_text(json.dumps(content))
        return read_coco(path, classes)

    return call


def test_a_nucleus_is_an_annotation_with_one_visible_keypoint(tmp_path):
    path = write_coco(tmp_path / "a.json", PointsFile(NUCLEI, 0.5, "a.png", (20, 30)))
    written = json.loads(path.read_text())
    assert written["images"] == [{"id": 1, "file_name": "a.png", "height": 20, "width": 30}]
    names = {c["id"]: c["name"] for c in written["categories"]}
    assert names == {1: "epithelial", 2: "inflammatory", 3: "miscellaneous", 4: "unlabelled"}
    first, second = written["annotations"]
    assert first["keypoints"] == [7.0, 3.0, 2]
    assert (first["id"], first["image_id"], first["category_id"]) == (1, 1, 2)
    # The pixel of row 3 and column 7 spans 7 .. 8 and 3 .. 4 between corners.
    assert first["bbox"] == [7, 3, 1, 1]
    assert second["bbox"] == [9, 5, 1, 1]
    assert second["category_id"] == 4


def test_boxes_become_their_middles_and_that_is_said(read):
    (back,) = read(body(annotations=[annotation(bbox=[7, 3, 1, 1])]))
    np.testing.assert_array_equal(back.nuclei.yx, [[3, 7]])
    assert back.remarks == ("1 boxes were taken as their middles.",)
    assert back.nuclei.classes.names == ("Tumor",)


def test_the_mean_of_the_visible_keypoints_is_the_centre(read):
    keypoints = [2, 4, 2, 4, 6, 1, 0, 0, 0]
    (back,) = read(body(annotations=[annotation(keypoints=keypoints)]))
    np.testing.assert_array_equal(back.nuclei.yx, [[5, 3]])


def test_every_image_has_its_own_points(read):
    images = [{"id": i, "file_name": f"{i}.png"} for i in (1, 2)]
    rows = [annotation(1, bbox=[0, 0, 1, 1]), {**annotation(2, bbox=[5, 5, 1, 1]), "image_id": 2}]
    first, second = read(body(images=images, annotations=rows))
    assert (first.image, second.image) == ("1.png", "2.png")
    np.testing.assert_array_equal(second.nuclei.yx, [[5, 5]])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([1], "needs the lists images, annotations, categories"),
        (body(annotations=[annotation()]), "no COCO file of nuclei: KeyError 'bbox'"),
        (body(annotations=[{"image_id": 9}]), "names the image 9, which is not listed"),
        (body(annotations=[annotation(category_id=5, bbox=[0, 0, 1, 1])]), "KeyError 5"),
        (body(annotations=[annotation(1, bbox=[0, 0, 1, 1])] * 2), "Two nuclei have the same id"),
        (body(annotations=[annotation(keypoints=[1, 2])]), "no COCO file of nuclei"),
    ],
)
def test_what_is_wrong_is_said(read, content, words):
    with pytest.raises(PointsError, match=words):
        read(content)


def test_keypoints_that_were_not_set_are_no_place(read):
    body = {
        "images": [{"id": 1}],
        "categories": [{"id": 1, "name": "epithelial"}],
        "annotations": [
            {
                "id": 1,
                "image_id": 1,
                "category_id": 1,
                "keypoints": [0, 0, 0],
                "num_keypoints": 0,
                "bbox": [40, 60, 10, 10],
            }
        ],
    }
    (points,) = read(body)
    np.testing.assert_array_equal(points.nuclei.yx, [[64.5, 44.5]])
    assert "1 boxes were taken as their middles" in points.remarks[0]
    body["annotations"][0]["nucleus_id"] = 2**70
    with pytest.raises(PointsError, match="64 bits"):
        read(body)
