"""How many samples of each class a replay holds."""

import numpy as np

from ocm_tf.types import ArrayLike


def largest_remainder(total: int, shares: ArrayLike) -> np.ndarray:
    """Splits a number into whole parts in proportion to shares; the parts add up to it exactly.

    Each part is the whole part of its exact value; what is left goes, one each, to the largest fractions, of equal
    ones to the first.

    Args:
        total: number to split, not negative.
        shares: float array of shape `(n,)`, not negative; they need not add up to 1.

    Returns:
        int array of shape `(n,)`.

    Raises:
        ValueError: if `total` is negative, or the shares are no proportions.

    Example:
        >>> largest_remainder(10, [1, 1, 1])
        array([4, 3, 3])
    """
    shares = np.asarray(shares, np.float64)
    if total < 0:
        raise ValueError(f"total must not be negative, got {total}.")
    if not np.isfinite(shares).all() or (shares < 0).any() or shares.sum() <= 0:
        raise ValueError(f"shares must be finite, not negative and not all zero, got {shares}.")
    exact = total * (shares / shares.sum())
    # A quotient that should be whole may come out a rounding error below.
    parts = np.floor(exact + 1e-9).astype(np.int64)
    fractions = np.where(shares > 0, exact - parts, -1)
    parts[np.argsort(-np.round(fractions, 9), kind="stable")[: total - parts.sum()]] += 1
    return parts


def class_counts(
    num: int, proportions: ArrayLike, multinomial: bool = False, rng: np.random.Generator | None = None
) -> np.ndarray:
    """Says how many of `num` samples each class gets.

    Args:
        num: number of samples.
        proportions: float array of shape `(num_classes,)`.
        multinomial: whether the counts are drawn; otherwise they are `largest_remainder`, the same each time.
        rng: `numpy.random.Generator`, needed to draw.

    Returns:
        int array of shape `(num_classes,)` that adds up to `num`.

    Raises:
        ValueError: as `largest_remainder`.

    Example:
        >>> class_counts(5, [0.5, 0.3, 0.2])
        array([3, 1, 1])
    """
    counts = largest_remainder(num, proportions)
    if not multinomial:
        return counts
    shares = np.asarray(proportions, np.float64)
    return rng.multinomial(num, shares / shares.sum())
