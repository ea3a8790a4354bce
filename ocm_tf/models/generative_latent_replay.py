"""Replay of latents drawn from generators, behind a frozen backbone."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from ocm_tf.memory import ClassConditionalGMM, ComponentLabelledGMM, ReplayBuffer, experience_quotas
from ocm_tf.memory.latent_generator import LatentGenerator
from ocm_tf.models import latent_replay
from ocm_tf.models.continual_classifier import GENERATION, MEMORY
from ocm_tf.models.latent_replay import LatentReplay
from ocm_tf.types import Arrays

SAMPLINGS = ("per_experience", "per_batch", "static")
LABEL_MODES = ("generator", "head")

# What the authors' code does where ours does better by default; each may be set alone.
FAITHFUL = {**latent_replay.FAITHFUL, "generator": ComponentLabelledGMM(), "sampling": "static"}


@keras.saving.register_keras_serializable(package="ocm_tf")
class GenerativeLatentReplay(LatentReplay):
    """Latent replay that keeps no sample: a generator fitted to each experience's latents stands in for it  [GLR].

    Symbols: M `buffer_size`, G_i `generators[i]`, z* and y* what `generators[j].sample` gives  [GLR, Algorithm 1].

    It keeps the bytes of its generators alone; with `sampling="static"` those of the buffer of `LatentReplay` too.

    Args:
        backbone: as for `ContinualClassifier`.
        head: as for `ContinualClassifier`.
        buffer_size: number of latents drawn for an experience, M.
        generator: unfitted `LatentGenerator`, copied for each experience; None takes a Gaussian for each class.
        sampling: `"per_experience"` draws latents from all generators when an experience begins and drops them when it
            ends; `"per_batch"` draws them anew for every Keras step; `"static"` draws once, when a generator has been
            fitted, into a buffer that is kept, as the authors' code does.
        label_mode: `"generator"` takes the labels that the generator emits; `"head"` those that the head predicts for
            the latents when the experience begins.
        quota: how earlier experiences share the replay, see `experience_quotas`; a static buffer shares it as
            `LatentReplay` does.
        quota_window: number of experiences, for the quota `"last_g"`.
        proportions: of the classes, `"empirical"` or `"uniform"`.
        **kwargs: as for `LatentReplay`.
    """

    def __init__(
        self,
        backbone: keras.Model,
        head: keras.Model,
        buffer_size: int,
        generator: LatentGenerator | None = None,
        sampling: str = "per_experience",
        label_mode: str = "generator",
        quota: str = "even",
        quota_window: int | None = None,
        proportions: str = "empirical",
        **kwargs: Any,
    ) -> None:
        super().__init__(backbone, head, buffer_size, **kwargs)
        if sampling not in SAMPLINGS:
            raise ValueError(f"sampling must be one of {SAMPLINGS}, got {sampling!r}.")
        if label_mode not in LABEL_MODES:
            raise ValueError(f"label_mode must be one of {LABEL_MODES}, got {label_mode!r}.")
        if label_mode == "head" and sampling != "per_experience":
            raise ValueError(f"label_mode 'head' needs sampling 'per_experience', got {sampling!r}.")
        # Refuses an unknown rule, or one without its number, before anything is trained.
        experience_quotas(quota, buffer_size, 1, num_train=1, window=quota_window)
        # Departs from the paper: its code takes components of one mixture for the classes, which makes noisy labels.
        self.generator = ClassConditionalGMM() if generator is None else generator
        self.sampling, self.label_mode, self.proportions = sampling, label_mode, proportions
        self.quota, self.quota_window = quota, quota_window
        self.generators: list[LatentGenerator] = []
        self._quotas = np.zeros(0, np.int64)

    def begin_experience(self, images: np.ndarray, labels: np.ndarray) -> tuple[Any, np.ndarray]:
        inputs, labels = super().begin_experience(images, labels)
        if self.sampling != "static":
            self._quotas = experience_quotas(
                self.quota, self.buffer_size, self.experience_index, len(labels), self.quota_window
            )
        if self.sampling == "per_experience" and self._quotas.sum() > 0:
            self._fill_buffer()
        return inputs, labels

    def _fill_buffer(self):
        with self.timed("sample"):
            latents, labels, experiences = self._draw(self._quotas, self.rng(GENERATION))
        if self.label_mode == "head":
            labels = self.head.predict(latents, verbose=0).argmax(axis=1).astype(np.int32)
        self.buffer = ReplayBuffer(len(labels))
        self.buffer.set_arrays({"inputs": latents, "labels": labels, "experiences": experiences})

    def _draw(self, counts, rng):
        """Draws `counts[j]` latents of each generator, sorted by experience and class."""
        parts = [
            generator.sample(count, self.proportions, rng)
            for generator, count in zip(self.generators, counts, strict=True)
        ]
        latents, labels = (np.concatenate(column) for column in zip(*parts, strict=True))
        return latents, labels.astype(np.int32), np.repeat(np.arange(len(counts), dtype=np.int32), counts)

    def replay_shares(self) -> np.ndarray:
        if self.sampling == "static":
            return super().replay_shares()
        return self._quotas / self._quotas.sum() if self._quotas.sum() > 0 else np.zeros(0)

    def replay_for_epoch(
        self, num_wanted: int, rng: np.random.Generator
    ) -> Callable[[int, int], tuple[np.ndarray, ...]]:
        if self.sampling != "per_batch" or num_wanted == 0:
            return super().replay_for_epoch(num_wanted, rng)
        shares = self.replay_shares()

        def take(first, last):
            order = rng.permutation(last - first)
            with self.timed("sample"):
                columns = self._draw(rng.multinomial(last - first, shares), rng)
            return tuple(column[order] for column in columns)

        return take

    def end_experience(self, images: np.ndarray, labels: np.ndarray) -> None:
        super().end_experience(images, labels)
        if self.sampling != "static":
            self.buffer = ReplayBuffer(self.buffer_size)
            self._quotas = np.zeros(0, np.int64)

    def transient_num_bytes(self) -> int:
        if self.sampling == "static":
            drawn = 0
        elif self.sampling == "per_experience":
            drawn = self.buffer.num_bytes
        else:
            num_minibatches = min(self.minibatches_per_step, self._num_minibatches())
            drawn = num_minibatches * self.batch_split()[1] * (4 * self.latent_dim + 8)
        return super().transient_num_bytes() + drawn

    def remember(self, latents: np.ndarray, labels: np.ndarray) -> None:
        rng = self.rng(MEMORY)
        with self.timed("fit"):
            generator = self._new_generator().fit(latents, labels, rng)
        self.generators.append(generator)
        if self.sampling == "static":
            num_drawn = min(self.buffer_size // (self.experience_index + 1), len(labels))
            with self.timed("sample"):
                latents, labels = generator.sample(num_drawn, self.proportions, rng)
            self.buffer.overwrite(latents, labels, self.experience_index, rng)

    def _new_generator(self):
        return type(self.generator).from_config(self.generator.get_config())

    def state_arrays(self) -> Arrays:
        arrays = super().state_arrays()
        for index, generator in enumerate(self.generators):
            arrays |= {f"generator_{index}_{name}": array for name, array in generator.arrays().items()}
        return arrays

    def set_state_arrays(self, arrays: Arrays) -> None:
        by_generator: dict[int, Arrays] = {}
        for name in [name for name in arrays if name.startswith("generator_")]:
            _, index, part = name.split("_", 2)
            by_generator.setdefault(int(index), {})[part] = arrays[name]
        self.generators = []
        for _, own in sorted(by_generator.items()):
            generator = self._new_generator()
            generator.set_arrays(own)
            self.generators.append(generator)
        super().set_state_arrays({name: array for name, array in arrays.items() if name.startswith("buffer_")})

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "generator": keras.saving.serialize_keras_object(self.generator),
            "sampling": self.sampling,
            "label_mode": self.label_mode,
            "quota": self.quota,
            "quota_window": self.quota_window,
            "proportions": self.proportions,
        }
