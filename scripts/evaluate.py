"""Measures a saved model on a data set."""

import json
import sys
from pathlib import Path

from ocm_tf.experiments import run_script, saved_models
from ocm_tf.experiments.saved_model_script import load, load_split, make_parser, positive
from ocm_tf.files import write_json

DESCRIPTION = """
Measures a saved model on a data set: the importance-weighted bound and the quality of reconstructions of a generative
model, the accuracy of a classifier, whichever it has. Prints JSON.

  python scripts/evaluate.py runs/ocm_split_mnist/tiny-seed0 --dataset digits --samples 100
"""


def main(argv=None):
    """Runs the script."""
    parser = make_parser(DESCRIPTION, with_data=True)
    parser.add_argument(
        "--samples", type=positive, default=1000, metavar="K", help="latent draws of the bound (default: 1000)"
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="also write the JSON to this file")
    arguments = parser.parse_args(argv)
    model = load(arguments)
    # What is prepared on the way is said on standard error: standard output is the JSON.
    split = load_split(arguments, say=lambda line: print(line, file=sys.stderr))
    saved_models.require_shape(model, split.images, arguments.model)
    metrics = saved_models.evaluate(model, split, arguments.samples, arguments.seed)
    content = {
        "model": str(arguments.model), "dataset": arguments.dataset, "split": arguments.split,
        "num_images": len(split.labels), "samples": arguments.samples, "seed": arguments.seed, "metrics": metrics,
    }  # fmt: skip
    print(json.dumps(content, indent=2))
    if arguments.output is not None:
        write_json(arguments.output, content)


if __name__ == "__main__":
    sys.exit(run_script(main))
