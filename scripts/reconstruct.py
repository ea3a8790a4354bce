"""Reconstructs the images of a data set with a saved model."""

import sys
from pathlib import Path

from ocm_tf.experiments import run_script, saved_models
from ocm_tf.experiments.saved_model_script import load, load_split, make_parser

DESCRIPTION = """
Reconstructs the images of a data set with a saved generative model, each by the component it is routed to.

  python scripts/reconstruct.py runs/ocm_split_mnist/tiny-seed0 --dataset digits --limit 64
"""


def main(argv=None):
    """Runs the script."""
    parser = make_parser(DESCRIPTION, with_data=True)
    parser.add_argument(
        "--output", type=Path, default=Path("reconstructed.png"), metavar="FILE",
        help=".png for grids of the first 64, .npz for all (default: reconstructed.png)",
    )  # fmt: skip
    arguments = parser.parse_args(argv)
    model = load(arguments)
    saved_models.require(model, "reconstruct", arguments.model)
    images = load_split(arguments).images
    saved_models.require_shape(model, images, arguments.model)
    title = f"{arguments.model} · {arguments.dataset} {arguments.split}"
    saved_models.reconstruct(model, images, arguments.output, title)
    print(arguments.output)


if __name__ == "__main__":
    sys.exit(run_script(main))
