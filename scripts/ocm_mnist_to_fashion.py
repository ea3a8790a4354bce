"""OCM from MNIST to Fashion-MNIST: a VAE learns two data sets, one after the other, without being told."""

import sys

from ocm_tf.experiments import ocm_streams, run_script
from ocm_tf.experiments.ocm_comparison import DOMAIN_RULES
from ocm_tf.experiments.ocm_script import main

DESCRIPTION = """
OCM (Ye and Bors, ECCV 2022) on Split MNIST-Fashion: density estimation on a stream that is read once.

The method sees batches of grey images: MNIST in the order of its classes 0 to 9, then Fashion-MNIST in the order of
its own. It sees no label and no boundary, neither between classes nor between the two data sets. Memories, growth and
training are those of ocm_split_mnist.py. A single VAE's long-term memory is full soon after the change of data set;
when_full=reservoir keeps it open for what comes after.

Measured: the importance-weighted bound (IWAE) of the test images of both data sets under the component each is routed
to, in nats, over all of them and for each data set; which component answers for which data set; what is stored of each.
"""

if __name__ == "__main__":
    presets, costs = ocm_streams.MNIST_TO_FASHION, ocm_streams.MNIST_TO_FASHION_COSTS
    sys.exit(run_script(lambda: main("ocm_mnist_to_fashion", DESCRIPTION, presets, costs, rules=DOMAIN_RULES)))
