"""Cellpose 3's network for nuclei, in float32 as shipped."""

import sys
from importlib.metadata import version

import numpy as np
import torch
from cellpose.resnet_torch import CPnet
from serve import serve

torch.set_num_threads(1)
rgb = np.load(sys.argv[1]).astype(np.float32) / 255
x = torch.from_numpy(np.ascontiguousarray(rgb[..., :2].transpose(2, 0, 1)[None]))
network = CPnet(nbase=[2, 32, 64, 128, 256], nout=3, sz=3, mkldnn=False).eval()


def run():
    with torch.inference_mode():
        network(x)


serve(f"Cellpose {version('cellpose')}, torch {torch.__version__}", run)
