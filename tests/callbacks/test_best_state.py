"""Checks early stopping by the training accuracy: which state it keeps and when it stops."""

import numpy as np
import pytest

from ocm_tf.callbacks import BestState
from ocm_tf.models import Naive
from tests.models.tiny_experiences import EXPERIENCES, make_classifier


class Accuracies:
    """Stands in for a model whose accuracies are given; its weight tells the epoch."""

    def __init__(self, accuracies):
        self.accuracies, self.stop_training, self.weight = iter(accuracies), False, 0

    def training_accuracy(self):
        return next(self.accuracies)

    def get_weights(self):
        return [np.array(self.weight)]

    def set_weights(self, weights):
        (self.weight,) = weights


@pytest.mark.parametrize(
    ("accuracies", "patience", "num_epochs", "kept"),
    [
        ((0.1, 0.5, 0.6, 0.6), 1, 3, 2),
        ((0.5, 0.502), 1, 1, 1),  # a gain too small for patience is a gain
        ((0.5, 0.4), 1, 1, 0),  # the start was best
        ((0.5, 0.502, 0.504, 0.506, 0.5), 2, 2, 2),  # small gains do not add up
        ((0.1, 0.5, 0.4, 0.6, 0.5, 0.5), 2, 5, 3),
        ((0.1, 0.2, 0.3), 1, 2, 2),  # ended by the number of epochs
    ],
)
def test_the_rule_by_hand(accuracies, patience, num_epochs, kept):
    callback, model = BestState(patience, margin=0.003), Accuracies(accuracies)
    callback.set_model(model)
    callback.on_train_begin()
    for epoch in range(num_epochs):
        assert not model.stop_training
        model.weight = epoch + 1
        callback.on_epoch_end(epoch)
    assert model.stop_training == (accuracies != (0.1, 0.2, 0.3))
    callback.on_train_end()
    assert model.weight == kept


def test_a_classifier_ends_with_its_best_accuracy():
    model, callback = make_classifier(Naive, learning_rate=0.5), BestState(patience=2)
    history = model.fit_experience(EXPERIENCES[0], epochs=12, callbacks=[callback])
    assert len(callback.accuracies) == len(history.epoch) + 1
    train = EXPERIENCES[0].train
    accuracy = np.mean(np.argmax(model(train.images), axis=1) == train.labels)
    np.testing.assert_allclose(accuracy, max(callback.accuracies))


def test_bad_arguments_are_refused():
    for settings in ({"patience": 0}, {"margin": -1}):
        with pytest.raises(ValueError, match="patience must be at least 1"):
            BestState(**settings)
