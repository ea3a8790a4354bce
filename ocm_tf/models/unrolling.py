"""Gradients through training: functions that work inside a graph and a `tf.GradientTape`."""

from collections.abc import Callable, Sequence

import tensorflow as tf

from ocm_tf.types import Tensor


def unrolled_sgd(
    parameters: Sequence[Tensor],
    factors: Sequence[Tensor],
    loss_of: Callable[[Sequence[Tensor], int], Tensor],
    num_steps: int,
    learning_rate: float,
) -> Sequence[Tensor]:
    """Makes steps of gradient descent whose result is a differentiable function of all that the loss depends on.

    theta_{k+1} = theta_k - learning_rate * factor * d loss_of(theta_k, k) / d theta_k  [Mnemonics, Eq. 8]

    Args:
        parameters: list of tensors, never variables, as an assignment would cut the graph.
        factors: list of tensors or numbers, 0 for what stays.
        loss_of: function of the parameters and the number of the step that returns a scalar.
        num_steps: int; the steps are laid out one behind the other.
        learning_rate: float.

    Returns:
        List of tensors of the same shapes.
    """
    for step in range(num_steps):
        with tf.GradientTape() as tape:
            tape.watch(parameters)
            loss = loss_of(parameters, step)
        gradients = tape.gradient(loss, parameters, unconnected_gradients="zero")
        parameters = [
            parameter - learning_rate * tf.cast(factor, parameter.dtype) * gradient
            for parameter, factor, gradient in zip(parameters, factors, gradients, strict=True)
        ]
    return parameters


def adam_step(
    gradient: Tensor,
    first_moment: Tensor,
    second_moment: Tensor,
    step: Tensor,
    beta_1: float = 0.5,
    beta_2: float = 0.999,
    epsilon: float = 1e-8,
) -> tuple[Tensor, Tensor, Tensor]:
    """Computes the direction of a step of Adam for one tensor.

    A Keras optimizer keeps its moments in variables of one shape; here the number of rows changes from call to call.

    Args:
        gradient, first_moment, second_moment: float tensors of one shape; the moments begin as zeros.
        step: int tensor, number of steps before this one.
        beta_1, beta_2, epsilon: of Adam.

    Returns:
        direction: float tensor, to be subtracted times the learning rate.
        first_moment, second_moment: the moments after the step.
    """
    first_moment = beta_1 * first_moment + (1 - beta_1) * gradient
    second_moment = beta_2 * second_moment + (1 - beta_2) * gradient**2
    time = tf.cast(step + 1, gradient.dtype)
    unbiased = first_moment / (1 - beta_1**time)
    return unbiased / (tf.sqrt(second_moment / (1 - beta_2**time)) + epsilon), first_moment, second_moment
