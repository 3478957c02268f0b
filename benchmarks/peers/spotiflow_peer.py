"""Spotiflow's default network for three channels, in float32 as shipped."""

import sys
from importlib.metadata import version

import numpy as np
import torch
from serve import serve
from spotiflow.model import Spotiflow, SpotiflowModelConfig

torch.set_num_threads(1)
rgb = np.load(sys.argv[1]).astype(np.float32) / 255
x = torch.from_numpy(np.ascontiguousarray(rgb.transpose(2, 0, 1)[None]))
network = Spotiflow(SpotiflowModelConfig(in_channels=3)).eval()


def run():
    with torch.inference_mode():
        network(x)


serve(f"Spotiflow {version('spotiflow')}, torch {torch.__version__}", run)
