"""Adam in one operation a variable."""

from typing import Any

import keras
import tensorflow as tf

from ocm_tf.types import Tensor


@keras.saving.register_keras_serializable(package="ocm_tf")
class FusedAdam(keras.optimizers.Adam):
    """Makes the steps of Keras' Adam by TensorFlow's fused kernel, which passes over each variable once.

    momentum = beta_1 * momentum + (1 - beta_1) * g;  velocity = beta_2 * velocity + (1 - beta_2) * g**2
    variable -= lr * sqrt(1 - beta_2**t) / (1 - beta_1**t) * momentum / (sqrt(velocity) + epsilon)
    [Kingma and Ba, Section 2]

    Keras makes about ten operations of it, which cost as much as a small network's own step. State, names and order of
    the variables are those of Keras' Adam, so either loads what the other has saved; values agree within rounding.

    Args:
        learning_rate, beta_1, beta_2, epsilon: as for `keras.optimizers.Adam`.
        name: `"adam"` by default, so that the state has the names that Keras gives it.
        **kwargs: as for `keras.optimizers.Adam`.

    Raises:
        ValueError: if `amsgrad` is asked for.
    """

    def __init__(
        self,
        learning_rate: float | keras.optimizers.schedules.LearningRateSchedule = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        name: str = "adam",
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, beta_1, beta_2, epsilon, name=name, **kwargs)
        if self.amsgrad:
            raise ValueError("amsgrad must be False for FusedAdam, got True; use keras.optimizers.Adam.")

    def update_step(self, gradient: Tensor, variable: tf.Variable, learning_rate: Tensor) -> None:
        index, dtype = self._get_variable_index(variable), variable.dtype
        step = tf.cast(self.iterations + 1, dtype)
        beta_1, beta_2, epsilon = (tf.cast(value, dtype) for value in (self.beta_1, self.beta_2, self.epsilon))
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=beta_1**step,
            beta2_power=beta_2**step,
            lr=tf.cast(learning_rate, dtype),
            beta1=beta_1,
            beta2=beta_2,
            epsilon=epsilon,
            grad=tf.cast(gradient, dtype),
        )
