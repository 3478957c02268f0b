from __future__ import annotations

import numpy as np
import pytest
from scipy.io import savemat

from napari_nucbudget.errors import PointsError
from napari_nucbudget.io.formats import read_points
from napari_nucbudget.io.formats.crchisto import read_crchisto
from napari_nucbudget.types.classes import DEFAULT_CLASSES, ClassScheme


@pytest.fixture
def folder(tmp_path):
    """Two images as the set is published; MATLAB counts from 1."""
    for name, dots in {
        "img2/img2_epithelial": [[1, 1], [8, 4]],
        "img2/img2_inflammatory": np.zeros((0, 2)),
        "img2/img2_fibroblast": [[2.5, 3.5]],
        "img2/img2_others": [[5, 5]],
        "img10/img10_others": [[6, 6]],
    }.items():
        file = tmp_path / "Classification" / f"{name}.mat"
        file.parent.mkdir(parents=True, exist_ok=True)
        savemat(file, {"detection": np.array(dots, float)})
    return tmp_path / "Classification"


def test_a_folder_of_an_image_gives_its_four_classes(folder):
    (image,) = read_points(folder / "img2")
    assert image.image == "img2.bmp"
    assert image.nuclei.classes.names == ("epithelial", "inflammatory", "fibroblast", "others")
    assert image.nuclei.counts() == {
        "epithelial": 2,
        "inflammatory": 0,
        "fibroblast": 1,
        "others": 1,
    }
    epithelial = image.nuclei.select(image.nuclei.label == 0)
    np.testing.assert_array_equal(epithelial.yx, [[0, 0], [3, 7]])
    assert len(set(image.nuclei.id)) == 4


def test_a_folder_of_folders_gives_every_image_in_order(folder):
    assert [p.image for p in read_points(folder)] == ["img2.bmp", "img10.bmp"]


def test_the_papers_third_class_is_fibroblasts_and_others(folder):
    (image,) = read_points(folder / "img2", classes=DEFAULT_CLASSES)
    assert image.nuclei.counts()["miscellaneous"] == 2


def test_a_file_of_detection_has_no_class(tmp_path):
    savemat(tmp_path / "img1_detection.mat", {"detection": np.array([[1.0, 2.0]])})
    (image,) = read_points(tmp_path / "img1_detection.mat")
    np.testing.assert_array_equal(image.nuclei.yx, [[1, 0]])
    assert list(image.nuclei.label) == [-1]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("img1_detection", {"detection": np.zeros((2, 3))}, r"shape \(2, 3\); columns x and y"),
        ("img1_detection", {"a": np.eye(2), "b": np.eye(2)}, "one table of numbers"),
        ("img1_detection", {"detection": "text"}, "one table of numbers"),
        ("dots", {"detection": np.eye(2)}, "does not have a name of CRCHistoPhenotypes"),
    ],
)
def test_another_matlab_file_is_refused(tmp_path, name, content, words):
    savemat(tmp_path / f"{name}.mat", content)
    with pytest.raises(PointsError, match=words):
        read_crchisto(tmp_path / f"{name}.mat")


def test_a_folder_of_other_things_is_refused(tmp_path):
    with pytest.raises(PointsError, match="neither a label set"):
        read_points(tmp_path)


def test_a_class_that_the_scheme_lacks_is_refused_with_its_file(folder):
    two = ClassScheme(DEFAULT_CLASSES.classes[:2])
    with pytest.raises(PointsError, match=r"img2_fibroblast\.mat: There is no class named 'misc"):
        read_crchisto(folder / "img2", classes=two)


def test_a_dot_that_has_a_class_in_another_file_counts_once(folder):
    dots = np.array([[1, 1], [8, 4], [2.5, 3.5], [5, 5], [9, 9]])
    savemat(folder / "img2" / "img2_detection.mat", {"detection": dots})
    (image,) = read_points(folder / "img2")
    assert len(image.nuclei) == 5
    assert image.nuclei.counts()["unlabelled"] == 1
    assert "4 dots stand in a file of a class too, and count once" in image.remarks[0]
