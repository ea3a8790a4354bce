"""OCM on Split Fashion: a VAE learns ten kinds of clothing that come one after the other, without being told."""

import sys

from ocm_tf.experiments import ocm_streams, run_script
from ocm_tf.experiments.ocm_script import main

DESCRIPTION = """
OCM (Ye and Bors, ECCV 2022) on Split Fashion: density estimation on a stream that is read once.

The method sees batches of grey images of Fashion-MNIST, in the order of the classes 0 to 9. It sees no label and no
boundary between classes. Memories, growth and training are those of ocm_split_mnist.py.

Measured: the importance-weighted bound (IWAE) of all test images under the component each is routed to, in nats.
"""

if __name__ == "__main__":
    presets, costs = ocm_streams.SPLIT_FASHION, ocm_streams.SPLIT_FASHION_COSTS
    sys.exit(run_script(lambda: main("ocm_split_fashion", DESCRIPTION, presets, costs)))
