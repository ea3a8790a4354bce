"""Early stopping by the accuracy on an experience's own training samples."""

from typing import Any

import keras
import tensorflow as tf

from ocm_tf.types import Logs


class BestState(keras.callbacks.Callback):
    """Stops an experience that no longer gains accuracy and goes back to its best state  [Avalanche, EarlyStopping].

    The accuracy on the training samples at hand is measured before the first epoch and after each. Any gain over the
    best so far saves the weights; only a gain of more than `margin` resets patience. Keras' `EarlyStopping` saves only
    what passes the margin, and has nothing to compare the first epoch with.

    Args:
        patience: epochs without such a gain after which training stops.
        margin: least gain, as a fraction of samples.

    Attributes:
        accuracies: the accuracy before the first epoch and after each, of the latest experience.
    """

    def __init__(self, patience: int = 1, margin: float = 0.003) -> None:
        super().__init__()
        if patience < 1 or margin < 0:
            raise ValueError(f"patience must be at least 1 and margin not negative, got {patience} and {margin}.")
        self.patience, self.margin = patience, margin
        self.accuracies: list[float] = []
        self._last_gain = 0
        # The best weights so far, as variables for a checkpoint to hold.
        self.variables: list[tf.Variable] = []

    def set_model(self, model: keras.Model) -> None:
        super().set_model(model)
        weights = model.get_weights()
        if [weight.shape for weight in weights] != [tuple(variable.shape) for variable in self.variables]:
            self.variables = [tf.Variable(weight, trainable=False) for weight in weights]

    def on_train_begin(self, logs: Logs = None) -> None:
        self.accuracies = [self.model.training_accuracy()]
        self._save()
        self._last_gain = 0

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        accuracy, best = self.model.training_accuracy(), max(self.accuracies)
        self.accuracies.append(accuracy)
        if accuracy > best:
            self._save()
            if accuracy - best > self.margin:
                self._last_gain = epoch + 1
        if epoch + 1 - self._last_gain >= self.patience:
            self.model.stop_training = True

    def on_train_end(self, logs: Logs = None) -> None:
        self.model.set_weights([variable.numpy() for variable in self.variables])

    def _save(self):
        for variable, weight in zip(self.variables, self.model.get_weights(), strict=True):
            variable.assign(weight)

    def get_state(self) -> dict[str, Any]:
        """Returns the accuracies and when the last gain was, as a dict for JSON."""
        return {"accuracies": self.accuracies, "last_gain": self._last_gain}

    def set_state(self, state: dict[str, Any]) -> None:
        """Takes up the state of `get_state`."""
        self.accuracies, self._last_gain = list(state["accuracies"]), state["last_gain"]
