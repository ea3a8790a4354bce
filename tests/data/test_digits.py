import hashlib

import numpy as np
from sklearn.datasets import load_digits

from ocm_tf.data import load


def test_split_is_fixed_for_ever():
    dataset = load("digits")
    assert dataset.train.images.shape == (1500, 8, 8, 1)
    assert dataset.test.images.shape == (297, 8, 8, 1)
    parts = (dataset.train.images, dataset.train.labels, dataset.test.images, dataset.test.labels)
    digest = hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()
    assert digest == "2bbd35bf107a0bb545dcb3501050674247e839955e08e20097f0d4afdda0bedf"


def test_holds_every_digit_once_scaled_by_rounding():
    dataset = load("digits")
    images = np.concatenate([dataset.train.images, dataset.test.images])
    originals = load_digits().images
    expected = {(np.floor(image * 255 / 16 + 0.5)).astype(np.uint8).tobytes() for image in originals}
    assert {image.tobytes() for image in images} == expected
    assert sorted(np.unique(images)) == [round(value * 255 / 16) for value in range(17)]
    assert np.bincount(dataset.test.labels).min() > 20
