"""What classifiers that replay earlier experiences have in common."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from ocm_tf.memory import ReplayBuffer, released_batch_split, replayed_rows
from ocm_tf.models.continual_classifier import ContinualClassifier
from ocm_tf.types import Arrays

REPLAY_LOSSES = ("concat", "balanced")
BATCH_SPLITS = ("constant", "released")


class ReplayClassifier(ContinualClassifier):
    """Puts rows of a replay buffer beside those of the experience in every minibatch.

    The loss of a minibatch with i earlier experiences is, from `replay_loss`:

        "concat": the mean cross-entropy over all its samples  [GLR code]
        "balanced": (L_i + sum over j < i of L_j) / (i + 1)  [GLR, Algorithm 1, with the means it names]

    where L_j is the mean over samples of experience j; over one minibatch it is estimated without bias from those it
    holds.

    Args:
        backbone: as for `ContinualClassifier`.
        head: as for `ContinualClassifier`.
        buffer_size: number of samples of the replay, M.
        replay_batch_size: replayed samples in a minibatch beside the `batch_size` own; None takes as many. So the
            share of replay does not depend on the buffer's size.
        batch_split: `"released"` splits `batch_size` as the authors' code does instead, where M sets the share, also
            that of the first experience's minibatches; see `released_batch_split`.
        replay_loss: one of `REPLAY_LOSSES`.
        shuffle_replay: whether each round of the buffer is shuffled; if not, every epoch replays alike.
        **kwargs: as for `ContinualClassifier`.
    """

    def __init__(
        self,
        backbone: keras.Model,
        head: keras.Model,
        buffer_size: int,
        replay_batch_size: int | None = None,
        batch_split: str = "constant",
        replay_loss: str = "concat",
        shuffle_replay: bool = True,
        input_dtype: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(backbone, head, **kwargs)
        if batch_split not in BATCH_SPLITS:
            raise ValueError(f"batch_split must be one of {BATCH_SPLITS}, got {batch_split!r}.")
        if replay_loss not in REPLAY_LOSSES:
            raise ValueError(f"replay_loss must be one of {REPLAY_LOSSES}, got {replay_loss!r}.")
        if replay_batch_size is not None and replay_batch_size < 1:
            raise ValueError(f"replay_batch_size must be at least 1, got {replay_batch_size}.")
        self.buffer_size, self.replay_batch_size = buffer_size, replay_batch_size
        self.split_rule, self.replay_loss, self.shuffle_replay = batch_split, replay_loss, shuffle_replay
        self.buffer = ReplayBuffer(buffer_size, input_dtype)

    def replay_shares(self) -> np.ndarray:
        """Returns the share of each earlier experience in the replay, a float array; empty if there is none."""
        if len(self.buffer) == 0:
            return np.zeros(0)
        return np.bincount(self.buffer.experiences, minlength=self.experience_index) / len(self.buffer)

    def batch_split(self) -> tuple[int, int]:
        # Departs from the paper: in its code the size of the buffer sets the share of replay, and both are mixed up.
        own, replayed = self.batch_size, self.replay_batch_size or self.batch_size
        if self.split_rule == "released":
            own, replayed = released_batch_split(len(self._labels), self.buffer_size, self.batch_size)
        return own, replayed if len(self.replay_shares()) else 0

    def replay_for_epoch(
        self, num_wanted: int, rng: np.random.Generator
    ) -> Callable[[int, int], tuple[np.ndarray, ...]]:
        if num_wanted == 0:
            return super().replay_for_epoch(num_wanted, rng)
        return rounds_of(self.buffer, num_wanted, rng if self.shuffle_replay else None)

    def minibatch_weights(
        self, num_current: np.ndarray, num_replayed: int, experiences: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        if self.replay_loss == "concat" or num_replayed == 0:
            return super().minibatch_weights(num_current, num_replayed, experiences)
        present = self.replay_shares()
        num_means = 1 + np.count_nonzero(present)
        return (
            np.repeat(1 / (num_means * num_current), num_current),
            1 / (num_means * num_replayed * present[experiences]),
        )

    def state_arrays(self) -> Arrays:
        return {f"buffer_{name}": array for name, array in self.buffer.arrays().items()}

    def set_state_arrays(self, arrays: Arrays) -> None:
        self.buffer.set_arrays({name.removeprefix("buffer_"): array for name, array in arrays.items()})

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "buffer_size": self.buffer_size,
            "replay_batch_size": self.replay_batch_size,
            "batch_split": self.split_rule,
            "replay_loss": self.replay_loss,
            "shuffle_replay": self.shuffle_replay,
        }


def rounds_of(
    buffer: ReplayBuffer, num_wanted: int, rng: np.random.Generator
) -> Callable[[int, int], tuple[np.ndarray, ...]]:
    """Returns `take(first, last)` for an epoch that goes round and round a buffer; see `replayed_rows`."""
    rows = replayed_rows(len(buffer), num_wanted, rng)
    return lambda first, last: tuple(
        column[rows[first:last]] for column in (buffer.inputs, buffer.labels, buffer.experiences)
    )
