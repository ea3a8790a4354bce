"""Similarity kernels on latent features and the score by which long-term samples are chosen.

Symbols of the OCM paper (Eqs. 20 to 23) and their names here:
    z_e -> short_term features, z_l -> long_term features, alpha -> alpha, R^S -> scores.

Everything is float64: a float32 Gram matrix is wrong by up to 5e-4 on identical rows, enough to reorder scores.
"""

import numpy as np
import tensorflow as tf

from ocm_tf.types import ArrayLike


def squared_distances(first: ArrayLike, second: ArrayLike) -> np.ndarray:
    """Computes all squared Euclidean distances as `|a|**2 + |b|**2 - 2 a.b`, never negative.

    Args:
        first: float array of shape `(n, dim)`.
        second: float array of shape `(m, dim)`.

    Returns:
        float64 array of shape `(n, m)`.
    """
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    distances = _inner_products(first, second)
    distances *= -2.0
    distances += np.einsum("nd,nd->n", first, first)[:, None]
    distances += np.einsum("md,md->m", second, second)
    return np.maximum(distances, 0.0, out=distances)


def rbf_kernel(first: ArrayLike, second: ArrayLike, alpha: float, distance_scale: float = 1.0) -> np.ndarray:
    """Computes `exp(-|a - b|**2 / (2 alpha**2))` for all pairs  [OCM, Eq. 20].

    Args:
        first: float array of shape `(n, dim)`.
        second: float array of shape `(m, dim)`.
        alpha: the kernel's width, positive.
        distance_scale: factor on the squared distances; 1/C keeps the concatenated features of C components comparable.

    Returns:
        float64 array of shape `(n, m)`, values in (0, 1].

    Example:
        >>> rbf_kernel([[0.0, 0.0]], [[0.0, 0.0], [3.0, 4.0]], alpha=5.0)  # 1 and exp(-25 / 50)
        array([[1.        , 0.60653066]])
    """
    # Departs from the paper: the matrix form printed in its algorithm squares an inner product instead of a difference.
    # That gives 1 to orthogonal vectors and about 0 to long identical ones, so it is taken for a misprint of Eq. 20.
    exponents = squared_distances(first, second)
    exponents *= -distance_scale / (2.0 * alpha**2)
    return np.exp(exponents, out=exponents)


def laplace_code_kernel(first: ArrayLike, second: ArrayLike, alpha: float, distance_scale: float = 1.0) -> np.ndarray:
    """Computes `exp(-sqrt(|a - b|**2 / (2 alpha**2)))`, the kernel of the authors' released code.

    The root makes it a Laplacian kernel. The published ablations over the threshold and over alpha fit this form.

    Args:
        first: float array of shape `(n, dim)`.
        second: float array of shape `(m, dim)`.
        alpha: the kernel's width, positive.
        distance_scale: as for `rbf_kernel`.

    Returns:
        float64 array of shape `(n, m)`, values in (0, 1].
    """
    exponents = squared_distances(first, second)
    exponents *= distance_scale / (2.0 * alpha**2)
    np.sqrt(exponents, out=exponents)
    return np.exp(np.negative(exponents, out=exponents), out=exponents)


def cosine_similarity(
    first: ArrayLike, second: ArrayLike, alpha: float | None = None, distance_scale: float = 1.0
) -> np.ndarray:
    """Computes the cosine of the angle between all pairs (variant VAE-ELBO-OCM-COS).

    Args:
        first: float array of shape `(n, dim)`.
        second: float array of shape `(m, dim)`.
        alpha: not used; every kernel has one signature.
        distance_scale: not used.

    Returns:
        float64 array of shape `(n, m)`, values in [-1, 1]; 0 for a zero vector.

    Example:
        >>> cosine_similarity([[1.0, 0.0]], [[2.0, 0.0], [0.0, 3.0]])
        array([[1., 0.]])
    """
    del alpha, distance_scale
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    tiny = np.finfo(np.float64).tiny
    first = first / np.maximum(np.linalg.norm(first, axis=1, keepdims=True), tiny)
    second = second / np.maximum(np.linalg.norm(second, axis=1, keepdims=True), tiny)
    return _inner_products(first, second)


def _inner_products(first, second):
    # By TensorFlow, since NumPy's threads go on spinning for milliseconds after a product of this size.
    return tf.matmul(first, second, transpose_b=True).numpy()


KERNELS = {"rbf": rbf_kernel, "laplace_code": laplace_code_kernel, "cosine": cosine_similarity}


def kernel_scores(
    short_term: np.ndarray, long_term: np.ndarray, kernel: str = "rbf", alpha: float = 10.0, distance_scale: float = 1.0
) -> np.ndarray:
    """Scores each short-term sample by its mean similarity to the long-term memory  [OCM, Eqs. 21 to 23].

    Args:
        short_term: float array of shape `(n, dim)`, features of the short-term samples.
        long_term: float array of shape `(m, dim)`, features of the long-term samples.
        kernel: a key of `KERNELS`.
        alpha: the kernel's width.
        distance_scale: factor on the squared distances, see `rbf_kernel`.

    Returns:
        float64 array of shape `(n,)`.

    Raises:
        ValueError: if the kernel is unknown, alpha is not positive, or the long-term memory is empty.

    Example:
        >>> kernel_scores(np.array([[0.0, 0.0], [3.0, 4.0]]), np.array([[0.0, 0.0]]), alpha=5.0)
        array([1.        , 0.60653066])
    """
    if kernel not in KERNELS:
        raise ValueError(f"kernel must be one of {sorted(KERNELS)}, got {kernel!r}.")
    if alpha <= 0:
        raise ValueError(f"alpha must be positive, got {alpha}.")
    if len(long_term) == 0:
        raise ValueError("The long-term memory is empty: a mean similarity to nothing has no value.")
    return KERNELS[kernel](short_term, long_term, alpha, distance_scale).mean(axis=1)
