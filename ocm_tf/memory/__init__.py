"""Memories and the rules by which they keep samples."""

from ocm_tf.memory.class_conditional_gaussian import ClassConditionalGaussian
from ocm_tf.memory.class_conditional_gmm import ClassConditionalGMM
from ocm_tf.memory.class_conditional_vae import ClassConditionalVAE
from ocm_tf.memory.class_counts import class_counts, largest_remainder
from ocm_tf.memory.class_mean import ClassMean
from ocm_tf.memory.component_labelled_gmm import ComponentLabelledGMM
from ocm_tf.memory.cooperative_memory import CooperativeMemory
from ocm_tf.memory.gaussian_mixture import fit_gaussian_mixture, log_densities
from ocm_tf.memory.kernels import KERNELS, cosine_similarity, kernel_scores, laplace_code_kernel, rbf_kernel
from ocm_tf.memory.latent_generator import LatentGenerator
from ocm_tf.memory.random_replacement_memory import RandomReplacementMemory
from ocm_tf.memory.replay_buffer import ReplayBuffer
from ocm_tf.memory.replay_rules import (
    QUOTAS,
    balanced_rows,
    experience_quotas,
    overwritten_slots,
    released_batch_split,
    replayed_rows,
)
from ocm_tf.memory.sample_buffer import SampleBuffer, Samples
from ocm_tf.memory.selection import SELECTIONS, reservoir_slots, select_samples
from ocm_tf.memory.short_term_memory import ShortTermMemory
from ocm_tf.memory.sliding_memory import SlidingMemory
from ocm_tf.memory.weight_bank import WeightBank

__all__ = [
    "KERNELS",
    "QUOTAS",
    "SELECTIONS",
    "ClassConditionalGMM",
    "ClassConditionalGaussian",
    "ClassConditionalVAE",
    "ClassMean",
    "ComponentLabelledGMM",
    "CooperativeMemory",
    "LatentGenerator",
    "RandomReplacementMemory",
    "ReplayBuffer",
    "SampleBuffer",
    "Samples",
    "ShortTermMemory",
    "SlidingMemory",
    "WeightBank",
    "balanced_rows",
    "class_counts",
    "cosine_similarity",
    "experience_quotas",
    "fit_gaussian_mixture",
    "kernel_scores",
    "laplace_code_kernel",
    "largest_remainder",
    "log_densities",
    "overwritten_slots",
    "rbf_kernel",
    "released_batch_split",
    "replayed_rows",
    "reservoir_slots",
    "select_samples",
]
