"""Features of an Inception network whose weights the user has."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from ocm_tf.errors import UserError
from ocm_tf.types import PathLike

_SIDE = 299


class InceptionFeatures:
    """Maps images to the pooled features of InceptionV3, and to its probabilities of the 1,000 ImageNet classes.

    It is the network of `keras.applications`. FIDs in print mostly come from the TensorFlow graph of 2015, whose
    weights and resizing differ: the two agree roughly, not to the digit. Nothing is ever downloaded.

    Args:
        weights: path of a weights file of InceptionV3 with its top, such as the
            `inception_v3_weights_tf_dim_ordering_tf_kernels.h5` of Keras, a `.weights.h5` or a `.keras` file.
        image_shape: shape `(height, width, channels)` of one image, with 1 or 3 channels.

    Raises:
        UserError: if the file is missing or holds no such weights.
    """

    def __init__(self, weights: PathLike, image_shape: Sequence[int]) -> None:
        weights = Path(weights).expanduser()
        if not weights.is_file():
            raise UserError(f"there is no file of Inception weights at {weights}")
        network = keras.applications.InceptionV3(weights=None)
        try:
            with warnings.catch_warnings():
                # Keras leaves layers that the file lacks as they were drawn, and only warns.
                warnings.filterwarnings("error", message="Skipping (nested|loading)")
                network.load_weights(weights)
        except Exception as error:  # Keras and h5py raise almost anything for a file of another kind.
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise UserError(f"{weights} holds no weights of InceptionV3 with its top ({reason})") from error
        hidden = inputs = keras.Input(image_shape)
        if image_shape[-1] == 1:
            hidden = keras.layers.Concatenate()([inputs] * 3)
        hidden = keras.layers.Resizing(_SIDE, _SIDE)(hidden)
        # What `keras.applications.inception_v3.preprocess_input` does to values up to 255.
        hidden = keras.layers.Rescaling(2.0, -1.0)(hidden)
        pooled = keras.Model(network.input, [network.get_layer("avg_pool").output, network.output])
        self.network = keras.Model(inputs, pooled(hidden))

    def __call__(self, images: np.ndarray, batch_size: int = 32) -> tuple[np.ndarray, np.ndarray]:
        """Computes features and probabilities.

        Args:
            images: float array of shape `(n, height, width, channels)`, values in [0, 1].
            batch_size: images computed together.

        Returns:
            features, probabilities: float arrays of shapes `(n, 2048)` and `(n, 1000)`.
        """
        return self.network.predict(images, batch_size=batch_size, verbose=0)
