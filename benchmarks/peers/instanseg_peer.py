"""InstanSeg's default network for three channels, with the heads for nuclei."""

import sys
from importlib.metadata import version

import numpy as np
import torch
from instanseg.utils.models.InstanSeg_UNet import InstanSeg_UNet
from serve import serve

torch.set_num_threads(1)
rgb = np.load(sys.argv[1]).astype(np.float32) / 255
x = torch.from_numpy(np.ascontiguousarray(rgb.transpose(2, 0, 1)[None]))
# its training script's defaults: 32 to 256 features; two coordinates, two sigmas, one seed
network = InstanSeg_UNet(3, [2, 2, 1], layers=[256, 128, 64, 32], norm="BATCH").eval()


def run():
    with torch.inference_mode():
        network(x)


serve(f"InstanSeg {version('instanseg-torch')}, torch {torch.__version__}", run)
