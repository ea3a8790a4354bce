"""OCM for classification: tasks of a few classes each come one after the other, without being announced."""

import sys

from ocm_tf.experiments import run_script
from ocm_tf.experiments.ocm_classification_config import PRESETS
from ocm_tf.experiments.ocm_classification_script import main

DESCRIPTION = """
OCM (Ye and Bors, ECCV 2022) for classification on Split MNIST, CIFAR10 or CIFAR100 (--dataset): a stream of tasks, each
of a few classes, that is read once.

The method sees batches of images with their labels. It sees no task identity and no boundary between tasks, in training
or afterwards. Each component has a VAE and a classifier: the VAE chooses which samples are kept, when a component is
added and which component answers for a test image; the classifier of that component names one of all classes.

Measured: the accuracy on the test images of each task after the stream, and its mean over tasks, in percent.
"""

if __name__ == "__main__":
    sys.exit(run_script(lambda: main("ocm_classification", DESCRIPTION, PRESETS)))
