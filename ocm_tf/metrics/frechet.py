"""The Frechet distance between two sets of features, each taken for a Gaussian."""

import numpy as np

from ocm_tf.types import ArrayLike


def frechet_distance(features_a: ArrayLike, features_b: ArrayLike) -> float:
    """Computes the squared Frechet distance between the Gaussians fitted to two sets of features.

    distance = |mean_a - mean_b|**2 + trace(cov_a + cov_b - 2 * (cov_a cov_b)**(1/2))  [Dowson and Landau 1982]

    With Inception features it is the FID  [Heusel et al. 2017, Eq. 6]. It depends on the number of samples: compare
    only values of equally many.

    Args:
        features_a: float array of shape `(num_a, num_features)`, at least two rows.
        features_b: float array of shape `(num_b, num_features)`, at least two rows.

    Returns:
        float, never negative, in squared units of the features.

    Raises:
        ValueError: if the shapes do not fit together or a value is not finite.

    Example:
        >>> round(frechet_distance([[0.0], [2.0]], [[3.0], [5.0]]), 6)  # equal variances, means 1 and 4
        9.0
    """
    features = {"features_a": features_a, "features_b": features_b}
    (mean_a, factor_a), (mean_b, factor_b) = (_mean_and_factor(name, array) for name, array in features.items())
    if len(mean_a) != len(mean_b):
        raise ValueError(f"features_a and features_b must have equally many columns, got {len(mean_a)}, {len(mean_b)}.")
    # With cov = factor.T factor, the eigenvalues of cov_a cov_b are the squared singular values of factor_a factor_b.T:
    # no root of a matrix, which fails where there are fewer samples than features.
    trace_of_root = np.linalg.svd(factor_a @ factor_b.T, compute_uv=False).sum()
    variances = (factor_a**2).sum() + (factor_b**2).sum()
    return max(float(((mean_a - mean_b) ** 2).sum() + variances - 2 * trace_of_root), 0.0)


def _mean_and_factor(name, features):
    """Returns the mean and a triangular factor of the covariance, `cov = factor.T factor`."""
    features = np.asarray(features, np.float64)
    if features.ndim != 2 or len(features) < 2:
        raise ValueError(f"{name} must have shape (at least 2, num_features), got {features.shape}.")
    if not np.isfinite(features).all():
        raise ValueError(f"{name} must be finite.")
    mean = features.mean(axis=0)
    return mean, np.linalg.qr((features - mean) / np.sqrt(len(features) - 1), mode="r")
