"""SCCNN of tiatoolbox: a patch of 31 x 31 for every 13 x 13 pixels, side by side."""

import sys
from importlib.metadata import version

import numpy as np
import torch
from serve import serve
from tiatoolbox.models.architecture.sccnn import SCCNN

SIDE, FOUND = 31, 13
torch.set_num_threads(1)
rgb = np.load(sys.argv[1])
network = SCCNN(num_input_channels=3, out_height=FOUND, out_width=FOUND, radius=12).eval()
windows = np.lib.stride_tricks.sliding_window_view(rgb, (SIDE, SIDE), (0, 1))[::FOUND, ::FOUND]
patches = np.ascontiguousarray(windows.reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1))
# as many as the image has squares of 13 x 13; those at its edge are taken twice
count = round(rgb.shape[0] * rgb.shape[1] / FOUND**2)
batches = torch.from_numpy(np.concatenate([patches, patches])[:count]).split(128)


def run():
    for batch in batches:
        network.infer_batch(network, batch, False)


serve(f"SCCNN of tiatoolbox {version('tiatoolbox')}, torch {torch.__version__}", run)
