"""What a sequence of experiences did to a learner, from its accuracy matrix.

`accuracies[i, j]` is the accuracy on the test set of experience j after learning experience i, a fraction. Values above
the diagonal, on what was not learned yet, may be nan where nobody measured them.
"""

import numpy as np

from ocm_tf.types import ArrayLike


def average_accuracy(accuracies: ArrayLike) -> float:
    """Computes the mean accuracy over all experiences after the last one.

    average_accuracy = mean(accuracies[-1])

    Args:
        accuracies: float array of shape `(num_experiences, num_experiences)`, values in [0, 1]; nan is allowed above
            the diagonal.

    Returns:
        Float in [0, 1].

    Raises:
        ValueError: if the matrix is not of that form.

    Example:
        >>> average_accuracy([[1.0, 0.25], [0.5, 0.75]])
        0.625
    """
    return float(_checked(accuracies)[-1].mean())


def learning_accuracy(accuracies: ArrayLike) -> float:
    """Computes the mean accuracy on each experience directly after learning it.

    learning_accuracy = mean(diag(accuracies))

    Args, returns and raises: as `average_accuracy`.
    """
    return float(np.diag(_checked(accuracies)).mean())


def average_incremental_accuracy(accuracies: ArrayLike) -> float:
    """Computes the mean, over time, of the mean accuracy on the experiences learned so far.

    average_incremental_accuracy = mean over i of mean(accuracies[i, :i + 1])

    Args, returns and raises: as `average_accuracy`.

    Example:
        >>> average_incremental_accuracy([[1.0, 0.25], [0.5, 0.75]])  # (1 + 0.625) / 2
        0.8125
    """
    accuracies = _checked(accuracies)
    return float(np.mean([row[: i + 1].mean() for i, row in enumerate(accuracies)]))


def forgetting(accuracies: ArrayLike, reference: str = "learned") -> float:
    """Computes by how much the accuracies on earlier experiences are lower in the end than they were.

    forgetting = mean over j < T - 1 of (reference_j - accuracies[T - 1, j])

    with reference_j = accuracies[j, j] for "learned", and max(accuracies[j:T - 1, j]) for "best" (Chaudhry et al. 2018,
    of the values since j was learned).

    Args:
        accuracies: as for `average_accuracy`, of two experiences or more.
        reference: "learned" or "best".

    Returns:
        Float in [-1, 1]; below 0 if later experiences helped.

    Raises:
        ValueError: if the matrix is not of that form or the reference is another.

    Example:
        >>> forgetting([[1.0, 0.25], [0.5, 0.75]])
        0.5
    """
    accuracies = _checked(accuracies, least=2)
    if reference == "learned":
        references = np.diag(accuracies)[:-1]
    elif reference == "best":
        before_last = accuracies[:-1, :-1]
        references = np.where(np.tri(len(before_last), dtype=bool), before_last, 0).max(axis=0)
    else:
        raise ValueError(f"reference must be 'learned' or 'best', got {reference!r}.")
    return float((references - accuracies[-1, :-1]).mean())


def backward_transfer(accuracies: ArrayLike) -> float:
    """Computes by how much later experiences raised the accuracies on earlier ones.

    backward_transfer = mean over j < T - 1 of (accuracies[T - 1, j] - accuracies[j, j])  [Lopez-Paz and Ranzato 2017]

    Args:
        accuracies: as for `average_accuracy`, of two experiences or more.

    Returns:
        Float in [-1, 1], the negative of `forgetting`.

    Raises:
        ValueError: if the matrix is not of that form.
    """
    return -forgetting(accuracies)


def forward_transfer(accuracies: ArrayLike, baselines: ArrayLike = 0.0) -> float:
    """Computes how well the next experience is done before it is learned, above a baseline.

    forward_transfer = mean over j > 0 of (accuracies[j - 1, j] - baselines[j])  [Lopez-Paz and Ranzato 2017]

    With the default baseline it is the zero-shot transfer.

    Args:
        accuracies: as for `average_accuracy`, of two experiences or more, measured just above the diagonal too.
        baselines: accuracy of a model that learned nothing: a number, or one for each of the experiences.

    Returns:
        Float in [-1, 1].

    Raises:
        ValueError: if the matrix is not of that form, was not measured there, or the baselines do not fit.

    Example:
        >>> forward_transfer([[1.0, 0.25], [0.5, 0.75]])
        0.25
    """
    accuracies = _checked(accuracies, least=2)
    zero_shot = np.diag(accuracies, 1)
    if np.isnan(zero_shot).any():
        raise ValueError("accuracies must be measured just above the diagonal too, got nan there.")
    baselines = np.asarray(baselines, np.float64)
    if baselines.shape not in ((), (len(accuracies),)) or not ((baselines >= 0) & (baselines <= 1)).all():
        raise ValueError(f"baselines must be one or {len(accuracies)} values in [0, 1], got {baselines}.")
    return float((zero_shot - np.broadcast_to(baselines, len(accuracies))[1:]).mean())


def _checked(accuracies: ArrayLike, least: int = 1) -> np.ndarray:
    accuracies = np.asarray(accuracies, np.float64)
    if accuracies.ndim != 2 or accuracies.shape[0] != accuracies.shape[1] or len(accuracies) < least:
        raise ValueError(
            f"accuracies must be a square matrix with a row for each experience, at least {least}, got shape "
            f"{accuracies.shape}."
        )
    if np.isnan(np.tril(accuracies)).any():
        raise ValueError("accuracies must be measured on and below the diagonal, got nan there.")
    found = accuracies[~np.isnan(accuracies)]
    if not ((found >= 0) & (found <= 1)).all():
        raise ValueError(f"accuracies must lie in [0, 1], got {found.min():g} to {found.max():g}.")
    return accuracies
