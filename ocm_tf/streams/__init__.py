"""The order in which images arrive."""

from ocm_tf.streams.orders import class_sorted, first_per_class, label_groups, shuffled
from ocm_tf.streams.stream import Stream

__all__ = ["Stream", "class_sorted", "first_per_class", "label_groups", "shuffled"]
