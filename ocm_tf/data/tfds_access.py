"""Quiet, local access to TensorFlow Datasets, imported only when it is needed."""

import contextlib
import importlib
import io
import os
import pathlib
import re
import sys
import tempfile

from ocm_tf.errors import UserError

# What TensorFlow writes to the terminal as it is imported, before any of its settings takes effect.
_NOISE = re.compile(r"(WARNING: All log messages before absl|[IW]\d{4} |\d{4}-\d\d-\d\d .*: [IW] )")


def find_data_dir(data_dir=None):
    """Finds the TFDS data directory: the argument, else `TFDS_DATA_DIR`, else `~/tensorflow_datasets`.

    Args:
        data_dir: path, or `None`.

    Returns:
        path: `pathlib.Path`, absolute.
    """
    chosen = data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"
    return pathlib.Path(chosen).expanduser().absolute()


def import_tfds():
    """Imports TensorFlow Datasets without its chatter and without access to cloud storage.

    Returns:
        tfds: the module.

    Raises:
        UserError: if it is not installed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        with contextlib.nullcontext() if "tensorflow" in sys.modules else _without_noise():
            importlib.import_module("tensorflow")
            tfds = importlib.import_module("tensorflow_datasets")
    except ImportError as error:
        raise UserError(f"TensorFlow Datasets cannot be imported ({error}): pip install -r requirements.txt") from error
    # Off by default in recent versions; older ones look up every data set there and retry for minutes offline.
    with contextlib.suppress(ImportError):
        importlib.import_module("tensorflow_datasets.core.utils.gcs_utils")._is_gcs_disabled = True
    return tfds


@contextlib.contextmanager
def _without_noise():
    """Holds back what is written to the standard error stream and then passes on all but the known noise."""
    try:
        original = os.dup(2)
    except OSError:  # no such stream, so nothing to quieten
        yield
        return
    with tempfile.TemporaryFile() as held_back:
        os.dup2(held_back.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(original, 2)
            os.close(original)
            held_back.seek(0)
            for line in held_back.read().decode(errors="replace").splitlines(keepends=True):
                if not _NOISE.match(line):
                    sys.stderr.write(line)


@contextlib.contextmanager
def quiet_tfds(tfds):
    """Silences the log, the printed lines and the progress bars of TFDS for a while.

    Args:
        tfds: the module.
    """
    from absl import logging

    tqdm_utils = importlib.import_module("tensorflow_datasets.core.utils.tqdm_utils")
    had_bars = getattr(tqdm_utils, "_active", True)
    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    tfds.disable_progress_bar()
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.set_verbosity(verbosity)
        if had_bars:
            tfds.enable_progress_bar()
