"""Memories and the rules by which they keep samples."""

from ocm_tf.memory.class_conditional_gaussian import ClassConditionalGaussian
from ocm_tf.memory.class_conditional_gmm import ClassConditionalGMM
from ocm_tf.memory.class_conditional_vae import ClassConditionalVAE
from ocm_tf.memory.class_counts import class_counts, largest_remainder
from ocm_tf.memory.class_mean import ClassMean
from ocm_tf.memory.class_prototypes import (
    class_margins,
    class_means,
    imprinted_rows,
    nearest_class_mean,
    unit_vectors,
)
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
from ocm_tf.memory.exemplar_memory import ExemplarMemory, quantised, trimmed
from ocm_tf.memory.exemplar_rules import (
    EXEMPLAR_SELECTIONS,
    choose_exemplars,
    exemplar_quota,
    herding_order,
    split_halves,
)
from ocm_tf.memory.gaussian_mixture import fit_gaussian_mixture, log_densities
from ocm_tf.memory.kernels import KERNELS, cosine_similarity, kernel_scores, laplace_code_kernel, rbf_kernel
from ocm_tf.memory.latent_generator import LatentGenerator
from ocm_tf.memory.overflow_rules import OVERFLOW_POLICIES, kept_rows
from ocm_tf.memory.packed_sample_buffer import PackedSampleBuffer
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
    "EXEMPLAR_SELECTIONS",
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
    "ExemplarMemory",
    "LatentGenerator",
    "PackedSampleBuffer",
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
    "choose_exemplars",
    "class_counts",
    "class_margins",
    "class_means",
    "cosine_similarity",
    "dropped_cluster",
    "exemplar_quota",
    "experience_quotas",
    "fit_gaussian_mixture",
    "gaussian_distance",
    "herding_order",
    "imprinted_rows",
    "kept_rows",
    "kernel_scores",
    "laplace_code_kernel",
    "largest_remainder",
    "latent_moments",
    "log_densities",
    "nearest_class_mean",
    "overwritten_slots",
    "quantised",
    "rbf_kernel",
    "released_batch_split",
    "replayed_rows",
    "reservoir_slots",
    "select_for_cluster",
    "select_samples",
    "split_halves",
    "trimmed",
    "unit_vectors",
]
