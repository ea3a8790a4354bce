"""Ablations of Mnemonics: adjustment of exemplars, weight transfer, steps, starts, numbers of exemplars."""

import sys

from ocm_tf.experiments import run_script
from ocm_tf.experiments.mnemonics_config import PRESETS
from ocm_tf.experiments.mnemonics_script import main_ablations

DESCRIPTION = """
Ablation studies of Mnemonics training (Liu et al., CVPR 2020), each a comparison over paired seeds that ends in tables
and figures. What the method may see and what is measured is that of mnemonics_cifar100.
"""

if __name__ == "__main__":
    sys.exit(run_script(lambda: main_ablations("mnemonics_ablations", DESCRIPTION, PRESETS)))
