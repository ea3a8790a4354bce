"""When a mixture grows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from ocm_tf.errors import DivergedError
from ocm_tf.types import Logs

if TYPE_CHECKING:
    from ocm_tf.callbacks.memory_transfer import MemoryTransfer
    from ocm_tf.memory.cooperative_memory import CooperativeMemory
    from ocm_tf.memory.sample_buffer import SampleBuffer

REFERENCES = "on_expand", "every_round", "highest"


class Expansion(keras.callbacks.Callback):
    """Adds a component when the likelihood bound on the memories jumps  [OCM, Algorithm 2, Eq. 25].

    Each time the short-term memory is full, R_i is the importance-weighted bound of its samples and the long-term
    ones, averaged over all components and samples. The mixture grows if |R_i - R_last| exceeds the threshold; a jump
    upwards counts too. Then the long-term memory is cleared.

    Averaged over many components that know nothing of the present data, R_i hardly follows the one that learns them,
    and a component that gets better counts like one that meets something new. `components="best"` with
    `reference="highest"`, which are ours, is misled by neither.

    Put it behind `MemoryTransfer` in the list of callbacks: moving samples between the memories leaves R_i as it is
    (unless the moved ones replace others, `when_full="reservoir"`).

    Args:
        threshold: lambda_2 in the paper, in nats.
        reference: `"on_expand"`, R_last is set in the first round and at each expansion, as in the paper, or
            `"every_round"`, as in the authors' code, where slow drift never adds up, or `"highest"`, the highest R_i
            in the rounds after it, below which it must fall.
        check_every: number of rounds from one test to the next.
        num_samples: latent draws K of the bound.
        grey_input: whether the bound is fed grey values, as in the authors' code, though for these it is no likelihood
            of binary images. By default each sample is binarised.
        keep_transferred: a `MemoryTransfer` whose picks of the same round survive the clearing, so that the outcome is
            that of the authors' code, which expands first and transfers afterwards; None clears all, as in the paper.
        components: `"mean"`, R_i averages over components, as in the paper, or `"best"`, it takes for each sample the
            component with the highest bound.
        clear_long_term: whether an expansion clears the long-term memory.
        seed: seed of the latent draws and the binarisation.
    """

    def __init__(
        self,
        threshold: float = 10.0,
        reference: str = "on_expand",
        check_every: int = 1,
        num_samples: int = 1000,
        grey_input: bool = False,
        keep_transferred: MemoryTransfer | None = None,
        components: str = "mean",
        clear_long_term: bool = True,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if threshold <= 0 or check_every < 1:
            raise ValueError(f"threshold and check_every must be positive, got {threshold} and {check_every}.")
        if keep_transferred is not None and keep_transferred.when_full != "stop":
            raise ValueError("Picks that replace stored samples cannot outlast an expansion; use when_full='stop'.")
        if reference not in REFERENCES:
            raise ValueError(f"reference must be one of {', '.join(REFERENCES)}, got {reference!r}.")
        if components not in ("mean", "best"):
            raise ValueError(f"components must be 'mean' or 'best', got {components!r}.")
        self.threshold, self.reference, self.check_every = threshold, reference, check_every
        self.components, self.clear_long_term = components, clear_long_term
        self.num_samples, self.grey_input, self.keep_transferred = num_samples, grey_input, keep_transferred
        self.rng = np.random.default_rng(seed)
        self.num_rounds = 0
        self.last_bound: float | None = None
        self.bound: float | None = None
        self.expanded = False

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        self.bound, self.expanded = None, False
        memory = self.model.memory
        if not memory.short_term.is_full:
            return
        self.num_rounds += 1
        if self.num_rounds % self.check_every:
            return
        self.bound = self.mean_bound(memory)
        due, self.last_bound = expansion_due(self.bound, self.last_bound, self.threshold, self.reference)
        self.expanded = due and self.model.num_components < self.model.max_components
        if self.expanded:
            self.model.grow()
            if self.clear_long_term and memory.long_term is not None:
                self.clear(memory.long_term)

    def mean_bound(self, memory: CooperativeMemory) -> float:
        """Returns R_i: the bound of all samples in memory, averaged over samples and as `components` says, in nats."""
        # Departs from the paper: its formula for R_i could not be read. This is what the authors' code computes.
        images = np.asarray(memory.gather().images)
        seed = int(self.rng.integers(2**31))
        inputs = images if self.grey_input else np.asarray(self.model.binarised(images, seed))
        bounds = self.model.component_bounds(inputs, self.num_samples, seed=seed % 1000)
        return float((bounds.max(axis=1) if self.components == "best" else bounds).mean(dtype=np.float64))

    def clear(self, long_term: SampleBuffer) -> None:
        """Empties the long-term memory, but for the samples moved in this very round if they are to stay."""
        num_kept = 0
        if self.keep_transferred is not None and self.keep_transferred.last_round is not None:
            num_kept = len(self.keep_transferred.last_round.picked)
        kept = long_term.read().take(slice(len(long_term) - num_kept, None))
        long_term.clear()
        long_term.add(kept)

    def get_state(self) -> dict[str, Any]:
        """Returns what a resumed run needs to go on alike, as a dict for JSON."""
        return {
            "num_rounds": self.num_rounds,
            "last_bound": self.last_bound,
            "rng": self.rng.bit_generator.state,
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Takes up the state of `get_state`."""
        self.num_rounds, self.last_bound = state["num_rounds"], state["last_bound"]
        self.rng.bit_generator.state = state["rng"]


def expansion_due(
    bound: float, last_bound: float | None, threshold: float, reference: str = "on_expand"
) -> tuple[bool, float | None]:
    """Decides whether a mixture is to grow: `|R_i - R_last| > lambda_2`  [OCM, Eq. 25].

    Args:
        bound: R_i of this round, in nats.
        last_bound: R_last, or None where this round is the first to set it.
        threshold: lambda_2, in nats.
        reference: when R_last takes the value of R_i: `"on_expand"`, `"every_round"` or, where it is higher,
            `"highest"`, which forgets it at an expansion: the round after it measures the new component's first data.

    Returns:
        `(due, last_bound)`, with the R_last of the next round.

    Raises:
        DivergedError: if the bound is not finite.

    Example:
        >>> expansion_due(bound=-95.0, last_bound=-100.0, threshold=4.0)
        (True, -95.0)
        >>> expansion_due(bound=-97.0, last_bound=-100.0, threshold=4.0)
        (False, -100.0)
    """
    if not np.isfinite(bound):
        raise DivergedError(f"the bound on the memories is {bound}: the model has diverged; lower the learning rate")
    if last_bound is None:
        return False, bound
    if reference == "highest":
        highest = max(bound, last_bound)
        due = highest - bound > threshold
        return due, None if due else highest
    due = abs(bound - last_bound) > threshold
    return due, bound if due or reference == "every_round" else last_bound
