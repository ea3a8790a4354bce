"""Bare networks: they know no method, no memory and no stream."""

from ocm_tf.networks.dense import Dense
from ocm_tf.networks.gaussian_encoder import GaussianEncoder
from ocm_tf.networks.mlp import MLP
from ocm_tf.networks.random_affine import RandomAffine
from ocm_tf.networks.resnet import ResNet

__all__ = ["MLP", "Dense", "GaussianEncoder", "RandomAffine", "ResNet"]
