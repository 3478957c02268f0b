"""A small model that finds dark discs by construction, and images of such discs."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from napari_nucbudget.cli import main
from napari_nucbudget.models.bundle import Detector
from napari_nucbudget.nets.fcn_proximity import FcnConfig, FcnProximity
from napari_nucbudget.types.card import InputSpec, ModelCard, TrainingData

DOTS = np.array([[20, 20], [20, 60], [60, 20], [60, 70], [90, 45]])


def darkness_detector(name: str = "darkness") -> Detector:
    """Table 1 with hand-set weights: its map is the mean darkness of 11 x 11 pixels."""
    network = FcnProximity(FcnConfig())
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        network.conv1.weight[0, :, 3, 3] = -1 / 3
        network.conv1.bias[0] = 0.9
        for conv in (network.conv2, network.conv3):
            conv.weight[0, 0, 2, 2] = 1
        network.conv4.weight[0, 0] = 1 / 121
        network.conv4.bias[0] = -0.2
        network.conv5.weight[0, 0] = 1
        network.conv6.weight[0, 0] = 1.5
    card = ModelCard(
        name=name,
        task="detection",
        architecture="fcn",
        input=InputSpec(mpp=0.55, mean=(0, 0, 0), std=(1, 1, 1), receptive_field=31),
        threshold=0.2,
        min_distance_um=2.75,
        smoothing_px=1.0,
        summary="Finds dark discs.",
        training_data=[
            TrainingData(name="none", split="train", images=0, nuclei=0, sha256="0", licence="CC0")
        ],
    )
    return Detector.from_network(card, network, device="cpu")


@pytest.fixture
def model(tmp_path):
    return str(darkness_detector().save(tmp_path / "darkness"))


def draw(dots=DOTS, side=110, radius=6):
    rgb = np.full((side, side, 3), 235, np.uint8)
    rows, columns = np.indices((side, side))
    for y, x in dots:
        rgb[(rows - y) ** 2 + (columns - x) ** 2 <= radius**2] = (70, 40, 120)
    return rgb


def as_tiff(picture, path, *, mpp):
    """The same picture as a TIFF that says its pixel size."""
    tifffile.imwrite(
        path,
        np.asarray(Image.open(picture)),
        photometric="rgb",
        resolution=(1e4 / mpp, 1e4 / mpp),
        resolutionunit="CENTIMETER",
    )
    return path


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "discs.png"
    Image.fromarray(draw()).save(path)
    return str(path)


@pytest.fixture
def run(capsys):
    """Run a command line in this process: exit code, stdout, stderr."""

    def call(*arguments: str) -> tuple[int, str, str]:
        code = 0
        try:
            main([str(a) for a in arguments])
        except SystemExit as end:
            code = int(end.code or 0)
        out, err = capsys.readouterr()
        return code, out, err

    return call
