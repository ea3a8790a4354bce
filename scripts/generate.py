"""Draws images from a saved generative model."""

import sys
from pathlib import Path

from ocm_tf.experiments import run_script, saved_models
from ocm_tf.experiments.saved_model_script import load, make_parser, positive

DESCRIPTION = """
Draws images from a saved generative model, without training and without data.

  python scripts/generate.py runs/ocm_split_mnist/tiny-seed0
  python scripts/generate.py model.keras --num 10000 --output samples.npz
"""


def main(argv=None):
    """Runs the script."""
    parser = make_parser(DESCRIPTION, with_data=False)
    parser.add_argument("--num", type=positive, default=64, metavar="N", help="images to draw (default: 64)")
    parser.add_argument(
        "--output", type=Path, default=Path("generated.png"), metavar="FILE",
        help=".png for a grid of the first 64, .npz for all, as floats in [0, 1] (default: generated.png)",
    )  # fmt: skip
    arguments = parser.parse_args(argv)
    model = load(arguments)
    saved_models.require(model, "generate", arguments.model)
    saved_models.generate(model, arguments.num, arguments.seed, arguments.output, f"{arguments.model}")
    print(arguments.output)


if __name__ == "__main__":
    sys.exit(run_script(main))
