"""What phases of new classes did to a classifier, from its accuracies after each."""

import numpy as np
from scipy import stats


def incremental_summary(accuracies, base_accuracies):
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


def paired_difference(values, baseline, confidence=0.95):
    """Computes the mean difference of pairs and the half-width of its confidence interval, by Student's t.

    Args:
        values: float array of shape `(n,)`.
        baseline: float array of the same shape, each value's partner.
        confidence: of the interval.

    Returns:
        mean: float.
        half_width: float; nan for a single pair.
        num_higher: int, in how many pairs the value is the higher one.
    """
    differences = np.asarray(values, np.float64) - np.asarray(baseline, np.float64)
    half_width = np.nan
    if len(differences) > 1:
        quantile = stats.t.ppf((1 + confidence) / 2, len(differences) - 1)
        half_width = float(quantile * differences.std(ddof=1) / np.sqrt(len(differences)))
    return float(differences.mean()), half_width, int(np.sum(differences > 0))
