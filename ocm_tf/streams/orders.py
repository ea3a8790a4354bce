"""Orders of arrival: from a data set's split to a stream."""

import numpy as np

from ocm_tf.streams.stream import Stream


def class_sorted(split, class_names, name="class-sorted"):
    """Orders images by class, in the order of the data set within a class: one phase a class.

    The released density scripts of OCM use this order (10 phases), although their comments speak of five tasks.

    Args:
        split: object with `images` and `labels`, such as `Dataset.train`.
        class_names: names of the labels.
        name: how results call the stream.

    Returns:
        A `Stream`.
    """
    order = np.argsort(split.labels, kind="stable")
    starts = np.flatnonzero(np.diff(split.labels[order], prepend=-1))
    return Stream(split.images, split.labels, starts, class_names, name, order)


def as_stored(split, class_names, name="as-stored"):
    """Leaves images in the order of the data set, as a single phase.

    Args:
        split: object with `images` and `labels`.
        class_names: names of the labels.
        name: how results call the stream.

    Returns:
        A `Stream`.
    """
    return Stream(split.images, split.labels, [0], class_names, name)


def label_groups(split, class_names, classes_per_phase=2, seed=0, name="label-groups"):
    """Cuts the data into phases of consecutive classes and shuffles inside each phase.

    With two classes a phase and ten classes this is the usual five-task split (0,1), (2,3), ...

    Args:
        split: object with `images` and `labels`.
        class_names: names of the labels.
        classes_per_phase: number of classes in a phase.
        seed: seed of the shuffles.
        name: how results call the stream.

    Returns:
        A `Stream`.

    Raises:
        ValueError: if `classes_per_phase` is below 1.
    """
    if classes_per_phase < 1:
        raise ValueError(f"classes_per_phase must be at least 1, got {classes_per_phase}.")
    shuffled_order = np.random.default_rng(seed).permutation(len(split.labels))
    phases = split.labels[shuffled_order] // classes_per_phase
    order = shuffled_order[np.argsort(phases, kind="stable")]
    starts = np.flatnonzero(np.diff(np.sort(phases), prepend=-1))
    return Stream(split.images, split.labels, starts, class_names, name, order)


def shuffled(split, class_names, num_images=None, seed=0, name="shuffled", domain_names=None, class_domains=None):
    """Shuffles everything together, for joint training: the upper bound of any memory.

    Args:
        split: object with `images` and `labels`.
        class_names: names of the labels.
        num_images: length of the stream; None for one pass. Each further pass is shuffled anew, the last may end early.
        seed: seed of the shuffles.
        name: how results call the stream.
        domain_names, class_domains: as for `Stream`.

    Returns:
        A `Stream` of a single phase.

    Raises:
        ValueError: if `num_images` is below 1.
    """
    total = len(split.labels)
    num_images = total if num_images is None else num_images
    if num_images < 1:
        raise ValueError(f"num_images must be at least 1, got {num_images}.")
    rng = np.random.default_rng(seed)
    order = np.concatenate([rng.permutation(total) for _ in range(-(-num_images // total))])[:num_images]
    return Stream(split.images, split.labels, [0], class_names, name, order, domain_names, class_domains)


def first_per_class(split, num_per_class):
    """Returns the first images of each class, in the order of the data set.

    Args:
        split: dataclass with `images` and `labels`.
        num_per_class: number of images of each class; None keeps all.

    Returns:
        An object of the type of `split`.

    Raises:
        ValueError: if a class has fewer images.
    """
    if num_per_class is None:
        return split
    _, counts = np.unique(split.labels, return_counts=True)
    if counts.min() < num_per_class:
        raise ValueError(f"{num_per_class} images per class wanted, the smallest class has {counts.min()}.")
    by_class = [np.flatnonzero(split.labels == label)[:num_per_class] for label in np.unique(split.labels)]
    order = np.sort(np.concatenate(by_class))
    return type(split)(split.images[order], split.labels[order])


def evenly_spaced(split, num_images):
    """Returns images at equal distances in the order of the data set, such that none of its parts is left out.

    Args:
        split: dataclass with `images` and `labels`.
        num_images: most images to keep; None keeps all.

    Returns:
        An object of the type of `split`.
    """
    if num_images is None or num_images >= len(split.labels):
        return split
    kept = np.arange(num_images) * len(split.labels) // num_images
    return type(split)(split.images[kept], split.labels[kept])
