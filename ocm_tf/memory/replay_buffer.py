"""Samples, or latents, of earlier experiences."""

import numpy as np

from ocm_tf.memory.replay_rules import balanced_rows, overwritten_slots
from ocm_tf.types import Arrays

_COLUMNS = ("inputs", "labels", "experiences")


class ReplayBuffer:
    """Holds up to `capacity` inputs with their labels and the numbers of their experiences.

    Between experiences it changes, within one it does not: hence plain arrays, whose rows the training step is handed.
    It takes capacity * (bytes of an input + 8) bytes.

    Args:
        capacity: number of inputs.
        input_dtype: dtype in which inputs are kept; None keeps theirs. `"float16"` halves what latents need.
    """

    def __init__(self, capacity: int, input_dtype: str | None = None) -> None:
        if capacity < 0:
            raise ValueError(f"capacity must not be negative, got {capacity}.")
        self.capacity, self.input_dtype = capacity, input_dtype
        self.inputs = None
        self.labels = self.experiences = np.zeros(0, np.int32)

    def __len__(self) -> int:
        return len(self.labels)

    def add_balanced(
        self, inputs: np.ndarray, labels: np.ndarray, experience_index: int, rng: np.random.Generator
    ) -> None:
        """Takes in part of an experience such that all have equal room; see `balanced_rows`."""
        kept, taken = balanced_rows(self.experiences, len(labels), self.capacity, experience_index, rng)
        held = (self.labels[kept], self.experiences[kept])
        new = self._columns(inputs, labels, experience_index, taken)
        # Nothing is known of the inputs' shape before the first ones.
        self.inputs = new[0] if self.inputs is None else np.concatenate([self.inputs[kept], new[0]])
        self.labels, self.experiences = (np.concatenate(pair) for pair in zip(held, new[1:], strict=True))

    def overwrite(
        self, inputs: np.ndarray, labels: np.ndarray, experience_index: int, rng: np.random.Generator
    ) -> None:
        """Takes in part of an experience in place of random ones; see `overwritten_slots`."""
        slots, taken = overwritten_slots(len(self), len(labels), self.capacity, experience_index, rng)
        new = self._columns(inputs, labels, experience_index, taken)
        if experience_index == 0:
            self.inputs, self.labels, self.experiences = new
            return
        for name, values in zip(_COLUMNS, new, strict=True):
            getattr(self, name)[slots] = values

    def _columns(self, inputs, labels, experience_index, rows):
        experiences = np.full(len(rows), experience_index, np.int32)
        return inputs[rows].astype(self.input_dtype or inputs.dtype), labels[rows].astype(np.int32), experiences

    @property
    def num_bytes(self) -> int:
        """Bytes of all arrays."""
        return sum(array.nbytes for array in self.arrays().values())

    def arrays(self) -> Arrays:
        """Returns the state, `{name: array}`; empty before the first experience."""
        return {} if self.inputs is None else {name: getattr(self, name) for name in _COLUMNS}

    def set_arrays(self, arrays: Arrays) -> None:
        """Takes up the state of `arrays`.

        Raises:
            ValueError: if there are more inputs than the buffer may hold.
        """
        if arrays and len(arrays["labels"]) > self.capacity:
            raise ValueError(
                f"capacity must be at least {len(arrays['labels'])} for these arrays, got {self.capacity}."
            )
        for name, array in arrays.items():
            setattr(self, name, np.asarray(array))
