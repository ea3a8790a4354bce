"""Ablation studies of generative latent replay: what models the latents, where to cut, how much to replay."""

import sys

from ocm_tf.experiments import run_script
from ocm_tf.experiments.glr_config import ROTATED_PRESETS
from ocm_tf.experiments.glr_script import ablations

DESCRIPTION = """
Ablation studies of Generative Latent Replay (Armstrong, Thakur and Clifton, 2022) on Rotated MNIST; --set
stream=permuted takes Permuted MNIST. Of these the authors published the sizes of the buffer and one run with a
pretrained backbone.

Each value and seed is a run directory of its own below OUTPUT/STUDY; what is finished is skipped, what is not is
resumed, and a run that fails does not stop the others. A table OUTPUT/STUDY/comparison.md and figures beside it are
made from their results alone.
"""

COSTS = {
    "tiny": "about a minute a study and seed",
    "small": "one or two minutes on one core for each of some ten runs a study and seed",
    "paper": "a GPU for days",
    "release": "as long as paper",
}

if __name__ == "__main__":
    presets = {name: ROTATED_PRESETS[name] for name in COSTS}
    sys.exit(run_script(lambda: ablations("glr_ablations", DESCRIPTION, presets, COSTS)))
