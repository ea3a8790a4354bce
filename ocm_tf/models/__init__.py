"""The learning rules: Keras models with their own training steps."""

from ocm_tf.models.classifier_mixture import ClassifierMixture
from ocm_tf.models.online_classifier import OnlineClassifier
from ocm_tf.models.online_model import OnlineModel
from ocm_tf.models.vae import VAE
from ocm_tf.models.vae_mixture import VAEMixture

__all__ = ["VAE", "ClassifierMixture", "OnlineClassifier", "OnlineModel", "VAEMixture"]
