"""StarDist as published for H&E: 32 rays, grid 2, U-Net of depth 3 with 32 filters, 3 channels."""

import sys
import tempfile

import numpy as np
import tensorflow as tf
from serve import serve
from stardist import __version__
from stardist.models import Config2D, StarDist2D

tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)

rgb = np.load(sys.argv[1]).astype(np.float32)[None] / 255
with tempfile.TemporaryDirectory() as folder:
    model = StarDist2D(
        Config2D(n_rays=32, grid=(2, 2), n_channel_in=3, unet_n_depth=3), "untrained", folder
    )
network = model.keras_model
serve(f"StarDist {__version__}, TensorFlow {tf.__version__}", lambda: network.predict_on_batch(rgb))
