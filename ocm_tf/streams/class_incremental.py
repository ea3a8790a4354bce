"""Experiences that bring new classes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ocm_tf.streams.experience import Experience
from ocm_tf.streams.experience_split import ExperienceSplit
from ocm_tf.types import ArrayLike

if TYPE_CHECKING:
    from ocm_tf.data.dataset import Dataset


def shuffled_class_order(num_classes: int, seed: int = 1993) -> np.ndarray:
    """Shuffles the labels with NumPy's legacy generator: the order that iCaRL, LUCIR and Mnemonics share.

    Args:
        num_classes: number of classes.
        seed: seed of the generator.

    Returns:
        Int array of shape `(num_classes,)`; for 100 classes and the default seed it begins with 68, 56, 78, 8, 23.

    Example:
        >>> shuffled_class_order(100)[:5]
        array([68, 56, 78,  8, 23])
    """
    order = np.arange(num_classes)
    np.random.RandomState(seed).shuffle(order)
    return order


def drawn_class_labels(num_classes: int = 1000, num_drawn: int = 100, seed: int = 1993) -> np.ndarray:
    """Draws the classes of ImageNet-Subset among the sorted ones of ImageNet, with NumPy's legacy generator.

    Args:
        num_classes: number of classes.
        num_drawn: number of classes drawn.
        seed: seed of the generator.

    Returns:
        Int array of shape `(num_drawn,)`, in the order drawn.

    Raises:
        ValueError: if there are not as many.
    """
    if not 1 <= num_drawn <= num_classes:
        raise ValueError(f"num_drawn must lie in 1..{num_classes}, got {num_drawn}.")
    return np.random.RandomState(seed).choice(num_classes, num_drawn, replace=False)


def drawn_classes(dataset: Dataset, num_drawn: int, seed: int = 1993) -> Dataset:
    """Keeps the classes of a data set that `drawn_class_labels` draws, numbered in the order drawn.

    Args:
        dataset: `Dataset`.
        num_drawn: number of classes.
        seed: seed of the draw.

    Returns:
        A `Dataset`.
    """
    drawn = drawn_class_labels(dataset.spec.num_classes, num_drawn, seed)
    place_of = np.full(dataset.spec.num_classes, -1)
    place_of[drawn] = np.arange(num_drawn)
    parts = {}
    for name in ("train", "test"):
        split = getattr(dataset, name)
        rows = np.flatnonzero(place_of[split.labels] >= 0)
        parts[name] = type(split)(split.images[rows], place_of[split.labels[rows]])
    names = tuple(dataset.spec.class_names[label] for label in drawn)
    return dataclasses.replace(dataset, spec=dataclasses.replace(dataset.spec, class_names=names), **parts)


def class_incremental_experiences(
    dataset: Dataset, class_order: ArrayLike, classes_per_experience: int | Sequence[int]
) -> list[Experience]:
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
    numbers: Any = classes_per_experience
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
        train, test = parts
        name = f"class {start}" if end == start + 1 else f"classes {start} to {end - 1}"
        experiences.append(Experience(index, name, train, test, class_names))
    return experiences
