from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_nucbudget.budget.prepare import in_memory
from napari_nucbudget.budget.scoring import NucleiToScore
from napari_nucbudget.errors import LabelSetError
from napari_nucbudget.infer.classify import evaluate_classifier
from napari_nucbudget.io.label_sets import read_label_set
from napari_nucbudget.learn.patch_data import nucleus_patches
from napari_nucbudget.models.classifier import Classifier
from napari_nucbudget.models.storage import build_network
from napari_nucbudget.types.card import InputSpec, ModelCard
from napari_nucbudget.types.classes import DEFAULT_CLASSES
from napari_nucbudget.types.labels import LabelSet
from napari_nucbudget.types.progress import result_of


def classifier(architecture):
    torch.manual_seed(0)
    network = build_network(architecture, {"classes": 3})
    network.initialise(torch.Generator().manual_seed(1))
    card = ModelCard(
        name="untrained",
        task="classification",
        architecture=architecture,
        arguments={"classes": 3},
        classes=[{"name": n, "color": "#fff", "key": ""} for n in DEFAULT_CLASSES.names],
        input=InputSpec(
            mpp=0.55,
            mean=(0.78, 0.62, 0.76),
            std=(0.2, 0.2, 0.2),
            patch=network.patch,
            receptive_field=network.patch,
        ),
        temperature=1.7,
    )
    return Classifier.from_network(card, network, device="cpu")


@pytest.fixture(scope="module")
def target(data):
    return read_label_set(data / "target")


@pytest.mark.parametrize("architecture", ["patch-cnn", "context-cnn", "window-cnn"])
@pytest.mark.parametrize("average", [False, True])
def test_scores_are_those_of_the_product(target, architecture, average):
    model = classifier(architecture)
    test = target.split("test")
    oracle = result_of(evaluate_classifier(test, model, average=average)).to_dict()
    patch = None if model.takes_windows else model.patch
    nuclei = NucleiToScore(test, mpp=0.55, patch=patch)
    found = nuclei.score(model, average=average).to_dict()
    for key in set(oracle) - {"seconds", "ece"}:
        assert found[key] == oracle[key], key
    assert found["ece"] == pytest.approx(oracle["ece"], abs=1e-6)


def test_training_sees_the_same_patches_from_memory_as_from_files(target):
    before = nucleus_patches(target, mpp=0.55, side=31)
    after = nucleus_patches(in_memory(target, mpp=0.55), mpp=0.55, side=31)
    np.testing.assert_array_equal(after.rgb, before.rgb)
    np.testing.assert_array_equal(after.label, before.label)


@pytest.mark.parametrize("patch", [27, None])
def test_nuclei_without_any_class_are_refused(patch):
    with pytest.raises(LabelSetError, match="None of the nuclei in 0 images has a class"):
        NucleiToScore(LabelSet((), DEFAULT_CLASSES), mpp=0.55, patch=patch)
