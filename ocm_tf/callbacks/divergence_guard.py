"""Stopping a run whose loss is no number any more."""

import keras
import numpy as np

from ocm_tf.errors import DivergedError
from ocm_tf.types import Logs


class DivergenceGuard(keras.callbacks.Callback):
    """Ends training with a clear word when the loss is NaN or infinite.

    Put it first, so that no other callback works with a model that has diverged and the last checkpoint stays whole.
    """

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        loss = (logs or {}).get("loss")
        if loss is not None and not np.isfinite(loss):
            where = f"the loss is {loss} at batch {batch + 1}"
            raise DivergedError(f"training has diverged: {where}; lower the learning rate")
