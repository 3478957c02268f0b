"""What leaves as training data: human dots alone, and no field with open proposals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_nucbudget.errors import OutputError
from napari_nucbudget.io.formats.points_file import PointsFile
from napari_nucbudget.io.label_sets import read_label_set, write_label_set
from napari_nucbudget.io.training_labels import accept_all, training_labels
from napari_nucbudget.types.classes import ClassScheme, NucleusClass
from napari_nucbudget.types.image import ArraySource, Region
from napari_nucbudget.types.labels import Provenance
from napari_nucbudget.types.nuclei import Nuclei

RGB = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
NUCLEI = Nuclei.from_points(
    [[5, 6], [12, 13], [30, 40]],
    label=[0, 1, 2],
    score=[1, 1, 0.6],
    origin=["human", "human", "nuclei-fcn"],
)
FIELD = Region(4, 5, 10, 20)
POINTS = PointsFile(NUCLEI, 0.5, "slide.svs", (40, 50), (FIELD,), source=ArraySource(RGB, mpp=0.5))


def test_a_proposal_never_leaves_as_truth():
    (image,) = training_labels([POINTS])
    np.testing.assert_array_equal(image.nuclei.yx, [[5, 6], [12, 13]])


def test_a_proposal_that_was_accepted_leaves():
    (image,) = training_labels([replace(POINTS, nuclei=accept_all(NUCLEI))])
    assert len(image.nuclei) == 3


def test_a_field_with_an_open_proposal_is_refused_for_it_would_teach_background():
    everywhere = replace(POINTS, fields=(Region(0, 0, 40, 50),))
    with pytest.raises(OutputError, match="holds 1 proposals that nobody answered"):
        training_labels([everywhere])


def test_without_fields_nothing_is_declared_complete(tmp_path):
    labels = training_labels([replace(POINTS, fields=())])
    (back,) = read_label_set(write_label_set(labels, tmp_path / "set"))
    assert back.fields == ()
    assert len(back.nuclei) == 2


def test_the_whole_image_keeps_its_fields_and_dots_outside_them(tmp_path):
    labels = training_labels([POINTS], provenance=Provenance("mine", "CC0", "me", notes="n"))
    back = read_label_set(write_label_set(labels, tmp_path / "set"))
    (image,) = back
    assert image.fields == (FIELD,)
    np.testing.assert_array_equal(image.source.read(Region(0, 0, 40, 50)), RGB)
    (provenance,) = back.provenance
    assert (provenance.name, provenance.licence, provenance.cite) == ("mine", "CC0", "me")


def test_a_crop_is_its_field_with_the_dots_in_it(tmp_path):
    labels = training_labels([POINTS], crops=True, patient="P7")
    (image,) = read_label_set(write_label_set(labels, tmp_path / "set"))
    assert (image.name, image.patient) == ("slide_y4_x5", "P7")
    np.testing.assert_array_equal(image.source.read(Region(0, 0, 10, 20)), RGB[4:14, 5:25])
    np.testing.assert_array_equal(image.nuclei.yx, [[1, 1], [8, 8]])
    assert list(image.nuclei.label) == [0, 1]
    assert image.fields == (Region(0, 0, 10, 20),)


@pytest.mark.parametrize(
    ("changes", "crops", "words"),
    [
        ({"source": None}, False, "A label set holds the image itself"),
        ({"mpp": None}, False, "needs the pixel size of 'slide'"),
        ({"fields": ()}, True, "'slide' has no field to crop"),
    ],
)
def test_what_is_missing_is_said(changes, crops, words):
    with pytest.raises(OutputError, match=words):
        training_labels([replace(POINTS, **changes)], crops=crops)


def test_images_with_other_classes_do_not_go_into_one_set():
    other = Nuclei.empty(ClassScheme((NucleusClass("tumour", "#fff"),)))
    with pytest.raises(OutputError, match="One label set has one list of classes"):
        training_labels([POINTS, replace(POINTS, nuclei=other)])
