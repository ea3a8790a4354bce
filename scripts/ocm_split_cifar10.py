"""OCM on Split CIFAR10: a VAE learns ten classes of colour images that come two at a time, without being told."""

import sys

from ocm_tf.experiments import ocm_cifar10_config, run_script
from ocm_tf.experiments.ocm_script import main

DESCRIPTION = """
OCM (Ye and Bors, ECCV 2022) on Split CIFAR10: images generated after a stream that is read once.

The method sees batches of colour images, in five tasks of two consecutive classes each, shuffled within a task. It sees
no label and no boundary between tasks. A short-term memory holds the newest samples. Each time it is full, a kernel on
latent features chooses some of them for the long-term memory and, if the likelihood bound has jumped, the mixture grows
by a component. Each arriving batch is followed by several passes over both memories.

Measured on all test images: the importance-weighted bound (IWAE) in nats, squared error, PSNR and SSIM of their
reconstructions, and how far generated samples are from them. Training weighs the KL term by 0.01 and the bound by 1, so
that a model may reconstruct better and have the worse bound, and samples of the prior are poorer than reconstructions.
With the weights of Keras' InceptionV3 (--inception-weights PATH; nothing is downloaded) the distance is the FID, beside
the inception score of the same samples. Without them it is classifier_frechet_distance alone, on the features of a
small classifier, which is trained once on all training images with their labels, kept beside the data sets and shown to
no model. It compares runs on one data set and must never be compared with a FID.
"""

if __name__ == "__main__":
    presets, costs = ocm_cifar10_config.PRESETS, ocm_cifar10_config.COSTS
    sys.exit(run_script(lambda: main("ocm_split_cifar10", DESCRIPTION, presets, costs)))
