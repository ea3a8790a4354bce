"""What phases of new classes did to a classifier, from its accuracies after each."""

from collections.abc import Sequence

import numpy as np


def incremental_summary(accuracies: Sequence[float], base_accuracies: Sequence[float]) -> dict[str, float]:
    """Sums up the accuracies after each phase.

    average = mean(accuracies), the first phase included; last = accuracies[-1]; forgetting = base_accuracies[0] -
    base_accuracies[-1]  [Mnemonics]

    Args:
        accuracies: floats, the accuracy on all classes seen after each phase.
        base_accuracies: floats, likewise on the classes of the first phase, predicted among all classes seen.

    Returns:
        dict of `average`, `last` and `forgetting`, in the unit of the accuracies.

    Raises:
        ValueError: if the two are not equally long, or empty.

    Example:
        >>> incremental_summary([0.75, 0.5], base_accuracies=[0.75, 0.25])
        {'average': 0.625, 'last': 0.5, 'forgetting': 0.5}
    """
    if len(accuracies) != len(base_accuracies) or not len(accuracies):
        raise ValueError(
            f"accuracies and base_accuracies must have a value for each phase, got {len(accuracies)} and "
            f"{len(base_accuracies)}."
        )
    return {
        "average": float(np.mean(accuracies)),
        "last": float(accuracies[-1]),
        "forgetting": float(base_accuracies[0] - base_accuracies[-1]),
    }
