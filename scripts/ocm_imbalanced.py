"""OCM for classification on imbalanced streams: one task has many more images than the others."""

import sys

from ocm_tf.experiments import run_script
from ocm_tf.experiments.ocm_classification_config import IMBALANCED_PRESETS
from ocm_tf.experiments.ocm_classification_script import main

DESCRIPTION = """
OCM (Ye and Bors, ECCV 2022) for classification on imbalanced Split MNIST, CIFAR10 or CIFAR100 (--dataset): of the tasks
that come one after the other, each read once, one is dominant and has about ten times the images of the others (two and
a half times for CIFAR100). The test images are balanced.

The method sees batches of images with their labels. It sees no task identity and no boundary between tasks, in training
or afterwards, and is not told which task is dominant.

Measured: the accuracy on the test images of each task after the stream, and its mean over tasks, in percent. The
paper's values are means over five dominant tasks, which --all-dominant runs.
"""

if __name__ == "__main__":
    sys.exit(run_script(lambda: main("ocm_imbalanced", DESCRIPTION, IMBALANCED_PRESETS, imbalanced=True)))
