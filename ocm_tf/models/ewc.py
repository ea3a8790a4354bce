"""Elastic weight consolidation."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ocm_tf.models.continual_classifier import ContinualClassifier
from ocm_tf.types import Arrays, Tensor

FISHERS = ("batch", "sample")


@keras.saving.register_keras_serializable(package="ocm_tf")
class EWC(ContinualClassifier):
    """Holds weights near their values after earlier experiences, the more so the more those depend on them.

    loss = cross_entropy + strength * sum over e < i, k of fisher[e, k] * (weight[k] - anchor[e, k])**2
    [Avalanche, mode "separate"]

    The Fisher information is estimated after each experience on its training samples and true labels, in inference
    mode: the mean over batches of the squared gradient of a batch's mean cross-entropy. For `"sample"` a batch is one
    sample, as Kirkpatrick et al. (2017) have it; squares of means over a batch are far smaller.

    It keeps 2 * P * 4 bytes for P weights and each experience, or 2 * P * 4 in all if `online`.

    Args:
        backbone: as for `ContinualClassifier`.
        head: as for `ContinualClassifier`.
        penalty_strength: lambda; 1 is as published.
        fisher: one of `FISHERS`.
        half: whether the strength is halved, as Kirkpatrick et al. do.
        online: whether there is one sum of Fisher information, `decay * old + new`, and the latest weights for anchors
            (Schwarz et al., 2018).
        decay: factor of the old sum.
        **kwargs: as for `ContinualClassifier`.
    """

    def __init__(
        self,
        backbone: keras.Model,
        head: keras.Model,
        penalty_strength: float = 1.0,
        fisher: str = "batch",
        half: bool = False,
        online: bool = False,
        decay: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(backbone, head, **kwargs)
        if fisher not in FISHERS:
            raise ValueError(f"fisher must be one of {FISHERS}, got {fisher!r}.")
        if penalty_strength < 0 or decay < 0:
            raise ValueError(f"penalty_strength and decay must not be negative, got {penalty_strength} and {decay}.")
        self.penalty_strength, self.fisher, self.half = penalty_strength, fisher, half
        self.online, self.decay = online, decay
        # Their number of rows is that of experiences; left open, it may grow without a new trace.
        self._fishers = [_stack(variable) for variable in self.trainable_variables]
        self._anchors = [_stack(variable) for variable in self.trainable_variables]

    def penalty(self) -> Tensor:
        strength = self.penalty_strength * (0.5 if self.half else 1.0)
        parts = [
            tf.reduce_sum(fishers * tf.square(variable[None] - anchors))
            for fishers, anchors, variable in zip(self._fishers, self._anchors, self.trainable_variables, strict=True)
        ]
        return strength * tf.add_n(parts)

    def end_experience(self, images: np.ndarray, labels: np.ndarray) -> None:
        with self.timed("fit"):
            information = self.fisher_information(images, labels)
        for fishers, anchors, new, variable in zip(
            self._fishers, self._anchors, information, self.trainable_variables, strict=True
        ):
            latest = variable.numpy()[None]
            if self.online:
                fishers.assign(self.decay * fishers.numpy().sum(axis=0, keepdims=True) + new[None])
                anchors.assign(latest)
            else:
                fishers.assign(np.concatenate([fishers.numpy(), new[None]]))
                anchors.assign(np.concatenate([anchors.numpy(), latest]))

    def fisher_information(self, images: np.ndarray, labels: np.ndarray) -> list[np.ndarray]:
        """Estimates the diagonal of the Fisher information of the weights as they are.

        Args:
            images: uint8 array of shape `(n, *image_shape)`.
            labels: int array of shape `(n,)`.

        Returns:
            list of float32 arrays, one for each of `trainable_variables`.
        """
        size = 1 if self.fisher == "sample" else self.batch_size
        rows_per_call = size * self.minibatches_per_step
        totals = [np.zeros(variable.shape, np.float32) for variable in self.trainable_variables]
        for start in range(0, len(labels), rows_per_call):
            part = slice(start, start + rows_per_call)
            for total, squares in zip(totals, self._squared_gradients(images[part], labels[part], size), strict=True):
                total += squares.numpy()
        return [total / -(-len(labels) // size) for total in totals]

    @tf.function(reduce_retracing=True)
    def _squared_gradients(self, images, labels, size):
        """Sums the squared gradients of batches of `size` rows."""
        variables = self.trainable_variables

        def one_batch(start, *totals):
            with tf.GradientTape() as tape:
                logits = self(images[start : start + size], training=False)
                losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels[start : start + size], logits)
                loss = tf.reduce_mean(losses)
            squares = map(tf.square, tape.gradient(loss, variables))
            return start + size, *(total + square for total, square in zip(totals, squares, strict=True))

        zeros = [tf.zeros(variable.shape) for variable in variables]
        return tf.while_loop(lambda start, *_: start < tf.shape(labels)[0], one_batch, (0, *zeros))[1:]

    def state_arrays(self) -> Arrays:
        fishers = {f"fisher_{index}": stack.numpy() for index, stack in enumerate(self._fishers)}
        return fishers | {f"anchor_{index}": stack.numpy() for index, stack in enumerate(self._anchors)}

    def set_state_arrays(self, arrays: Arrays) -> None:
        for index, (fishers, anchors) in enumerate(zip(self._fishers, self._anchors, strict=True)):
            fishers.assign(arrays[f"fisher_{index}"])
            anchors.assign(arrays[f"anchor_{index}"])

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "penalty_strength": self.penalty_strength,
            "fisher": self.fisher,
            "half": self.half,
            "online": self.online,
            "decay": self.decay,
        }


def _stack(variable):
    shape = tuple(variable.shape)
    return tf.Variable(tf.zeros((0, *shape)), trainable=False, shape=(None, *shape))
