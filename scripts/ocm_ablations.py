"""The ablation studies of OCM's supplement on Split MNIST: one setting at a time, beside the published values."""

import sys

from ocm_tf.experiments import ocm_config, run_script
from ocm_tf.experiments.ocm_ablations import main

DESCRIPTION = """
The ablation studies of OCM (Ye and Bors, ECCV 2022, supplement): density estimation on Split MNIST, read once.

The method sees batches of grey images, in the order of the classes 0 to 9, no label and no boundary. Each study varies
one setting. Each value and seed is a run directory of its own below OUTPUT/STUDY; what is finished is skipped, what is
not is resumed, and a run that fails does not stop the others. From the results of all runs a table OUTPUT/STUDY.md and
a figure OUTPUT/figures/STUDY.png are made, with the published values beside ours.

The kernel is that of the authors' code, with which the published figures were most likely made, and so are seeding and
rounds. In presets of another scale, numbers of samples and the expansion threshold keep their ratio to the default; the
threshold on the kernel score and the kernel's width act through the kernel and stay as they are.
"""

COSTS = {
    "tiny": "one or two minutes a study and seed on one core, some ten for each of the batch-size studies",
    "small": "two minutes a study and seed on one core, some five for batch sizes; an hour for all with 3 seeds",
    "stream": "ten minutes on two cores for most values, hours for the smallest batch size",
    "paper": "days on two cores for each value",
    "release": "as long as paper",
}

if __name__ == "__main__":
    presets = {name: ocm_config.PRESETS[name] for name in COSTS}
    sys.exit(run_script(lambda: main("ocm_ablations", DESCRIPTION, presets, COSTS)))
