"""Orders of arrival: from a data set's split to a stream."""

from collections.abc import Sequence

import numpy as np

from ocm_tf.data import Split
from ocm_tf.streams.stream import Stream
from ocm_tf.types import LabelledImages


def class_sorted(split: LabelledImages, class_names: Sequence[str], name: str = "class-sorted") -> Stream:
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


def as_stored(split: LabelledImages, class_names: Sequence[str], name: str = "as-stored") -> Stream:
    """Leaves images in the order of the data set, as a single phase.

    Args:
        split: object with `images` and `labels`.
        class_names: names of the labels.
        name: how results call the stream.

    Returns:
        A `Stream`.
    """
    return Stream(split.images, split.labels, [0], class_names, name)


def label_groups(
    split: LabelledImages,
    class_names: Sequence[str],
    classes_per_phase: int = 2,
    seed: int | None = 0,
    name: str = "label-groups",
) -> Stream:
    """Cuts the data into phases of consecutive classes, by default shuffled inside each phase.

    With two classes a phase and ten classes this is the usual five-task split (0,1), (2,3), ...

    Args:
        split: object with `images` and `labels`.
        class_names: names of the labels.
        classes_per_phase: number of classes in a phase.
        seed: seed of the shuffles; None leaves the order of the data set inside a phase.
        name: how results call the stream.

    Returns:
        A `Stream`.

    Raises:
        ValueError: if `classes_per_phase` is below 1.
    """
    order, starts = _grouped_order(split.labels, classes_per_phase, seed)
    return Stream(split.images, split.labels, starts, class_names, name, order)


def imbalanced(
    split: LabelledImages,
    class_names: Sequence[str],
    classes_per_phase: int,
    dominant: int,
    num_dominant: int,
    num_other: int,
    seed: int = 0,
    name: str = "imbalanced",
) -> Stream:
    """Cuts the data into phases of consecutive classes of which one has many more images than the others.

    Images are drawn without replacement from all of a phase's classes together, and come shuffled.

    Args:
        split: object with `images` and `labels`.
        class_names: names of the labels.
        classes_per_phase: number of classes in a phase.
        dominant: the phase with many images, counted from 1 as in the paper's choices.
        num_dominant: images of that phase.
        num_other: images of each other phase.
        seed: seed of the draws and shuffles.
        name: how results call the stream.

    Returns:
        A `Stream`.

    Raises:
        ValueError: if a count is below 1, there is no such phase, or a phase has too few images.
    """
    for argument, value in (("num_dominant", num_dominant), ("num_other", num_other)):
        if value < 1:
            raise ValueError(f"{argument} must be at least 1, got {value}.")
    order, starts = _grouped_order(split.labels, classes_per_phase, seed)
    phases = np.split(order, starts[1:])
    if not 1 <= dominant <= len(phases):
        raise ValueError(f"dominant must name one of the phases 1..{len(phases)}, got {dominant}.")
    sizes = [num_dominant if number == dominant else num_other for number in range(1, len(phases) + 1)]
    for number, (phase, size) in enumerate(zip(phases, sizes, strict=True), 1):
        if len(phase) < size:
            raise ValueError(f"{size} images wanted of phase {number}, which has {len(phase)}.")
    # A phase comes shuffled, so its first images are a draw without replacement.
    order = np.concatenate([phase[:size] for phase, size in zip(phases, sizes, strict=True)])
    return Stream(split.images, split.labels, np.cumsum([0, *sizes[:-1]]), class_names, name, order)


def _grouped_order(labels, classes_per_phase, seed):
    # Indices of all images, in phases of consecutive classes and shuffled within these, and where the phases begin.
    if classes_per_phase < 1:
        raise ValueError(f"classes_per_phase must be at least 1, got {classes_per_phase}.")
    within = np.arange(len(labels)) if seed is None else np.random.default_rng(seed).permutation(len(labels))
    phases = labels[within] // classes_per_phase
    order = within[np.argsort(phases, kind="stable")]
    return order, np.flatnonzero(np.diff(np.sort(phases), prepend=-1))


def shuffled(
    split: LabelledImages,
    class_names: Sequence[str],
    num_images: int | None = None,
    seed: int = 0,
    name: str = "shuffled",
    domain_names: Sequence[str] | None = None,
    class_domains: np.ndarray | None = None,
) -> Stream:
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


def first_per_class(split: Split, num_per_class: int | None) -> Split:
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


def hold_out(split: Split, every: int = 10) -> tuple[Split, Split]:
    """Sets images of each class aside, for choosing settings without the test images.

    Args:
        split: dataclass with `images` and `labels`.
        every: of how many images of a class, in the order of the data set, the first is set aside.

    Returns:
        `(kept, held_out)`, two objects of the type of `split`.
    """
    held_out = np.zeros(len(split.labels), bool)
    for label in np.unique(split.labels):
        held_out[np.flatnonzero(split.labels == label)[::every]] = True
    kept, aside = (type(split)(split.images[rows], split.labels[rows]) for rows in (~held_out, held_out))
    return kept, aside


def evenly_spaced(split: Split, num_images: int | None) -> Split:
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
