"""The 1,797 handwritten digits of 8x8 pixels that come with scikit-learn."""

import numpy as np

from ocm_tf.data.class_names import DIGITS
from ocm_tf.data.dataset import Dataset
from ocm_tf.data.dataset_spec import DatasetSpec
from ocm_tf.data.split import Split
from ocm_tf.errors import UserError

NUM_TRAIN = 1500
_LARGEST = 16


def load_digits_dataset() -> Dataset:
    """Loads the digits in a fixed split of 1,500 training and 297 test images.

    Returns:
        dataset: the `Dataset`; images `(num_images, 8, 8, 1)`, 0 to 16 scaled to 0 to 255 and rounded.

    Raises:
        UserError: if scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise UserError(f"digits come with scikit-learn, which cannot be imported ({error})") from error
    images, labels = load_digits(return_X_y=True)
    images = np.rint(images.reshape(-1, 8, 8, 1) * (255 / _LARGEST)).astype(np.uint8)
    # RandomState, since NumPy promises never to change what it draws.
    order = np.random.RandomState(0).permutation(len(images))
    train, test = order[:NUM_TRAIN], order[NUM_TRAIN:]
    labels = labels.astype(np.int64)
    spec = DatasetSpec(
        name="digits",
        image_shape=(8, 8, 1),
        class_names=DIGITS,
        source="scikit-learn (test part of the UCI optical digits)",
        licence="CC BY 4.0 (Alpaydin and Kaynak 1998)",
        note="real 8x8 digits; the split is this package's own",
    )
    return Dataset(Split(images[train], labels[train]), Split(images[test], labels[test]), spec)
