"""The order in which images arrive."""

from ocm_tf.streams.domain_sequence import domain_sequence
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
    "Stream",
    "as_stored",
    "class_sorted",
    "domain_sequence",
    "evenly_spaced",
    "first_per_class",
    "hold_out",
    "imbalanced",
    "label_groups",
    "shuffled",
]
