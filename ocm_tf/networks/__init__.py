"""Bare networks: they know no method, no memory and no stream."""

from ocm_tf.networks.alexnet_small import alexnet_small, convert_alexnet_weights
from ocm_tf.networks.dense import Dense
from ocm_tf.networks.gaussian_encoder import GaussianEncoder
from ocm_tf.networks.lenet import lenet
from ocm_tf.networks.mlp import MLP
from ocm_tf.networks.mobilenet_v2 import mobilenet_v2
from ocm_tf.networks.random_affine import RandomAffine
from ocm_tf.networks.resnet import ResNet
from ocm_tf.networks.splitting import split_at
from ocm_tf.networks.two_path_networks import TwoPathNetworks, two_path_networks

__all__ = [
    "MLP",
    "Dense",
    "GaussianEncoder",
    "RandomAffine",
    "ResNet",
    "TwoPathNetworks",
    "alexnet_small",
    "convert_alexnet_weights",
    "lenet",
    "mobilenet_v2",
    "split_at",
    "two_path_networks",
]
