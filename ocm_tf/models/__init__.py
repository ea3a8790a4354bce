"""The learning rules: Keras models with their own training steps."""

from ocm_tf.models.classifier_mixture import ClassifierMixture
from ocm_tf.models.continual_classifier import ContinualClassifier
from ocm_tf.models.ewc import EWC
from ocm_tf.models.generative_latent_replay import GenerativeLatentReplay
from ocm_tf.models.incremental_classifier import IncrementalClassifier
from ocm_tf.models.joint import Joint
from ocm_tf.models.latent_replay import LatentReplay
from ocm_tf.models.mnemonics import Mnemonics
from ocm_tf.models.naive import Naive
from ocm_tf.models.online_classifier import OnlineClassifier
from ocm_tf.models.online_model import OnlineModel
from ocm_tf.models.replay import Replay
from ocm_tf.models.sparse_attention_classifier import SparseAttentionClassifier
from ocm_tf.models.two_path_vae import TwoPathVAE
from ocm_tf.models.vae import VAE
from ocm_tf.models.vae_mixture import VAEMixture

__all__ = [
    "EWC",
    "VAE",
    "ClassifierMixture",
    "ContinualClassifier",
    "GenerativeLatentReplay",
    "IncrementalClassifier",
    "Joint",
    "LatentReplay",
    "Mnemonics",
    "Naive",
    "OnlineClassifier",
    "OnlineModel",
    "Replay",
    "SparseAttentionClassifier",
    "TwoPathVAE",
    "VAEMixture",
]
