"""Streams of several domains, one after the other."""

from collections.abc import Sequence

import numpy as np

from ocm_tf.streams.stream import Stream


def domain_sequence(streams: Sequence[Stream], name: str) -> Stream:
    """Joins streams into one in which each is a domain that follows the one before.

    The classes of different domains stay apart: labels count on from domain to domain, and each class is named after
    its domain too, such as "mnist 3". Within a domain, order and phases stay as they are.

    Args:
        streams: list of `Stream`, whose names become those of the domains.
        name: how results call the stream.

    Returns:
        A `Stream`.

    Raises:
        ValueError: if there is no stream, two have the same name or their images differ in shape.
    """
    names = tuple(stream.name for stream in streams)
    shapes = [stream.image_shape for stream in streams]
    if not names or len(set(names)) != len(names):
        raise ValueError(f"streams must have names that differ from each other, got {names}.")
    if len(set(shapes)) > 1:
        raise ValueError(f"streams must have images of one shape, got {dict(zip(names, shapes, strict=True))}.")
    truths = [stream.truth for stream in streams]
    num_classes = [len(truth.class_names) for truth in truths]
    first_labels, first_positions = (np.cumsum([0, *counts]) for counts in (num_classes, [len(s) for s in streams]))
    images = np.empty((first_positions[-1], *shapes[0]), np.uint8)
    for start, stream in zip(first_positions, streams, strict=False):
        # One domain at a time, so that no second copy of the whole is made.
        images[start : start + len(stream)] = stream.images_at(slice(None))
    return Stream(
        images,
        np.concatenate([truth.labels + first for truth, first in zip(truths, first_labels, strict=False)]),
        np.concatenate([truth.phase_starts + first for truth, first in zip(truths, first_positions, strict=False)]),
        [f"{domain} {each}" for domain, truth in zip(names, truths, strict=True) for each in truth.class_names],
        name,
        domain_names=names,
        class_domains=np.repeat(np.arange(len(streams)), num_classes),
    )
