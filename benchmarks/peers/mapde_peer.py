"""MapDe of tiatoolbox: patches of 252 x 252 side by side, without the overlap that it uses."""

import sys
from importlib.metadata import version

import numpy as np
import torch
from serve import serve
from tiatoolbox.models.architecture.mapde import MapDe

SIDE = 252
torch.set_num_threads(1)
rgb = np.load(sys.argv[1])
network = MapDe(num_input_channels=3, min_distance=4, threshold_abs=250, num_classes=1).eval()
height, width = rgb.shape[:2]
corners = [(y, x) for y in range(0, height, SIDE) for x in range(0, width, SIDE)]
wide = np.pad(rgb, [(0, SIDE), (0, SIDE), (0, 0)], mode="edge")
patches = [wide[y : y + SIDE, x : x + SIDE] for y, x in corners]
# whole patches only, as many pixels as the image has
count = round(height * width / SIDE**2)
batches = torch.from_numpy(np.stack(patches[:count])).split(4)


def run():
    for batch in batches:
        network.infer_batch(network, batch, False)


serve(f"MapDe of tiatoolbox {version('tiatoolbox')}, torch {torch.__version__}", run)
