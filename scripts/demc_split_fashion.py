"""DEMC on Split Fashion-MNIST: images generated and reconstructed, five tasks of two classes."""

import sys

from ocm_tf.experiments import run_script
from ocm_tf.experiments.demc_config import FASHION_PRESETS
from ocm_tf.experiments.demc_script import main

DESCRIPTION = """
DEMC (Ye and Bors, AAAI 2024) learns to reconstruct and to generate Fashion-MNIST images that come in five tasks of two
classes, one task after the other.

The method sees batches of images, each once. It sees no label, no task and no boundary between tasks. A temporary
memory holds what came lately; when that is far from all that is remembered, some of it is frozen as a cluster. The
network, a VAE with a critic, trains on both together.

Measured after the stream: squared error (SSE) of reconstructions per task and how much of each task was forgotten;
distance of samples and of reconstructions from test images by the features of a classifier trained on all classes
(a classifier Frechet distance, not to be compared with any FID); how many classes the samples are of; logistic
regression and 5 neighbours on the latents. The paper's tables could not be read, so nothing is set beside them.
"""

if __name__ == "__main__":
    sys.exit(run_script(lambda: main("demc_split_fashion", DESCRIPTION, FASHION_PRESETS)))
