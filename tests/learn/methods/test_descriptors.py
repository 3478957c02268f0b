from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_nucbudget.core.logistic import fit_logistic
from napari_nucbudget.errors import TrainingError
from napari_nucbudget.learn.fit import fit
from napari_nucbudget.learn.methods.descriptors import DescriptorsMethod
from napari_nucbudget.learn.transfer import classifier_settings
from napari_nucbudget.models.classifier import SHIFT, Classifier
from napari_nucbudget.types.progress import result_of
from napari_nucbudget.types.training import TrainConfig
from tests.typed_discs import typed_discs, typed_set


@pytest.fixture
def config():
    return TrainConfig.from_dict(classifier_settings("descriptors", {"threads": 1}))


@pytest.fixture
def train():
    return typed_set(typed_discs("a", seed=1), typed_discs("b", seed=2))


def test_the_loop_finds_the_solution_of_scikit_learn(train, config, tmp_path):
    method = DescriptorsMethod(train, typed_set(), config)
    method.network()
    x = method._features.double().numpy()
    expected = fit_logistic(x, method._label).predict_proba(x)
    result_of(fit(train, typed_set(), config, out=tmp_path / "m", device="cpu"))
    model = Classifier.load(tmp_path / "m", device="cpu")
    middle = method._labelled[:, SHIFT:-SHIFT, SHIFT:-SHIFT]
    prob = torch.from_numpy(model.logits(middle)).softmax(1).numpy()
    np.testing.assert_allclose(prob, expected, atol=0.02)


def test_turning_a_nucleus_changes_nothing(train, config):
    method = DescriptorsMethod(train, typed_set(), config)
    network = method.network()
    torch.nn.init.normal_(network.head.weight, generator=torch.Generator().manual_seed(0))
    model = method.bundle(network)
    wide = method._labelled[:5]
    first = model.probabilities(wide)
    turned = model.probabilities(np.ascontiguousarray(np.rot90(wide, axes=(1, 2))))
    np.testing.assert_allclose(turned, first, atol=1e-4)


def test_unlabelled_nuclei_change_the_scale_alone(train, config):
    """More of them move mean and spread, never the labels that are learnt from."""
    more = replace(
        train,
        images=(
            *train.images,
            *(
                replace(i, nuclei=replace(i.nuclei, label=np.full_like(i.nuclei.label, -1)))
                for i in typed_set(typed_discs("c", seed=5)).images
            ),
        ),
    )
    small, large = (DescriptorsMethod(labels, typed_set(), config) for labels in (train, more))
    np.testing.assert_array_equal(small._label, large._label)
    np.testing.assert_array_equal(small._labelled, large._labelled)
    assert not torch.equal(small.network().mean, large.network().mean)


def test_another_network_is_refused(train, config):
    with pytest.raises(TrainingError, match="network of its own, not context-cnn"):
        DescriptorsMethod(train, typed_set(), replace(config, architecture="context-cnn"))
