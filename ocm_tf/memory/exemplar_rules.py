"""Rules of exemplar memories: how many of a class are kept, and which; random ones take a generator.

The rank of an exemplar is its place among those of its class, from 0, the most important first.
"""

import numpy as np

from ocm_tf.memory.class_prototypes import unit_vectors
from ocm_tf.types import ArrayLike

EXEMPLAR_SELECTIONS = ("herding", "random")


def exemplar_quota(num_seen: int, per_class: int = 20, total: int | None = None) -> int:
    """Says how many exemplars of each class are kept.

    quota = per_class, or ceil(total / num_seen) if a total is given  [Mnemonics code: 2000, hence 40 for 50 classes]

    Args:
        num_seen: number of classes seen so far.
        per_class: exemplars of a class, whatever their number.
        total: exemplars of all classes together, but for the rounding; None keeps `per_class`.

    Returns:
        int.

    Raises:
        ValueError: if a number is below 1, or the total gives less than one exemplar a class.

    Example:
        >>> exemplar_quota(50, total=2000)
        40
    """
    if num_seen < 1:
        raise ValueError(f"num_seen must be at least 1, got {num_seen}.")
    if total is None:
        if per_class < 1:
            raise ValueError(f"per_class must be at least 1, got {per_class}.")
        return per_class
    if total < num_seen:
        raise ValueError(f"total must give each of the {num_seen} classes an exemplar, got {total}.")
    return -(-total // num_seen)


def herding_order(features: ArrayLike, num_chosen: int) -> np.ndarray:
    """Orders samples of one class such that the mean of the first ones is close to that of all  [iCaRL].

    w = mean(f); repeat: j = argmax over those not chosen of <w, f_j>; w = w + mean(f) - f_j, with f of unit length

    A sample is chosen once. The first picks are the same however many are asked for.

    Args:
        features: float array of shape `(n, dim)`, of any length.
        num_chosen: number of samples wanted; more than there are means all.

    Returns:
        int array of shape `(min(num_chosen, n),)`.

    Example:
        >>> herding_order([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]], num_chosen=3)
        array([1, 2, 0])
    """
    features = unit_vectors(np.asarray(features, np.float64))
    mean = features.mean(axis=0)
    wanted = mean.copy()
    chosen = np.zeros(min(num_chosen, len(features)), np.int64)
    free = np.ones(len(features), bool)
    for place in range(len(chosen)):
        # Departs from the paper: its code may pick a sample again, which adds none but still moves the target.
        pick = np.argmax(np.where(free, features @ wanted, -np.inf))
        chosen[place], free[pick] = pick, False
        wanted += mean - features[pick]
    return chosen


def choose_exemplars(
    labels: np.ndarray,
    num_per_class: int,
    selection: str = "herding",
    features: np.ndarray | None = None,
    rng: np.random.Generator | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Chooses the exemplars of each class.

    Args:
        labels: int array of shape `(n,)`.
        num_per_class: exemplars of a class; a class that has fewer samples gives all.
        selection: one of `EXEMPLAR_SELECTIONS`.
        features: float array of shape `(n, dim)`, for `"herding"`.
        rng: `numpy.random.Generator`, for `"random"`.

    Returns:
        rows: int array of the chosen samples, class by class in order of rank.
        ranks: int array of the same shape.

    Raises:
        ValueError: if the selection is unknown.
    """
    if selection not in EXEMPLAR_SELECTIONS:
        raise ValueError(f"selection must be one of {EXEMPLAR_SELECTIONS}, got {selection!r}.")
    rows = []
    for label in np.unique(labels):
        of_class = np.flatnonzero(labels == label)
        if selection == "herding":
            rows.append(of_class[herding_order(features[of_class], num_per_class)])
        else:
            rows.append(rng.permutation(of_class)[:num_per_class])
    return np.concatenate(rows), np.concatenate([np.arange(len(part)) for part in rows])


def split_halves(labels: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Parts exemplars into two halves that both hold every class  [Mnemonics, Eq. 10].

    Args:
        labels: int array of shape `(n,)`, at least two of each class.
        rng: `numpy.random.Generator`.

    Returns:
        Two int arrays of rows; of an odd number the first has one more.

    Raises:
        ValueError: if a class has a single exemplar.
    """
    first: list[np.ndarray] = []
    second: list[np.ndarray] = []
    for label in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == label))
        if len(rows) < 2:
            raise ValueError(f"labels must name each class at least twice, class {label} has one exemplar.")
        middle = -(-len(rows) // 2)
        first.append(rows[:middle])
        second.append(rows[middle:])
    return np.sort(np.concatenate(first)), np.sort(np.concatenate(second))
