"""Generative latent replay on CORe50: videos of 50 objects, seen session by session or object by object."""

import sys

from ocm_tf.experiments import run_script
from ocm_tf.experiments.glr_config import CORE50_COSTS, CORE50_PRESETS
from ocm_tf.experiments.glr_script import main

DESCRIPTION = """
Generative Latent Replay (Armstrong, Thakur and Clifton, 2022) on CORe50 (Lomonaco and Maltoni, 2017), which the paper
names and has no result for. --set stream=NI has new sessions of all objects, NC new objects, NIC and NICv2-79, -196 and
-391 both; core50_run chooses one of the ten orders of each.

The method sees images with their labels and knows when an experience begins. No task is named when it predicts. The
test images, of three sessions of their own, are the same after each experience.

Measured after each experience: accuracy on the test images, bytes kept, seconds. The data set must be prepared before:
python -m ocm_tf.data prepare core50 --source PATH.
"""

if __name__ == "__main__":
    sys.exit(run_script(lambda: main("glr_core50", DESCRIPTION, CORE50_PRESETS, CORE50_COSTS)))
