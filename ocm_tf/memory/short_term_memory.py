"""The memory of the newest samples."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from ocm_tf.memory.sample_buffer import SampleBuffer

if TYPE_CHECKING:
    from ocm_tf.memory.sample_buffer import Samples


@keras.saving.register_keras_serializable(package="ocm_tf")
class ShortTermMemory(SampleBuffer):
    """Collects arriving batches until it is full; the batch after that starts it anew.

    While it is full, between two batches, callbacks may look at it and take samples out. What is left when the next
    batch arrives is discarded  [OCM, Algorithm 2: E = {}].

    Args:
        capacity: number of samples M at which it is full.
        sample_shape: shape of one sample.
        batch_size: size of the arriving batches; never more than `capacity`.
        trigger: `"ge"`, full from `capacity` samples on, as in the paper, or `"gt"`, full above it, as in the
            authors' code (which so holds up to `capacity + batch_size` samples).
        **kwargs: as for `SampleBuffer`.
    """

    def __init__(
        self, capacity: int, sample_shape: Sequence[int], batch_size: int, trigger: str = "ge", **kwargs: Any
    ) -> None:
        if not 1 <= batch_size <= capacity:
            raise ValueError(f"batch_size must lie in 1..capacity={capacity}, got {batch_size}.")
        if trigger not in ("ge", "gt"):
            raise ValueError(f"trigger must be 'ge' or 'gt', got {trigger!r}.")
        # The batch that fills the memory is taken whole.
        super().__init__(capacity, sample_shape, spare_rows=batch_size, **kwargs)
        self.batch_size, self.trigger = batch_size, trigger
        self.full = self.add_weight(name="full", shape=(), dtype="bool", initializer="zeros", trainable=False)

    def append(self, samples: Samples) -> None:
        """Starts anew if full, writes a batch and notes whether the memory is full now; works inside a graph."""
        self.count.assign(tf.where(self.full.value, 0, self.count.value))
        super().append(samples)
        is_full = self.count >= self.capacity if self.trigger == "ge" else self.count > self.capacity
        self.full.assign(is_full)

    @property
    def is_full(self) -> bool:
        """Whether a round is due: the memory is full and the next batch will start it anew."""
        return bool(self.full.numpy())

    def pop(self, indices: np.ndarray) -> Samples:
        was_full = self.is_full
        popped = super().pop(indices)
        # Taking samples out does not end the round: other callbacks still have to see it.
        self.full.assign(was_full)
        return popped

    def clear(self) -> None:
        super().clear()
        self.full.assign(False)

    def save_own_variables(self, store: MutableMapping[str, Any]) -> None:
        super().save_own_variables(store)
        store["full"] = self.full.numpy()

    def load_own_variables(self, store: MutableMapping[str, Any]) -> None:
        super().load_own_variables(store)
        self.full.assign(bool(store["full"][()]))

    def get_config(self) -> dict[str, Any]:
        config = {**super().get_config(), "batch_size": self.batch_size, "trigger": self.trigger}
        del config["spare_rows"]
        return config
