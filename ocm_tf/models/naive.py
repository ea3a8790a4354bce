"""Plain training on one experience after the other."""

import keras

from ocm_tf.models.continual_classifier import ContinualClassifier


@keras.saving.register_keras_serializable(package="ocm_tf")
class Naive(ContinualClassifier):
    """Trains all weights on each experience and does nothing against forgetting; it keeps nothing  [GLR, Section 4.1].

    Args: as for `ContinualClassifier`.
    """
