"""Names for types that many annotations share; docstrings give shapes and dtypes."""

import os
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

__all__ = [
    "Array",
    "ArrayLike",
    "Arrays",
    "LabelledImages",
    "Logs",
    "PathLike",
    "Shape",
    "Tensor",
    "TrainingData",
]

# Whatever `keras.ops` takes and gives: Keras and TensorFlow have no complete types of their own to check against.
Tensor: TypeAlias = Any
# A NumPy array, a tensor or a variable.
Array: TypeAlias = Any
# As layers are told it: None where a dimension is not known.
Shape: TypeAlias = tuple[int | None, ...]
# What Keras hands to callbacks.
Logs: TypeAlias = dict[str, Any] | None
Arrays: TypeAlias = dict[str, np.ndarray]
PathLike: TypeAlias = str | os.PathLike[str]


class LabelledImages(Protocol):
    """Anything with images and labels, such as a `Split`."""

    @property
    def images(self) -> np.ndarray:
        """uint8 array of shape `(n, height, width, channels)`."""

    @property
    def labels(self) -> np.ndarray:
        """Int array of shape `(n,)`."""


class TrainingData(Protocol):
    """Anything with training samples, such as an `Experience`."""

    @property
    def train(self) -> LabelledImages:
        """The samples to learn from."""
