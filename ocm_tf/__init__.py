"""Task-free and class-incremental continual learning in Keras 3 and TensorFlow."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras

__version__ = "0.1.0"

__all__ = ["__version__", "load_model"]


def load_model(path: str | os.PathLike[str]) -> keras.Model:
    """Loads a saved model of any kind.

    Args:
        path: a run directory, or a `.keras` file.

    Returns:
        The Keras model, compiled, with its memory; it can `generate(n)`, `reconstruct(x)`, `log_likelihood(x)` or
        `predict(x)`, whichever its kind has.

    Raises:
        UserError: if there is no such file, or it is not a model of this library.
    """
    # TensorFlow takes seconds to import; `import ocm_tf` alone should not.
    from ocm_tf.models.loading import load

    return load(path)
