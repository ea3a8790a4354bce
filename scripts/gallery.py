"""Draws what the models shipped with this repository have learned, or trains these models anew."""

import argparse
import sys
from pathlib import Path

from ocm_tf.experiments.gallery import ENTRIES, train
from ocm_tf.experiments.script import run_script
from ocm_tf.quiet import import_tensorflow

ROOT = Path(__file__).parents[1]


def main(argv=None):
    """Runs the script."""
    parser = argparse.ArgumentParser(
        description=__doc__ + " Each is that of a run with preset tiny: 8x8 digits, half a minute. Drawing trains "
        "nothing and needs no data."
    )
    add = parser.add_argument
    add("--train", action="store_true", help="train the models anew, a few minutes, before drawing")
    add("--only", nargs="+", choices=ENTRIES, metavar="NAME", help=f"with --train: some of {', '.join(ENTRIES)}")
    add("--gallery", type=Path, default=ROOT / "results" / "gallery", metavar="DIR",
        help="directory of the models (default: results/gallery)")  # fmt: skip
    add("--runs", type=Path, default=Path("runs") / "gallery", metavar="DIR",
        help="with --train: where the runs go (default: runs/gallery)")  # fmt: skip
    add("--output", type=Path, default=Path("figures") / "gallery.png", metavar="FILE",
        help="the figure (default: figures/gallery.png)")  # fmt: skip
    arguments = parser.parse_args(argv)
    if arguments.only and not arguments.train:
        parser.error("--only goes with --train; the figure shows all models")
    # TensorFlow takes seconds to import; help and mistakes in the command line should not.
    import_tensorflow()
    from ocm_tf.experiments.gallery_figure import draw_gallery

    if arguments.train:
        train(arguments.only or list(ENTRIES), arguments.runs, arguments.gallery, Path(__file__).parent)
    draw_gallery(arguments.gallery, arguments.output)
    print(arguments.output)


if __name__ == "__main__":
    sys.exit(run_script(main))
