"""One step of an optimizer, on one device or shared by several."""

from collections.abc import Callable, Sequence

import keras
import tensorflow as tf

from ocm_tf.types import Tensor


def minimise(
    loss_of: Callable[..., Tensor],
    samples: tuple[Tensor, ...],
    optimizer: keras.optimizers.Optimizer,
    variables: Sequence[keras.Variable],
    strategy: tf.distribute.Strategy,
) -> Tensor:
    """Makes one step of an optimizer; works inside a graph.

    Several devices take equal shares of the samples, one more where they do not divide, and sum their gradients, each
    weighted by its share. So the step is that of one device, but for the rounding of sums.

    Args:
        loss_of: function of the samples to the mean of their losses, a float scalar tensor. It draws nothing and writes
            to no variable: each device would do so for itself.
        samples: tuple of tensors of one leading dimension.
        optimizer: a Keras optimizer built on `variables`, under the scope of the strategy if it has several devices.
        variables: what to update.
        strategy: `tf.distribute.Strategy`.

    Returns:
        loss: float scalar tensor, of all samples and before the step.
    """
    num_devices = strategy.num_replicas_in_sync
    if num_devices == 1:
        return _step(loss_of, samples, optimizer, variables)

    def on_one_device(*samples):
        device, num_samples = tf.distribute.get_replica_context().replica_id_in_sync_group, tf.shape(samples[0])[0]
        start, stop = (index * num_samples // num_devices for index in (device, device + 1))
        weight = tf.cast(stop - start, tf.float32) / tf.cast(num_samples, tf.float32)
        # The mean of no losses would be NaN; a device without a share computes one loss, of weight 0.
        share = [values[start : tf.maximum(stop, start + 1)] for values in samples]
        return _step(lambda *share: weight * loss_of(*share), share, optimizer, variables)

    # Keras runs the whole training step outside of this scope, as on one device.
    with strategy.scope():
        return strategy.reduce("sum", strategy.run(on_one_device, args=samples), axis=None)


def _step(loss_of, samples, optimizer, variables):
    with tf.GradientTape() as tape:
        loss = loss_of(*samples)
    # Sums over devices before it applies.
    optimizer.apply(tape.gradient(loss, variables), variables)
    return loss
