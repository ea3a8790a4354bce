"""One vector for each class, made of the features of its samples, and what classifies by them."""

import numpy as np

_LEAST_NORM = 1e-12


def unit_vectors(vectors: np.ndarray) -> np.ndarray:
    """Scales vectors along the last axis to length 1; a vector of zeros stays.

    Args:
        vectors: float array of shape `(..., dim)`.

    Returns:
        Array of the same shape.

    Example:
        >>> unit_vectors(np.array([3.0, 4.0]))
        array([0.6, 0.8])
    """
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), _LEAST_NORM)


def class_means(
    features: np.ndarray, labels: np.ndarray, num_classes: int, mirrored: np.ndarray | None = None
) -> np.ndarray:
    """Computes the mean direction of each class  [iCaRL].

    mean_c = unit(mean over samples of c of unit(f)), with mirrored features unit((that + that of the mirrored) / 2)

    Args:
        features: float array of shape `(n, dim)`.
        labels: int array of shape `(n,)`, every class at least once.
        num_classes: number of classes.
        mirrored: features of the mirrored samples, or None.

    Returns:
        float array of shape `(num_classes, dim)`, rows of length 1.

    Raises:
        ValueError: if a class has no sample.
    """
    counts = np.bincount(labels, minlength=num_classes)
    if not counts[:num_classes].all():
        raise ValueError(f"labels must name all {num_classes} classes, {int(np.argmin(counts))} is missing.")
    member = (labels == np.arange(num_classes)[:, None]) / counts[:num_classes, None]
    means = member @ unit_vectors(features)
    if mirrored is not None:
        means = (means + member @ unit_vectors(mirrored)) / 2
    return unit_vectors(means)


def nearest_class_mean(features: np.ndarray, means: np.ndarray) -> np.ndarray:
    """Names for each sample the class whose mean is nearest: argmax_c <mean_c, f>, as all means have length 1.

    Args:
        features: float array of shape `(n, dim)`.
        means: float array of shape `(num_classes, dim)`, rows of length 1.

    Returns:
        int array of shape `(n,)`.

    Example:
        >>> nearest_class_mean(np.array([[1.0, 0.2], [0.1, 5.0]]), means=np.eye(2))
        array([0, 1])
    """
    return np.argmax(features @ means.T, axis=1)


def imprinted_rows(features: np.ndarray, labels: np.ndarray, old_rows: np.ndarray) -> np.ndarray:
    """Makes the rows of new classes in a cosine classifier from the features of their samples  [LUCIR code].

    row_c = unit(mean over samples of c of unit(f)) * mean(norm of the old rows)

    Args:
        features: float array of shape `(n, dim)`.
        labels: int array of shape `(n,)` of the classes that follow the old ones.
        old_rows: float array of shape `(num_old, dim)`.

    Returns:
        float array of shape `(num_new, dim)`.
    """
    num_new = int(labels.max()) + 1 - len(old_rows)
    norm = np.linalg.norm(old_rows, axis=1).mean()
    return class_means(features, labels - len(old_rows), num_new) * norm


def class_margins(features: np.ndarray, labels: np.ndarray, means: np.ndarray) -> np.ndarray:
    """Says how far samples are from the boundary of their class: own cosine minus the best other one.

    margin = <mean_own, unit(f)> - max over c != own of <mean_c, unit(f)>

    Args:
        features: float array of shape `(n, dim)`.
        labels: int array of shape `(n,)`.
        means: float array of shape `(num_classes, dim)`, rows of length 1, at least two.

    Returns:
        float array of shape `(n,)`, between -2 and 2; the lower, the nearer to another class.

    Example:
        >>> class_margins(np.array([[3.0, 4.0]]), labels=np.array([1]), means=np.eye(2))
        array([0.2])
    """
    cosines = unit_vectors(features) @ means.T
    own = cosines[np.arange(len(labels)), labels]
    others = np.where(np.arange(len(means)) == np.asarray(labels)[:, None], -np.inf, cosines)
    return own - others.max(axis=1)
