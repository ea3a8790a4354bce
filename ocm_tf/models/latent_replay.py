"""Replay of latents behind a frozen backbone."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ocm_tf.models.continual_classifier import MEMORY
from ocm_tf.models.replay_classifier import ReplayClassifier
from ocm_tf.types import Tensor

COLLECTIONS = ("frozen", "first_epoch")

_EXTRACTED_ROWS = 256

# What the authors' code does where ours does better by default; each may be set alone.
FAITHFUL = {"collect": "first_epoch", "backbone_dropout": True, "batch_split": "released", "shuffle_replay": False}


@keras.saving.register_keras_serializable(package="ocm_tf")
class LatentReplay(ReplayClassifier):
    """Trains everything on the first experience, then the head alone on latents, new and stored  [GLR, LR].

    The backbone is frozen for good when the first experience ends (before it begins, if `pretrained`): neither the
    optimizer nor the L2 term touches it again, normalisation keeps its statistics. Then a random part of the latents
    enters the buffer; see `overwritten_slots`.

    It keeps M * (latent_dim * bytes of a value + 8) bytes.

    Args:
        backbone: as for `ContinualClassifier`.
        head: as for `ContinualClassifier`.
        buffer_size: number of latents kept, M; without any, this is plain training behind a frozen backbone.
        pretrained: whether the backbone is frozen from the start.
        cache_latents: whether the latents of an experience are computed once and the head is trained on them; if not,
            every minibatch passes through the backbone, for the same result.
        collect: when the first experience's latents are gathered: `"frozen"`, with the backbone that stays; or
            `"first_epoch"`, while it moves, as the authors' code does.
        backbone_dropout: whether dropout in the backbone stays active when it is frozen, as in the authors' code, which
            cuts behind a dropout layer. Latents are then not cached.
        latent_dtype: dtype of latents kept, `"float32"` or `"float16"`.
        **kwargs: as for `ReplayClassifier`.
    """

    def __init__(
        self,
        backbone: keras.Model,
        head: keras.Model,
        buffer_size: int,
        pretrained: bool = False,
        cache_latents: bool = True,
        collect: str = "frozen",
        backbone_dropout: bool = False,
        latent_dtype: str = "float32",
        **kwargs: Any,
    ) -> None:
        super().__init__(backbone, head, buffer_size, input_dtype=latent_dtype, **kwargs)
        if collect not in COLLECTIONS:
            raise ValueError(f"collect must be one of {COLLECTIONS}, got {collect!r}.")
        self.pretrained, self.cache_latents, self.collect = pretrained, cache_latents, collect
        self.backbone_dropout, self.latent_dtype = backbone_dropout, latent_dtype
        if collect == "first_epoch":
            # Variables, so that a checkpoint holds them; the number of rows, left open, is no part of the graph.
            self._collected, self._first_latents = (
                tf.Variable(tf.zeros((0, self.latent_dim)), trainable=False, shape=(None, self.latent_dim))
                for _ in range(2)
            )
        images = tf.TensorSpec((None, *backbone.input_shape[1:]), tf.uint8)
        self._extract = tf.function(self._frozen_latents, input_signature=[images])

    def freeze(self) -> None:
        """Freezes the backbone and makes an optimizer of the head's weights alone; does nothing a second time."""
        if self.is_frozen:
            return
        self.backbone.trainable = False
        if self.compiled:
            # The traced step still trains everything.
            self.compile_from_config(self.get_compile_config())

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        return self.head(self.backbone(inputs, training=training and not self.is_frozen), training=training)

    def latents_of(self, images: np.ndarray) -> np.ndarray:
        """Computes latents of images as the frozen backbone gives them.

        Args:
            images: uint8 array of shape `(n, *image_shape)`.

        Returns:
            float32 array of shape `(n, latent_dim)`.
        """
        latents = np.empty((len(images), self.latent_dim), np.float32)
        for start in range(0, len(images), _EXTRACTED_ROWS):
            part = slice(start, start + _EXTRACTED_ROWS)
            latents[part] = self._extract(images[part])
        return latents

    def _frozen_latents(self, images):
        return self.backbone(images, training=self.backbone_dropout)

    @property
    def trains_on_latents(self) -> bool:
        """Whether the head is trained on latents that were computed once."""
        return self.is_frozen and self.cache_latents and not self.backbone_dropout

    def begin_experience(self, images: np.ndarray, labels: np.ndarray) -> tuple[Any, np.ndarray]:
        if self.pretrained:
            self.freeze()
        if self._collects:
            self._collected.assign(tf.zeros((len(labels), self.latent_dim)))
        return (self.latents_of(images) if self.trains_on_latents else images), labels

    def end_experience(self, images: np.ndarray, labels: np.ndarray) -> None:
        if self.trains_on_latents:
            latents = self._inputs
        elif self._collects:
            latents = self._first_latents.numpy()
            for variable in (self._collected, self._first_latents):
                variable.assign(tf.zeros((0, self.latent_dim)))
            self.freeze()
        else:
            # Departs from the paper: its code takes them while the backbone moves, so they do not fit the frozen one.
            self.freeze()
            latents = self.latents_of(images)
        self.remember(latents, labels)

    def transient_num_bytes(self) -> int:
        # Those of the experience as a whole, at the latest when it is remembered.
        return 4 * len(self._labels) * self.latent_dim

    def remember(self, latents: np.ndarray, labels: np.ndarray) -> None:
        """Keeps what later experiences replay of this one."""
        self.buffer.overwrite(latents, labels, self.experience_index, self.rng(MEMORY))

    @property
    def _collects(self):
        return self.collect == "first_epoch" and not self.is_frozen

    def own_callbacks(self) -> list[keras.callbacks.Callback]:
        def keep(epoch, logs):
            if epoch == 0:
                self._first_latents.assign(self._collected)

        return [keras.callbacks.LambdaCallback(on_epoch_end=keep)] if self._collects else []

    @property
    def replay_spec(self) -> tf.TensorSpec:
        return tf.TensorSpec((None, self.latent_dim), tf.float32) if self.is_frozen else super().replay_spec

    def replay_for_epoch(
        self, num_wanted: int, rng: np.random.Generator
    ) -> Callable[[int, int], tuple[np.ndarray, ...]]:
        take = super().replay_for_epoch(num_wanted, rng)

        def take_float32(first, last):
            inputs, *columns = take(first, last)
            return (inputs.astype(np.float32, copy=False) if self.is_frozen else inputs), *columns

        return take_float32

    def minibatch_logits(self, current: Tensor, replayed: Tensor, rows: Tensor) -> Tensor:
        if not self.is_frozen:
            latents = self.backbone(current, training=True)
            if self._collects:
                self._collected.scatter_nd_update(rows[:, None], latents)
            return self.head(latents, training=True)
        latents = current if self.trains_on_latents else self._frozen_latents(current)
        return self.head(tf.concat([latents, replayed], 0), training=True)

    def inference_logits(self, inputs: Tensor) -> Tensor:
        return self.head(inputs, training=False) if self.trains_on_latents else super().inference_logits(inputs)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "pretrained": self.pretrained,
            "cache_latents": self.cache_latents,
            "collect": self.collect,
            "backbone_dropout": self.backbone_dropout,
            "latent_dtype": self.latent_dtype,
        }
