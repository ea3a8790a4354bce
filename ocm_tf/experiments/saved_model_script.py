"""What the scripts that use a saved model share: their flags, loading the model and the images."""

import argparse
import textwrap
from pathlib import Path

from ocm_tf.errors import UserError
from ocm_tf.experiments.settings import parse_seed
from ocm_tf.quiet import import_tensorflow


def make_parser(description, with_data):
    """Makes the parser of a script that uses a saved model.

    Args:
        description: what `--help` says.
        with_data: whether the script reads a data set.

    Returns:
        `argparse.ArgumentParser`.
    """
    parser = argparse.ArgumentParser(
        description=textwrap.dedent(description).strip(), formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, metavar="MODEL", help="a run directory or a .keras file")
    parser.add_argument("--seed", type=parse_seed, default=0, metavar="N", help="seed of all draws (default: 0)")
    parser.add_argument("--threads", type=positive, metavar="N", help="CPU threads of one operation")
    if with_data:
        parser.add_argument(
            "--dataset", required=True, metavar="NAME", help="mnist, digits, folder:PATH, npz:PATH, ..."
        )
        parser.add_argument("--data-dir", type=Path, metavar="DIR", help="where the datasets are ($TFDS_DATA_DIR)")
        parser.add_argument("--split", choices=("test", "train"), default="test", help="default: test")
        parser.add_argument("--limit", type=positive, metavar="N", help="evenly spaced images to take (default: all)")
    return parser


def positive(text):
    """Reads a whole number from 1 on."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 on")
    return int(text)


def load(arguments):
    """Loads the model that a command line names."""
    # TensorFlow takes seconds to import; help and mistakes in the command line should not.
    import_tensorflow(arguments.threads)
    import ocm_tf

    return ocm_tf.load_model(arguments.model)


def load_split(arguments, say=print):
    """Loads the images that a command line names, a `Split`.

    Raises:
        UserError: if the data set is not there.
    """
    from ocm_tf.data import load_domains
    from ocm_tf.streams import evenly_spaced

    datasets = load_domains(arguments.dataset, arguments.data_dir, say)
    if len(datasets) > 1:
        raise UserError(f"--dataset names one data set, got {arguments.dataset}")
    split = getattr(datasets[0], arguments.split)
    return split if arguments.limit is None else evenly_spaced(split, arguments.limit)
