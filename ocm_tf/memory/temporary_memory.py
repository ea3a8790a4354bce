"""The memory of what has come lately."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from ocm_tf.memory.overflow_rules import OVERFLOW_POLICIES, kept_rows
from ocm_tf.memory.sample_buffer import SampleBuffer

if TYPE_CHECKING:
    from ocm_tf.memory.sample_buffer import Samples


@keras.saving.register_keras_serializable(package="ocm_tf")
class TemporaryMemory(SampleBuffer):
    """Holds recent samples up to a capacity, and beyond it the newest batch until it is cut back  [DEMC].

    A model so trains on every arriving batch, even on samples that do not stay. Between two batches a callback may look
    at an overfull memory and empty it; otherwise the next batch cuts it back first. With `policy="reservoir"` and no
    such callback it is a uniform sample of the whole stream, the baseline of every other rule.

    Args:
        capacity: most samples that stay, C_t in DEMC.
        sample_shape: shape of one sample.
        batch_size: size of the arriving batches; never more than `capacity`.
        policy: which samples stay, one of `OVERFLOW_POLICIES`. The authors' code has `"recent_random"`, the paper
            speaks of reservoir sampling.
        seed: seed of the random choice.
        **kwargs: as for `SampleBuffer`.
    """

    def __init__(
        self,
        capacity: int,
        sample_shape: Sequence[int],
        batch_size: int,
        policy: str = "recent_random",
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        if not 1 <= batch_size <= capacity:
            raise ValueError(f"batch_size must lie in 1..capacity={capacity}, got {batch_size}.")
        if policy not in OVERFLOW_POLICIES:
            raise ValueError(f"policy must be one of {OVERFLOW_POLICIES}, got {policy!r}.")
        super().__init__(capacity, sample_shape, spare_rows=batch_size, **kwargs)
        self.batch_size, self.policy, self.seed = batch_size, policy, seed
        self.seed_generator = keras.random.SeedGenerator(seed)

        def counter(name):
            return self.add_weight(name=name, shape=(), dtype="int32", initializer="zeros", trainable=False)

        self.num_offered, self.num_newest = counter("num_offered"), counter("num_newest")
        self.num_discarded = counter("num_discarded")

    @property
    def counters(self) -> dict[str, keras.Variable]:
        """The weights that count: offered since the memory was empty, in the newest batch, discarded ever."""
        return {name: getattr(self, name) for name in ("num_offered", "num_newest", "num_discarded")}

    @property
    def is_full(self) -> bool:
        """Whether the newest batch is beyond the capacity, so that samples are about to be discarded."""
        return len(self) > self.capacity

    def append(self, samples: Samples) -> None:
        """Cuts the memory back and writes a batch behind what stays; works inside a graph."""
        self.trim()
        super().append(samples)
        num_new = tf.shape(samples.positions)[0]
        self.num_newest.assign(num_new)
        self.num_offered.assign(self.num_offered + num_new)

    def trim(self) -> None:
        """Cuts the memory back to its capacity if it holds more; works inside a graph."""
        num_held = tf.identity(self.count.value)
        rows = tf.cond(
            num_held > self.capacity,
            lambda: kept_rows(self.policy, num_held, self.capacity, self.num_offered.value, self.seed_generator),
            lambda: tf.range(self.capacity),
        )
        # Rows behind those in use must keep a value, any value.
        rows = tf.concat([rows, tf.range(self.capacity, self.num_rows)], axis=0)
        for column in self.columns:
            column.assign(tf.gather(column.value, rows))
        num_kept = tf.minimum(num_held, self.capacity)
        self.count.assign(num_kept)
        self.num_discarded.assign(self.num_discarded + num_held - num_kept)

    def pop(self, indices: np.ndarray) -> Samples:
        counts = {name: int(counter.numpy()) for name, counter in self.counters.items()}
        counts["num_newest"] -= int(np.count_nonzero(np.asarray(indices) >= len(self) - counts["num_newest"]))
        popped = super().pop(indices)
        # Taking samples out, as other rules do, leaves untouched what was offered and discarded.
        for name, counter in self.counters.items():
            counter.assign(counts[name])
        return popped

    def restart(self, kept: np.ndarray, num_moved: int = 0) -> None:
        """Empties the memory but for some samples, and counts the offered ones anew.

        Args:
            kept: int array of rows that stay.
            num_moved: how many of the others went elsewhere and so are not discarded.
        """
        held = self.read()
        num_discarded = int(self.num_discarded.numpy()) + len(held.positions) - len(kept) - num_moved
        self.clear()
        self.add(held.take(kept))
        self.num_discarded.assign(num_discarded)

    def clear(self) -> None:
        super().clear()
        for counter in self.counters.values():
            counter.assign(0)

    def save_own_variables(self, store: MutableMapping[str, Any]) -> None:
        super().save_own_variables(store)
        for name, counter in self.counters.items():
            store[name] = counter.numpy()

    def load_own_variables(self, store: MutableMapping[str, Any]) -> None:
        super().load_own_variables(store)
        for name, counter in self.counters.items():
            counter.assign(int(store[name][()]))

    def get_config(self) -> dict[str, Any]:
        own = {"batch_size": self.batch_size, "policy": self.policy, "seed": self.seed}
        config = {**super().get_config(), **own}
        del config["spare_rows"]
        return config
