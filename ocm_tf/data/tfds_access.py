"""Quiet, local access to TensorFlow Datasets, imported only when it is needed."""

import contextlib
import importlib
import io
import os
import pathlib
import types
from collections.abc import Iterator

from ocm_tf.errors import UserError
from ocm_tf.types import PathLike


def find_data_dir(data_dir: PathLike | None = None) -> pathlib.Path:
    """Finds the TFDS data directory: the argument, else `TFDS_DATA_DIR`, else `~/tensorflow_datasets`.

    Args:
        data_dir: path, or `None`.

    Returns:
        path: `pathlib.Path`, absolute.
    """
    chosen = data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"
    return pathlib.Path(chosen).expanduser().absolute()


def import_tfds() -> types.ModuleType:
    """Imports TensorFlow Datasets, which takes half a second, without access to cloud storage.

    TFDS imports TensorFlow only when it reads or writes; call `import_tensorflow` before that.

    Returns:
        tfds: the module.

    Raises:
        UserError: if it is not installed.
    """
    try:
        tfds = importlib.import_module("tensorflow_datasets")
    except ImportError as error:
        raise UserError(f"TensorFlow Datasets cannot be imported ({error}): pip install -r requirements.txt") from error
    # Off by default in recent versions; older ones look up every data set there and retry for minutes offline.
    with contextlib.suppress(ImportError):
        importlib.import_module("tensorflow_datasets.core.utils.gcs_utils")._is_gcs_disabled = True  # type: ignore[attr-defined]
    return tfds


@contextlib.contextmanager
def quiet_tfds(tfds: types.ModuleType) -> Iterator[None]:
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
