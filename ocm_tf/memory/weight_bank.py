"""Frozen copies of a layer's weights, stacked."""

from collections.abc import MutableMapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ocm_tf.types import Tensor


@keras.saving.register_keras_serializable(package="ocm_tf")
class WeightBank(keras.layers.Layer):
    """Stores the weights of up to `capacity` frozen copies of one set of layers.

    A built Keras model takes no new layer and its optimizer no new variable. So a model that grows keeps one set of
    layers that train (the templates) and puts aside their weights here: nothing is traced again, and saving works as
    for any other weight (a `.keras` file holds only the copies in use).

    Args:
        capacity: most copies; 0 is allowed and stores none.
        **kwargs: as for `keras.layers.Layer`.
    """

    def __init__(self, capacity: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if capacity < 0:
            raise ValueError(f"capacity must not be negative, got {capacity}.")
        self.capacity = capacity

    def allocate(self, variables: Sequence[keras.Variable]) -> None:
        """Makes one stack for each variable of the templates, of its shape and dtype."""
        self.count = self.add_weight(name="count", shape=(), dtype="int32", initializer="zeros", trainable=False)
        self.stacks = [
            self.add_weight(
                name=f"stack_{i}",
                shape=(self.capacity, *variable.shape),
                dtype=variable.dtype,
                initializer="zeros",
                trainable=False,
            )
            for i, variable in enumerate(variables)
        ]
        self.built = True

    def __len__(self) -> int:
        return int(self.count.numpy())

    def store(self, variables: Sequence[keras.Variable]) -> None:
        """Puts aside a copy of the templates' variables, in the order of `allocate`.

        Raises:
            ValueError: if the bank is full. (A CPU raises on an index out of bounds, a GPU ignores it.)
        """
        index = len(self)
        if index >= self.capacity:
            raise ValueError(f"The bank holds {self.capacity} copies already; build the model with more.")
        for stack, variable in zip(self.stacks, variables, strict=True):
            # Not `stack.value[index].assign`, which would reach one device of a mirrored stack alone.
            stack.assign(tf.tensor_scatter_nd_update(stack.value, [[index]], tf.convert_to_tensor(variable)[None]))
        self.count.assign(index + 1)

    def clear(self) -> None:
        """Gives up all copies, so that the next one is stored in the first place."""
        self.count.assign(0)

    def read(self, index: Tensor) -> list[Tensor]:
        """Returns the weights of copy `index` (an int or an int tensor) as tensors; works inside a graph."""
        # A gather copies one row.
        return [tf.gather(stack.value, index) for stack in self.stacks]

    def save_own_variables(self, store: MutableMapping[str, Any]) -> None:
        count = len(self)
        store["count"] = np.int32(count)
        for i, stack in enumerate(self.stacks):
            store[f"stack_{i}"] = stack.numpy()[:count]

    def load_own_variables(self, store: MutableMapping[str, Any]) -> None:
        count = int(store["count"][()])
        if count > self.capacity:
            raise ValueError(f"The file holds {count} frozen components, the model has room for {self.capacity}.")
        for i, stack in enumerate(self.stacks):
            values = np.zeros(stack.shape, stack.dtype)
            values[:count] = store[f"stack_{i}"]
            stack.assign(values)
        self.count.assign(count)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "capacity": self.capacity}
