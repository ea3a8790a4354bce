"""When samples move from the short-term to the long-term memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import keras
import numpy as np

from ocm_tf.memory.kernels import KERNELS, kernel_scores
from ocm_tf.memory.selection import SELECTIONS, select_samples
from ocm_tf.types import Logs

if TYPE_CHECKING:
    from ocm_tf.memory.cooperative_memory import CooperativeMemory


class TransferRound(NamedTuple):
    """What one round of selection saw and did.

    Attributes:
        batch: number of stream batches seen, counting this one.
        scores: float array, the score of each short-term sample.
        picked: int array, indices of the samples moved, best first.
    """

    batch: int
    scores: np.ndarray
    picked: np.ndarray


class MemoryTransfer(keras.callbacks.Callback):
    """Moves samples to the long-term memory each time the short-term memory is full  [OCM, Algorithm 2, Eqs. 20-23].

    A sample's score is the mean kernel similarity of its posterior mean to those of the long-term samples. The paper
    keeps samples whose score is *above* a threshold, which are the similar ones, although it speaks of diversity;
    `selection` offers the opposite and a random pick.

    Args:
        selection: `"similar"` (as published), `"dissimilar"` or `"random"`.
        kernel: `"rbf"` (the paper), `"laplace_code"` (the authors' code) or `"cosine"`.
        alpha: width of the kernel.
        threshold: bound on the score, lambda_1 in the paper; None lets all pass.
        max_transferred: most samples moved in a round; None sets no limit.
        long_term_limit: size of the long-term memory from which on `when_full` applies. It is looked at before a
            round, so that the memory may end up to `max_transferred - 1` above it.
        when_full: `"stop"` moves no more; `"reservoir"` lets the picked samples replace random stored ones, such that
            all samples ever picked have an equal chance to be in memory.
        skip_first_round: whether the first round moves nothing, as in the authors' code.
        features: `"concat"`, the features of all components side by side, or `"last"`, the newest component's.
        scale_distance: whether squared distances are divided by the number of components. Concatenated features
            otherwise grow apart with each component, until no score passes the threshold.
        resample: whether features are computed on a fresh Bernoulli draw, as in the authors' code. By default they
            are computed on the grey values, so that scores carry no noise.
        seed: seed of random picks and draws.
    """

    def __init__(
        self,
        selection: str = "similar",
        kernel: str = "rbf",
        alpha: float = 10.0,
        threshold: float | None = 0.6,
        max_transferred: int | None = 15,
        long_term_limit: int = 2048,
        when_full: str = "stop",
        skip_first_round: bool = True,
        features: str = "concat",
        scale_distance: bool = False,
        resample: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__()
        for name, value, allowed in (
            ("selection", selection, SELECTIONS),
            ("kernel", kernel, tuple(KERNELS)),
            ("when_full", when_full, ("stop", "reservoir")),
            ("features", features, ("concat", "last")),
        ):
            if value not in allowed:
                raise ValueError(f"{name} must be one of {allowed}, got {value!r}.")
        if alpha <= 0 or long_term_limit < 1:
            raise ValueError(f"alpha and long_term_limit must be positive, got {alpha} and {long_term_limit}.")
        if max_transferred is not None and max_transferred < 0:
            raise ValueError(f"max_transferred must not be negative, got {max_transferred}.")
        self.selection, self.kernel, self.alpha, self.threshold = selection, kernel, alpha, threshold
        self.max_transferred, self.long_term_limit, self.when_full = max_transferred, long_term_limit, when_full
        self.skip_first_round, self.features, self.scale_distance = skip_first_round, features, scale_distance
        self.resample = resample
        self.rng = np.random.default_rng(seed)
        self.num_batches = self.num_rounds = self.num_offered = 0
        self.last_round: TransferRound | None = None

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        self.num_batches += 1
        self.last_round = None
        memory = self.model.memory
        if not memory.short_term.is_full:
            return
        scores = self.score(memory)
        picked = self.pick(scores, len(memory.long_term))
        self.move(memory, picked)
        self.num_rounds += 1
        self.last_round = TransferRound(self.num_batches, scores, picked)

    def score(self, memory: CooperativeMemory) -> np.ndarray:
        """Returns the score of each short-term sample, a float array."""
        short_term, long_term = memory.short_term.read(), memory.long_term.read()
        images = np.concatenate([short_term.images, long_term.images])
        if self.resample:
            images = np.asarray(self.model.binarised(images, int(self.rng.integers(2**31))))
        features = self.model.features(images, self.features)
        num_short = len(short_term.positions)
        scale = 1.0 / self.model.num_components if self.scale_distance else 1.0
        return kernel_scores(features[:num_short], features[num_short:], self.kernel, self.alpha, scale)

    def pick(self, scores: np.ndarray, num_stored: int) -> np.ndarray:
        """Returns the indices of the samples to move, an int array, best first."""
        # Departs from the paper: its algorithm moves samples in the first round too. The authors' code moves none then,
        # and the published sizes of the long-term memory follow only so.
        skipped = self.skip_first_round and self.num_rounds == 0
        if skipped or (num_stored >= self.long_term_limit and self.when_full == "stop"):
            return np.zeros(0, np.int64)
        return select_samples(scores, self.selection, self.threshold, self.max_transferred, self.rng)

    def move(self, memory: CooperativeMemory, picked: np.ndarray) -> None:
        """Takes the picked samples out of the short-term memory and stores them in the long-term one."""
        samples, long_term = memory.short_term.pop(picked), memory.long_term
        if len(long_term) < self.long_term_limit:
            long_term.add(samples)
            # The batch that seeded the memory was offered too; an expansion that cleared it starts the count anew.
            self.num_offered = len(long_term)
        else:
            long_term.offer(samples, self.num_offered, len(long_term), self.rng)
            self.num_offered += len(picked)

    def get_state(self) -> dict[str, Any]:
        """Returns what a resumed run needs to go on alike, as a dict for JSON."""
        counts = {name: getattr(self, name) for name in ("num_batches", "num_rounds", "num_offered")}
        return {**counts, "rng": self.rng.bit_generator.state}

    def set_state(self, state: dict[str, Any]) -> None:
        """Takes up the state of `get_state`."""
        for name in ("num_batches", "num_rounds", "num_offered"):
            setattr(self, name, state[name])
        self.rng.bit_generator.state = state["rng"]
