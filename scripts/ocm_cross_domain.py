"""OCM across domains: a VAE learns MNIST, Fashion-MNIST and Omniglot, one after the other, without being told."""

import sys

from ocm_tf.experiments import ocm_streams, run_script
from ocm_tf.experiments.ocm_comparison import DOMAIN_RULES
from ocm_tf.experiments.ocm_script import main

DESCRIPTION = """
OCM (Ye and Bors, ECCV 2022) in the cross-domain setting: density estimation on a stream that is read once.

The method sees batches of grey images: MNIST in the order of its classes 0 to 9, Fashion-MNIST in the order of its own,
then Omniglot in its stored order. It sees no label and no boundary, neither between classes nor between data sets.
Memories, growth and training are those of ocm_split_mnist.py. A single VAE's long-term memory is full before Omniglot
comes; when_full=reservoir keeps it open for what comes after.

Measured: the importance-weighted bound (IWAE) of the test images of all data sets under the component each is routed
to, in nats, over all of them (each image counts alike) and for each data set; which component answers for which data
set; what is stored of each. The paper's numbers are for 24,345 training and 8,070 test images of Omniglot, which
`python -m ocm_tf.data prepare omniglot --source chardata.mat` prepares; config.json says how many there were.
"""

if __name__ == "__main__":
    presets, costs = ocm_streams.CROSS_DOMAIN, ocm_streams.CROSS_DOMAIN_COSTS
    sys.exit(run_script(lambda: main("ocm_cross_domain", DESCRIPTION, presets, costs, rules=DOMAIN_RULES)))
