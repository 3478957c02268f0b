from __future__ import annotations

import numpy as np
import pytest

from napari_nucbudget.core.sampling import hold_out
from napari_nucbudget.errors import LabelSetError
from napari_nucbudget.types.classes import DEFAULT_CLASSES
from napari_nucbudget.types.image import ArraySource, Region
from napari_nucbudget.types.labels import AnnotatedImage, LabelSet
from napari_nucbudget.types.nuclei import Nuclei


def labelled(patients):
    pixels = np.zeros((4, 4, 3), np.uint8)
    images = tuple(
        AnnotatedImage(
            ArraySource(pixels, mpp=0.5, name=f"i{n}"),
            Nuclei.empty(),
            (Region(0, 0, 4, 4),),
            patient=patient,
        )
        for n, patient in enumerate(patients)
    )
    return LabelSet(images, DEFAULT_CLASSES)


def test_images_of_one_patient_stay_together():
    split = hold_out(labelled(["a", "a", "b", "b", "c", "c"]), fraction=0.4, seed=1)
    sides = {}
    for image in split:
        sides.setdefault(image.patient, set()).add(image.split)
    assert all(len(side) == 1 for side in sides.values())
    assert {i.split for i in split} == {"train", "validation"}


def test_unknown_patients_are_split_by_image():
    split = hold_out(labelled(["unknown"] * 10), fraction=0.2)
    assert sum(i.split == "validation" for i in split) == 2


def test_the_seed_decides_which():
    labels = labelled([str(n) for n in range(20)])
    first, again, other = ([i.split for i in hold_out(labels, seed=s)] for s in (3, 3, 4))
    assert first == again
    assert first != other


def test_one_patient_cannot_be_split():
    with pytest.raises(LabelSetError, match="come from one patient"):
        hold_out(labelled(["a", "a", "a"]))
