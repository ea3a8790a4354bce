"""The start of weights that PyTorch gives its layers, for networks whose published results began there."""

import itertools
import math
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np


def seed_sequence(seed: int | None) -> Iterator[int | None]:
    """Yields seeds for one layer after the other: distinct numbers that follow from `seed`, or None for ever."""
    if seed is None:
        return itertools.repeat(None)
    return (int(child.generate_state(1)[0] >> 1) for child in _children(np.random.SeedSequence(seed)))


def _children(sequence):
    while True:
        yield from sequence.spawn(1)


def fan_in_uniform(fan_in: int, seeds: Iterator[int | None]) -> dict[str, Any]:
    """Returns initializers of a layer's kernel and bias, both uniform in +-1 / sqrt(fan_in).

    Args:
        fan_in: number of inputs of one unit.
        seeds: iterator of seeds, such as `seed_sequence` makes; two are taken.

    Returns:
        dict with `kernel_initializer` and `bias_initializer`, keyword arguments of a Keras layer.
    """
    limit = 1 / math.sqrt(fan_in)
    kernel = keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform", seed=next(seeds))
    bias = keras.initializers.RandomUniform(-limit, limit, seed=next(seeds))
    return {"kernel_initializer": kernel, "bias_initializer": bias}
