from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from napari_nucbudget.infer import typed
from napari_nucbudget.infer.typed import iter_type_above, typed_as, untyped
from napari_nucbudget.types.classes import DEFAULT_CLASSES
from napari_nucbudget.types.nuclei import Nuclei
from napari_nucbudget.types.progress import result_of


@pytest.fixture
def asked(monkeypatch):
    """Ids that reached the classifier, which finds every nucleus to be inflammatory."""
    ids = []

    def classify(source, nuclei, classifier, *, mpp):
        from dataclasses import replace

        ids.append(nuclei.id.tolist())
        yield
        prob = np.tile(np.float32([0.1, 0.8, 0.1]), (len(nuclei), 1))
        return replace(nuclei, label=prob.argmax(1).astype(np.int16), prob=prob)

    monkeypatch.setattr(typed, "iter_classify", classify)
    return ids


MODEL = SimpleNamespace(classes=DEFAULT_CLASSES)


def peaks():
    return Nuclei.from_points([(1, 1), (5, 5), (9, 9)], score=[0.9, 0.5, 0.2], origin="m")


def test_only_what_is_above_the_threshold_is_typed_and_nothing_twice(asked):
    first = result_of(iter_type_above(None, peaks(), MODEL, threshold=0.6))
    assert first.label.tolist() == [1, -1, -1]
    assert untyped(first).tolist() == [False, True, True]
    second = result_of(iter_type_above(None, first, MODEL, threshold=0.4))
    assert second.label.tolist() == [1, 1, -1]
    assert asked == [[0], [1]]


def test_peaks_found_anew_keep_the_classes_of_those_at_the_same_places(asked):
    before = result_of(iter_type_above(None, peaks(), MODEL, threshold=0.4))
    fewer = peaks().select(np.array([True, False, True]))
    after = typed_as(fewer, before)
    assert after.label.tolist() == [1, -1]
    assert untyped(after).tolist() == [False, True]
    assert typed_as(fewer, peaks()) is fewer
