"""Memories and the rules by which they keep samples."""

from ocm_tf.memory.cooperative_memory import CooperativeMemory
from ocm_tf.memory.kernels import KERNELS, cosine_similarity, kernel_scores, laplace_code_kernel, rbf_kernel
from ocm_tf.memory.random_replacement_memory import RandomReplacementMemory
from ocm_tf.memory.sample_buffer import SampleBuffer, Samples
from ocm_tf.memory.selection import SELECTIONS, reservoir_slots, select_samples
from ocm_tf.memory.short_term_memory import ShortTermMemory
from ocm_tf.memory.weight_bank import WeightBank

__all__ = [
    "KERNELS",
    "SELECTIONS",
    "CooperativeMemory",
    "RandomReplacementMemory",
    "SampleBuffer",
    "Samples",
    "ShortTermMemory",
    "WeightBank",
    "cosine_similarity",
    "kernel_scores",
    "laplace_code_kernel",
    "rbf_kernel",
    "reservoir_slots",
    "select_samples",
]
