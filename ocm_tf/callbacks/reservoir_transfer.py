"""A long-term memory that is a uniform sample of all that has been seen."""

from typing import Any

import keras
import numpy as np

from ocm_tf.types import Logs


class ReservoirTransfer(keras.callbacks.Callback):
    """Offers a copy of every arriving batch to the long-term memory by reservoir sampling.

    The baseline that each rule for choosing samples has to beat: no kernel, no label, no boundary.

    Args:
        capacity: number of samples kept.
        seed: seed of the random choice.
    """

    def __init__(self, capacity: int, seed: int = 0) -> None:
        super().__init__()
        if capacity < 1:
            raise ValueError(f"capacity must be at least 1, got {capacity}.")
        self.capacity = capacity
        self.rng = np.random.default_rng(seed)
        self.num_seen = self.num_offered = 0

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        memory = self.model.memory
        if len(memory.long_term) == 0:
            # An expansion has cleared it: from here on it is a sample of what comes after.
            self.num_offered = 0
        newest = memory.short_term.read()
        # A first batch that the short-term memory holds twice is offered once.
        positions, rows = np.unique(newest.positions, return_index=True)
        newest = newest.take(rows[positions >= self.num_seen])
        memory.long_term.offer(newest, self.num_offered, self.capacity, self.rng)
        self.num_offered += len(newest.positions)
        self.num_seen += len(newest.positions)

    def get_state(self) -> dict[str, Any]:
        """Returns what a resumed run needs to go on alike, as a dict for JSON."""
        counts = {"num_seen": self.num_seen, "num_offered": self.num_offered}
        return {**counts, "rng": self.rng.bit_generator.state}

    def set_state(self, state: dict[str, Any]) -> None:
        """Takes up the state of `get_state`."""
        self.num_seen, self.num_offered = state["num_seen"], state["num_offered"]
        self.rng.bit_generator.state = state["rng"]
