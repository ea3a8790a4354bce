"""The learning rules: Keras models with their own training steps."""

from ocm_tf.models.online_model import OnlineModel
from ocm_tf.models.vae import VAE
from ocm_tf.models.vae_mixture import VAEMixture

__all__ = ["VAE", "OnlineModel", "VAEMixture"]
