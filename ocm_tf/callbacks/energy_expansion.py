"""When a model grows whose components tell how novel images are by an energy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import keras
import numpy as np

from ocm_tf.errors import DivergedError
from ocm_tf.types import ArrayLike, Logs

if TYPE_CHECKING:
    from ocm_tf.memory.sliding_memory import SlidingMemory

BLOCKS = ("newest", "second_newest", "all")


class EnergyExpansion(keras.callbacks.Callback):
    """Adds a component when the images in a full sliding memory are new to all earlier ones  [TFDSViT].

    Each time the memory is over capacity: the model grows if min_i E_i > threshold, and the memory is emptied;
    otherwise the oldest samples are dropped. E_i is the mean squared reconstruction error of component i on a block of
    the memory, summed over pixels. The first time there is nothing to compare with, and the model grows. No label is
    used.

    A model that has all the components it may have only drops samples.

    Args:
        threshold: tau, in squared error summed over pixels, so that no value fits two data sets; `"auto"` takes 1.5
            times the 95th percentile of the energies of the first component on blocks of the samples that the memory
            held back from training, when it is first full.
        scale: factor on the threshold, to try several where it is automatic.
        block_size: samples in a block.
        block: `"newest"`; `"second_newest"`, as in the authors' code for MNIST and CIFAR10; or `"all"`, the mean over
            all whole blocks, as in that for CIFAR100.
        include_current: whether the component that trains is compared too, as in the authors' code for CIFAR100. It
            has learned the block, so that the test is then one of convergence.
        num_dropped: number of samples dropped from a full memory.
        seed: seed of the codes drawn.

    Attributes:
        energy: the lowest energy in the latest batch, None if there was no test.
        expanded: whether the model grew after the latest batch.
    """

    def __init__(
        self,
        threshold: float | Literal["auto"] = "auto",
        scale: float = 1.0,
        block_size: int = 64,
        block: str = "newest",
        include_current: bool = False,
        num_dropped: int = 64,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if threshold != "auto" and not threshold >= 0:
            raise ValueError(f"threshold must be 'auto' or not negative, got {threshold!r}.")
        if not scale >= 0:
            raise ValueError(f"scale must not be negative, got {scale!r}.")
        if block not in BLOCKS:
            raise ValueError(f"block must be one of {BLOCKS}, got {block!r}.")
        if block_size < 1 or num_dropped < 1:
            raise ValueError(f"block_size and num_dropped must be at least 1, got {block_size} and {num_dropped}.")
        self.threshold, self.scale, self.block_size, self.block = threshold, scale, block_size, block
        self.include_current, self.num_dropped = include_current, num_dropped
        self.rng = np.random.default_rng(seed)
        self.energy: float | None = None
        self.expanded = False

    @property
    def tau(self) -> float | None:
        """The value that energies are compared with, None before it is known."""
        return None if self.threshold == "auto" else self.scale * self.threshold

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        self.energy, self.expanded = None, False
        memory = self.model.memory
        if not memory.is_full:
            return
        seed = int(self.rng.integers(2**31))
        if self.threshold == "auto":
            self.threshold = self.calibrated(memory, seed)
            memory.release()
        due = self.is_due(memory, seed)
        self.expanded = due and self.model.num_components < self.model.max_components
        if self.expanded:
            self.model.grow()
            memory.clear()
        else:
            memory.drop_oldest(max(self.num_dropped, len(memory) - memory.capacity))

    def is_due(self, memory: SlidingMemory, seed: int) -> bool:
        """Tells whether the images in memory are new to the model, and notes their energy."""
        if self.model.num_components == 1:
            return True
        compared = self.model.num_components if self.include_current else self.model.num_components - 1
        energies = self.model.energies(self.block_of(memory), compared, seed)
        due, self.energy = energy_due(energies, self.tau)
        return due

    def block_of(self, memory: SlidingMemory) -> np.ndarray:
        """Returns the images that are tested."""
        if self.block == "all":
            # Whole blocks, the newest; the mean over them is the mean of their means.
            return memory.newest(len(memory) // self.block_size * self.block_size).images
        return memory.newest(self.block_size, self.block_size if self.block == "second_newest" else 0).images

    def calibrated(self, memory: SlidingMemory, seed: int) -> float:
        """Returns the threshold that follows from the energies of the first component on samples it has not seen.

        Raises:
            ValueError: if the memory held none back.
        """
        num_held_back = int(memory.num_held_back.numpy())
        if num_held_back == 0:
            raise ValueError("threshold='auto' needs samples that training was not given; set held_back of the memory.")
        errors, _ = self.model.losses_of(memory.newest(num_held_back).images, seed=seed, components=[0])
        return automatic_threshold(errors[:, 0], self.block_size, np.random.default_rng(seed))

    def get_state(self) -> dict[str, Any]:
        """Returns what a resumed run needs to go on alike, as a dict for JSON."""
        return {"threshold": self.threshold, "rng": self.rng.bit_generator.state}

    def set_state(self, state: dict[str, Any]) -> None:
        """Takes up the state of `get_state`."""
        self.threshold = state["threshold"]
        self.rng.bit_generator.state = state["rng"]


def energy_due(energies: ArrayLike, threshold: float) -> tuple[bool, float]:
    """Decides whether a model is to grow: `min_i E_i > threshold`.

    Args:
        energies: float array, the energy of each compared component.
        threshold: tau.

    Returns:
        `(due, energy)`, with the lowest energy.

    Raises:
        DivergedError: if an energy is not finite.

    Example:
        >>> energy_due([3.0, 5.0], threshold=2.5)
        (True, 3.0)
    """
    energies = np.asarray(energies, np.float64)
    if not np.isfinite(energies).all():
        raise DivergedError("the energy of a component is not finite: the model has diverged; lower the learning rate")
    lowest = float(energies.min())
    return lowest > threshold, lowest


def automatic_threshold(errors: ArrayLike, block_size: int, rng: np.random.Generator, num_blocks: int = 1000) -> float:
    """Computes a threshold from the errors of a component on images like those it learned.

    threshold = 1.5 * percentile(energies, 95)

    The energies are the mean errors of blocks drawn from the images with replacement, as there are few images.

    Args:
        errors: float array of shape `(n,)`, squared errors summed over pixels.
        block_size: images in a block.
        rng: `numpy.random.Generator`.
        num_blocks: number of blocks drawn.

    Returns:
        Float.
    """
    energies = rng.choice(np.asarray(errors, np.float64), (num_blocks, block_size)).mean(axis=1)
    return 1.5 * float(np.percentile(energies, 95))
