"""Loads saved models with a clear word when a file is not one."""

import warnings
import zipfile
from pathlib import Path

import keras

# Registers every class that a file may name.
import ocm_tf.memory
import ocm_tf.models
import ocm_tf.networks
import ocm_tf.optimizers  # noqa: F401
from ocm_tf.errors import UserError
from ocm_tf.types import PathLike

_SURELY_HELD, _MAX_RATIO = 2**26, 100


def load(path: PathLike) -> keras.Model:
    """Loads a model; see `ocm_tf.load_model`."""
    path = Path(path)
    file = path / "model.keras" if path.is_dir() else path
    if not file.is_file():
        hint = " (the run has not finished?)" if path.is_dir() else ""
        raise UserError(f"There is no model file {file}{hint}.")
    if file.suffix != ".keras":
        raise UserError(f"{file} is not a .keras file.")
    try:
        _refuse_bomb(file)
        # A weight that finds no value in the file would keep its random start with no more than a warning.
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message=".*(not loaded|skipping|Skipping|not been loaded).*")
            return keras.saving.load_model(file, safe_mode=True)
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(f"{file} does not hold a model that this version can load: {reason}") from error


def _refuse_bomb(file):
    # Keras stores without compression; what unpacks to far more than the file was made to exhaust memory.
    with zipfile.ZipFile(file) as archive:
        num_bytes = sum(member.file_size for member in archive.infolist())
    if num_bytes > max(_SURELY_HELD, _MAX_RATIO * file.stat().st_size):
        raise ValueError(f"it unpacks to {num_bytes} bytes, more than {_MAX_RATIO} times its size")
