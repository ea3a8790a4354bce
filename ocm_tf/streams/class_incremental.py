"""Experiences that bring new classes."""

import numpy as np

from ocm_tf.streams.experience import Experience
from ocm_tf.streams.experience_split import ExperienceSplit


def shuffled_class_order(num_classes, seed=1993):
    """Shuffles the labels with NumPy's legacy generator: the order that iCaRL, LUCIR and Mnemonics share.

    Args:
        num_classes: number of classes.
        seed: seed of the generator.

    Returns:
        Int array of shape `(num_classes,)`; for 100 classes and the default seed it begins with 68, 56, 78, 8, 23.
    """
    order = np.arange(num_classes)
    np.random.RandomState(seed).shuffle(order)
    return order


def class_incremental_experiences(dataset, class_order, classes_per_experience):
    """Cuts a data set into experiences of a few classes each.

    Labels are numbered anew, by the place of the class in `class_order`, so that those seen so far are always the first
    ones. The test part of an experience holds its own classes only: an evaluation on all classes seen so far joins
    the parts.

    Args:
        dataset: `Dataset`.
        class_order: int array, each label of the data set once, in the order in which the classes come.
        classes_per_experience: number of classes of every experience, or a list of one number for each, such as
            `[50, 10, 10, 10, 10, 10]`.

    Returns:
        List of `Experience`, whose images keep the order of the data set.

    Raises:
        ValueError: if the order is no permutation of the labels or the numbers do not add up to that of the classes.
    """
    class_order, num_classes = np.asarray(class_order), dataset.spec.num_classes
    if class_order.shape != (num_classes,) or not np.array_equal(np.sort(class_order), np.arange(num_classes)):
        raise ValueError(f"class_order must hold each label from 0 to {num_classes - 1} once, got {class_order}.")
    numbers = classes_per_experience
    if np.ndim(numbers) == 0:
        if numbers < 1 or num_classes % numbers:
            raise ValueError(f"classes_per_experience must divide the {num_classes} classes, got {numbers}.")
        numbers = [numbers] * (num_classes // numbers)
    if min(numbers, default=0) < 1 or sum(numbers) != num_classes:
        raise ValueError(f"classes_per_experience must be positive and add up to {num_classes}, got {list(numbers)}.")
    place_of = np.argsort(class_order)
    class_names = tuple(dataset.spec.class_names[label] for label in class_order)
    ends = np.cumsum(numbers)
    experiences = []
    for index, (start, end) in enumerate(zip(ends - numbers, ends, strict=True)):
        parts = []
        for split in (dataset.train, dataset.test):
            labels = place_of[split.labels]
            rows = np.flatnonzero((start <= labels) & (labels < end))
            parts.append(ExperienceSplit(split.images, labels, rows))
        name = f"class {start}" if end == start + 1 else f"classes {start} to {end - 1}"
        experiences.append(Experience(index, name, *parts, class_names))
    return experiences
