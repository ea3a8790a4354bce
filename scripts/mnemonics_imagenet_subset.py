"""Mnemonics on ImageNet-Subset: 100 classes drawn from ImageNet, half of them first, the others in phases."""

import sys

from ocm_tf.experiments import run_script
from ocm_tf.experiments.mnemonics_config import SUBSET_PRESETS
from ocm_tf.experiments.mnemonics_script import main

DESCRIPTION = """
Mnemonics training (Liu et al., CVPR 2020): class-incremental learning with exemplars whose pixels are trained.

ImageNet-Subset: 100 of the 1,000 classes of ImageNet. The images are yours: --dataset folder:PATH, with
train/<class>/ and test/<class>/, resized and cropped to 224x224.

The method sees, in each phase, all images of the new classes with their labels, as often as it likes, and the exemplars
of the old ones. It knows when a phase begins. In a test it is not told the phase: it names one of all classes seen.

Measured after each phase, in percent: the accuracy of the head (fc) and of the nearest class mean (nme) over all
classes seen, their means over phases, and forgetting, by how much the accuracy on the first classes fell.
"""

if __name__ == "__main__":
    sys.exit(run_script(lambda: main("mnemonics_imagenet_subset", DESCRIPTION, SUBSET_PRESETS)))
