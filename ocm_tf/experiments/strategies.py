"""How many devices train one model."""

import contextlib

from ocm_tf.errors import UserError

STRATEGIES = ("single", "mirrored")


def strategy_scope(name):
    """Returns the scope under which a run's model is built and compiled.

    Args:
        name: `"single"`, the one device that TensorFlow chooses, or `"mirrored"`, all GPUs, or all logical CPU devices
            where there is none.

    Returns:
        a context manager.

    Raises:
        UserError: if there are not several devices to mirror on.
    """
    if name == "single":
        return contextlib.nullcontext()
    import tensorflow as tf

    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    if len(devices) < 2:
        raise UserError(
            f"--strategy mirrored shares each minibatch among several GPUs; TensorFlow sees {devices[0].name} alone"
        )
    return tf.distribute.MirroredStrategy([device.name for device in devices]).scope()
