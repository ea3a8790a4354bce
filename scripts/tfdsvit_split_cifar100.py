"""TFDSViT on Split CIFAR100: twenty tasks of five classes, one after the other, without being announced."""

import sys

from ocm_tf.experiments import run_script
from ocm_tf.experiments.tfdsvit_script import main

DESCRIPTION = """
TFDSViT (Ye and Bors, AAAI 2024) on Split CIFAR100: a stream of twenty tasks of five classes, read once.

The method sees batches of images with their labels. It sees no task identity and no boundary between tasks, in training
or afterwards; nothing old is replayed. Each component has half of the heads of an attention trunk over image patches,
gates over the heads of all components before it, a classifier head and a VAE. When the VAEs of all earlier components
reconstruct the newest images in a full memory badly, the component that trains is frozen and a new one begins. A test
image is answered by the component whose VAE has the lowest loss for it.

Measured: the accuracy on the test images of each task after the stream, its mean over tasks and forgetting, in percent;
whether images go to components that learned their class; experts and parameters. Where a number is called
task-assisted, all test images of a task are routed together, which the method alone cannot do. The tables of the paper
could not be read, so no published number stands beside ours.
"""

if __name__ == "__main__":
    sys.exit(run_script(lambda: main("tfdsvit_split_cifar100", DESCRIPTION, "cifar100")))
