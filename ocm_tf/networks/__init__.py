"""Bare networks: they know no method, no memory and no stream."""

from ocm_tf.networks.alexnet_small import alexnet_small, convert_alexnet_weights
from ocm_tf.networks.cosine_head import CosineHead, cosine_similarities
from ocm_tf.networks.dense import Dense
from ocm_tf.networks.gaussian_autoencoder import GaussianAutoencoder
from ocm_tf.networks.gaussian_encoder import GaussianEncoder
from ocm_tf.networks.head_gates import HeadGates, gate_weights
from ocm_tf.networks.lenet import lenet
from ocm_tf.networks.linear_autoencoder import LinearAutoencoder
from ocm_tf.networks.mlp import MLP
from ocm_tf.networks.mobilenet_v2 import mobilenet_v2
from ocm_tf.networks.patch_attention import PatchAttention, cut_patches, head_mask
from ocm_tf.networks.perceptron import perceptron
from ocm_tf.networks.random_affine import RandomAffine
from ocm_tf.networks.random_crop_flip import RandomCropFlip
from ocm_tf.networks.residual_features import RESIDUAL_NETWORKS, ResidualFeatures
from ocm_tf.networks.resnet import ResNet
from ocm_tf.networks.splitting import split_at
from ocm_tf.networks.transfer_conv2d import TransferConv2D
from ocm_tf.networks.two_path_networks import TwoPathNetworks, two_path_networks

__all__ = [
    "MLP",
    "RESIDUAL_NETWORKS",
    "CosineHead",
    "Dense",
    "GaussianAutoencoder",
    "GaussianEncoder",
    "HeadGates",
    "LinearAutoencoder",
    "PatchAttention",
    "RandomAffine",
    "RandomCropFlip",
    "ResNet",
    "ResidualFeatures",
    "TransferConv2D",
    "TwoPathNetworks",
    "alexnet_small",
    "convert_alexnet_weights",
    "cosine_similarities",
    "cut_patches",
    "gate_weights",
    "head_mask",
    "lenet",
    "mobilenet_v2",
    "perceptron",
    "split_at",
    "two_path_networks",
]
