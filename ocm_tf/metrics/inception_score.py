"""The inception score of generated images, from the class probabilities that a classifier gives them."""

import numpy as np
from scipy.special import rel_entr

from ocm_tf.types import ArrayLike


def inception_score(probabilities: ArrayLike, num_splits: int = 10) -> tuple[float, float]:
    """Computes the inception score: high where each image is surely of one class and all classes occur.

    score = exp(mean_x(KL(p(y|x) || mean_x(p(y|x)))))  [Salimans et al. 2016, section 4]

    Args:
        probabilities: float array of shape `(num_images, num_classes)`, each row a distribution.
        num_splits: parts, in the order given, that are scored one by one.

    Returns:
        mean, std: floats, over the parts; each score lies between 1 and `num_classes`.

    Raises:
        ValueError: if the rows are no distributions, or there are fewer images than parts.

    Example:
        >>> mean, std = inception_score([[1.0, 0.0], [0.0, 1.0]], num_splits=1)  # both classes, each for sure
        >>> round(mean, 6), std
        (2.0, 0.0)
    """
    probabilities = np.asarray(probabilities, np.float64)
    if probabilities.ndim != 2 or not 1 <= num_splits <= len(probabilities):
        raise ValueError(
            f"probabilities must have shape (at least num_splits={num_splits}, num_classes), got {probabilities.shape}."
        )
    if not ((probabilities >= 0).all() and np.allclose(probabilities.sum(axis=1), 1, atol=1e-3)):
        raise ValueError("probabilities must not be negative and sum to 1 in each row.")
    scores = [
        np.exp(rel_entr(part, part.mean(axis=0)).sum(axis=1).mean())
        for part in np.array_split(probabilities, num_splits)
    ]
    return float(np.mean(scores)), float(np.std(scores))
