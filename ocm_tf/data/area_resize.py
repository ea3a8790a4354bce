"""Shrinking of images by area averaging."""

import numpy as np


def area_weights(size: int, new_size: int) -> np.ndarray:
    """Computes how much of each old pixel each new pixel covers along one axis.

    weights[i, j] = overlap of [i, i + 1] * size / new_size with [j, j + 1], rows scaled to sum to 1

    Args:
        size: number of old pixels.
        new_size: number of new pixels, at most `size`.

    Returns:
        weights: float32 array of shape `(new_size, size)`.
    """
    if not 1 <= new_size <= size:
        raise ValueError(f"new_size must be from 1 to {size}, found {new_size}")
    edges = np.linspace(0, size, new_size + 1)
    pixels = np.arange(size)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return (np.maximum(overlap, 0) * new_size / size).astype(np.float32)


def area_resize(images: np.ndarray, height: int, width: int) -> np.ndarray:
    """Shrinks images by averaging over the area that each new pixel covers.

    Args:
        images: array of shape `(num_images, old_height, old_width, channels)`, values 0 to 255.
        height: new height, at most the old one.
        width: new width, at most the old one.

    Returns:
        images: uint8 array of shape `(num_images, height, width, channels)`, rounded to the nearest value.
    """
    rows = area_weights(images.shape[1], height)
    columns = area_weights(images.shape[2], width)
    averaged = np.einsum("hr,nrwc->nhwc", rows, images.astype(np.float32), optimize=True)
    averaged = np.einsum("vw,nhwc->nhvc", columns, averaged, optimize=True)
    return np.clip(np.rint(averaged), 0, 255).astype(np.uint8)
