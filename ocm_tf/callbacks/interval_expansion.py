"""Growth by the clock, to hold energy against."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ocm_tf.callbacks.energy_expansion import EnergyExpansion

if TYPE_CHECKING:
    from ocm_tf.memory.sliding_memory import SlidingMemory


class IntervalExpansion(EnergyExpansion):
    """Adds a component at every `interval`-th time that the sliding memory is over capacity, whatever it holds.

    Args:
        interval: number of times; they are counted anew after each expansion, and the first time adds one always.
        **kwargs: as for `EnergyExpansion`.
    """

    def __init__(self, interval: int, **kwargs: Any) -> None:
        super().__init__(threshold=0.0, **kwargs)
        if interval < 1:
            raise ValueError(f"interval must be at least 1, got {interval}.")
        self.interval, self.num_full = interval, 0

    def is_due(self, memory: SlidingMemory, seed: int) -> bool:
        self.num_full += 1
        due = self.model.num_components == 1 or self.num_full >= self.interval
        self.num_full = 0 if due else self.num_full
        return due

    def get_state(self) -> dict[str, Any]:
        return {**super().get_state(), "num_full": self.num_full}

    def set_state(self, state: dict[str, Any]) -> None:
        super().set_state(state)
        self.num_full = state["num_full"]
