"""Studies of DEMC on Split MNIST: one choice at a time."""

import sys

from ocm_tf.experiments import run_script
from ocm_tf.experiments.demc_config import MNIST_PRESETS
from ocm_tf.experiments.demc_script import main_of_studies

DESCRIPTION = """
Studies of DEMC (Ye and Bors, AAAI 2024) on Split MNIST, in five tasks of two classes: each varies one choice, all else
equal. Each value and seed is a run directory of its own below OUTPUT/STUDY; what is finished is skipped, what is not is
resumed, and a run that fails does not stop the others. Each study ends in OUTPUT/STUDY/comparison.md and a figure.

The method sees batches of images, each once. It sees no label, no task and no boundary between tasks. A temporary
memory holds what came lately; when that is far from all that is remembered, some of it is frozen as a cluster. The
network, a VAE with a critic, trains on both together.

Measured after the stream: squared error (SSE) of reconstructions per task and how much of each task was forgotten;
distance of samples and of reconstructions from test images by the features of a classifier trained on all classes
(a classifier Frechet distance, not to be compared with any FID); how many classes the samples are of; logistic
regression and 5 neighbours on the latents. The paper's tables could not be read, so nothing is set beside them.
"""

if __name__ == "__main__":
    sys.exit(run_script(lambda: main_of_studies("demc_ablations", DESCRIPTION, MNIST_PRESETS)))
