"""The order in which images arrive: in a task-free stream, or as experiences whose boundaries are known."""

from ocm_tf.streams.class_incremental import (
    class_incremental_experiences,
    drawn_class_labels,
    drawn_classes,
    shuffled_class_order,
)
from ocm_tf.streams.core50 import core50_experiences
from ocm_tf.streams.domain_incremental import permuted_experiences, rotated_experiences
from ocm_tf.streams.domain_sequence import domain_sequence
from ocm_tf.streams.experience import Experience
from ocm_tf.streams.experience_split import ExperienceSplit
from ocm_tf.streams.orders import (
    as_stored,
    class_sorted,
    evenly_spaced,
    first_per_class,
    hold_out,
    imbalanced,
    label_groups,
    shuffled,
)
from ocm_tf.streams.stream import Stream

__all__ = [
    "Experience",
    "ExperienceSplit",
    "Stream",
    "as_stored",
    "class_incremental_experiences",
    "class_sorted",
    "core50_experiences",
    "domain_sequence",
    "drawn_class_labels",
    "drawn_classes",
    "evenly_spaced",
    "first_per_class",
    "hold_out",
    "imbalanced",
    "label_groups",
    "permuted_experiences",
    "rotated_experiences",
    "shuffled",
    "shuffled_class_order",
]
