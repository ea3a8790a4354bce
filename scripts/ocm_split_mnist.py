"""OCM on Split MNIST: a VAE learns ten digits that come one class after the other, without being told."""

import sys

from ocm_tf.experiments import ocm_config, run_script
from ocm_tf.experiments.ocm_script import main

DESCRIPTION = """
OCM (Ye and Bors, ECCV 2022) on Split MNIST: density estimation on a stream that is read once.

The method sees batches of grey images, in the order of the classes 0 to 9. It sees no label and no boundary between
classes. A short-term memory holds the newest samples. Each time it is full, a kernel on latent features chooses some of
them for the long-term memory and, if the likelihood bound has jumped, the mixture grows by a component. Each arriving
batch is followed by several passes over both memories.

Measured: the importance-weighted bound (IWAE) of all test images under the component each is routed to, in nats.
"""

if __name__ == "__main__":
    sys.exit(run_script(lambda: main("ocm_split_mnist", DESCRIPTION, ocm_config.PRESETS, ocm_config.COSTS)))
