"""Memories and the rules by which they keep samples."""

from ocm_tf.memory.class_conditional_gaussian import ClassConditionalGaussian
from ocm_tf.memory.class_conditional_gmm import ClassConditionalGMM
from ocm_tf.memory.class_conditional_vae import ClassConditionalVAE
from ocm_tf.memory.class_counts import class_counts, largest_remainder
from ocm_tf.memory.class_mean import ClassMean
from ocm_tf.memory.cluster_rules import (
    CLUSTER_SELECTIONS,
    MOMENTS,
    REDUCTIONS,
    calibrated_threshold,
    dropped_cluster,
    gaussian_distance,
    latent_moments,
    select_for_cluster,
)
from ocm_tf.memory.component_labelled_gmm import ComponentLabelledGMM
from ocm_tf.memory.cooperative_memory import CooperativeMemory
from ocm_tf.memory.evolving_memory import EvolvingMemory
from ocm_tf.memory.gaussian_mixture import fit_gaussian_mixture, log_densities
from ocm_tf.memory.kernels import KERNELS, cosine_similarity, kernel_scores, laplace_code_kernel, rbf_kernel
from ocm_tf.memory.latent_generator import LatentGenerator
from ocm_tf.memory.overflow_rules import OVERFLOW_POLICIES, kept_rows
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
from ocm_tf.memory.temporary_memory import TemporaryMemory
from ocm_tf.memory.weight_bank import WeightBank

__all__ = [
    "CLUSTER_SELECTIONS",
    "KERNELS",
    "MOMENTS",
    "OVERFLOW_POLICIES",
    "QUOTAS",
    "REDUCTIONS",
    "SELECTIONS",
    "ClassConditionalGMM",
    "ClassConditionalGaussian",
    "ClassConditionalVAE",
    "ClassMean",
    "ComponentLabelledGMM",
    "CooperativeMemory",
    "EvolvingMemory",
    "LatentGenerator",
    "RandomReplacementMemory",
    "ReplayBuffer",
    "SampleBuffer",
    "Samples",
    "ShortTermMemory",
    "SlidingMemory",
    "TemporaryMemory",
    "WeightBank",
    "balanced_rows",
    "calibrated_threshold",
    "class_counts",
    "cosine_similarity",
    "dropped_cluster",
    "experience_quotas",
    "fit_gaussian_mixture",
    "gaussian_distance",
    "kept_rows",
    "kernel_scores",
    "laplace_code_kernel",
    "largest_remainder",
    "latent_moments",
    "log_densities",
    "overwritten_slots",
    "rbf_kernel",
    "released_batch_split",
    "replayed_rows",
    "reservoir_slots",
    "select_for_cluster",
    "select_samples",
]
