"""Generative latent replay on Rotated MNIST: the same digits, their pixels turned in another way each time."""

import sys

from ocm_tf.experiments import run_script
from ocm_tf.experiments.glr_config import COSTS, ROTATED_PRESETS
from ocm_tf.experiments.glr_script import main

DESCRIPTION = """
Generative Latent Replay (Armstrong, Thakur and Clifton, 2022) on Rotated MNIST: five experiences of all images, turned
by 0, 72, 144, 216 and 288 degrees.

The method sees images with their labels and knows when an experience begins; it may go over the images of the one at
hand as often as it likes, and not go back to earlier ones. No task is named when it predicts. It trains the whole
network on the first experience, then freezes its lower part. Of each experience it keeps a generative model of what the
frozen part gives, and replays what it draws from these beside the next experience. --method names what else there is.

Measured after each experience: accuracy on the test images of all, forgetting, bytes kept, seconds.
"""

if __name__ == "__main__":
    sys.exit(run_script(lambda: main("glr_rotated_mnist", DESCRIPTION, ROTATED_PRESETS, COSTS)))
