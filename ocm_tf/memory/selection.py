"""Rules that choose which samples are kept: pure functions of scores and counts."""

import numpy as np

from ocm_tf.errors import DivergedError
from ocm_tf.types import ArrayLike

SELECTIONS = ("similar", "dissimilar", "random")


def select_samples(
    scores: ArrayLike,
    selection: str = "similar",
    threshold: float | None = None,
    max_selected: int | None = None,
    rng: np.random.Generator | None = None,
) -> np.ndarray:
    """Chooses which short-term samples move to the long-term memory, best first  [OCM, Algorithm 2].

    `similar` keeps samples whose score is above the threshold, the highest first: the rule as published.
    `dissimilar` keeps those below it, the lowest first. `random` draws without regard to scores or threshold.

    Args:
        scores: float array of shape `(n,)`.
        selection: one of `SELECTIONS`.
        threshold: bound on the score; None lets every sample pass.
        max_selected: most samples chosen; None sets no limit.
        rng: `numpy.random.Generator`, needed by `random` only.

    Returns:
        int array of chosen indices, in order of preference; ties keep the order of arrival.

    Raises:
        ValueError: if `selection` is unknown.
        DivergedError: if a score is NaN.

    Example:
        >>> select_samples([0.2, 0.7, 0.9], threshold=0.5)
        array([2, 1])
        >>> select_samples([0.2, 0.7, 0.9], "dissimilar", max_selected=1)
        array([0])
    """
    scores = np.asarray(scores)
    if selection not in SELECTIONS:
        raise ValueError(f"selection must be one of {SELECTIONS}, got {selection!r}.")
    if np.isnan(scores).any():
        count = int(np.isnan(scores).sum())
        raise DivergedError(f"{count} of {len(scores)} scores are NaN: the model has diverged; lower the learning rate")
    if selection == "random":
        return rng.permutation(len(scores))[:max_selected]
    if selection == "similar":
        order = np.argsort(-scores, kind="stable")[:max_selected]
        return order if threshold is None else order[scores[order] > threshold]
    order = np.argsort(scores, kind="stable")[:max_selected]
    return order if threshold is None else order[scores[order] < threshold]


def reservoir_slots(num_seen: int, capacity: int, num_new: int, rng: np.random.Generator) -> np.ndarray:
    """Draws the slot of each newcomer in a reservoir that is a uniform sample of all seen  [Vitter 1985, Algorithm R].

    Args:
        num_seen: number of samples offered before these.
        capacity: number of slots.
        num_new: number of newcomers.
        rng: `numpy.random.Generator`.

    Returns:
        int array of shape `(num_new,)`: the slot each takes, in order of arrival, or -1 where it is discarded. Of
        several newcomers with one slot the last stays.
    """
    order = num_seen + np.arange(num_new)
    drawn = (rng.random(num_new) * (order + 1)).astype(np.int64)
    return np.where(order < capacity, order, np.where(drawn < capacity, drawn, -1))
