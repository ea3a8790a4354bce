"""Mnemonics on CIFAR-100, or another data set: classes come in phases, exemplars of the old ones are trained."""

import sys

from ocm_tf.experiments import run_script
from ocm_tf.experiments.mnemonics_config import PRESETS
from ocm_tf.experiments.mnemonics_script import main

DESCRIPTION = """
Mnemonics training (Liu et al., CVPR 2020): class-incremental learning with exemplars whose pixels are trained.

CIFAR-100: half of the classes, then the others in phases (--set classes_per_phase=10, 5 or 2).

The method sees, in each phase, all images of the new classes with their labels, as often as it likes, and the exemplars
of the old ones. It knows when a phase begins. In a test it is not told the phase: it names one of all classes seen.

Measured after each phase, in percent: the accuracy of the head (fc) and of the nearest class mean (nme) over all
classes seen, their means over phases, and forgetting, by how much the accuracy on the first classes fell.
"""

if __name__ == "__main__":
    sys.exit(run_script(lambda: main("mnemonics_cifar100", DESCRIPTION, PRESETS)))
