"""The memory of frozen clusters."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from ocm_tf.memory.sample_buffer import SampleBuffer, Samples
from ocm_tf.types import Tensor


@keras.saving.register_keras_serializable(package="ocm_tf")
class EvolvingMemory(keras.layers.Layer):
    """Holds clusters of equally many samples, each frozen from the moment it is made  [DEMC].

    It stands where other rules have their long-term memory: `CooperativeMemory(temporary, evolving,
    seed_long_term=False)` trains on the union of all samples, each with equal chance.

    Args:
        max_clusters: most clusters there is room for.
        cluster_size: samples in a cluster, K in DEMC.
        sample_shape: shape of one sample.
        sample_dtype: dtype of the images.
        **kwargs: as for `keras.layers.Layer`.
    """

    def __init__(
        self,
        max_clusters: int,
        cluster_size: int,
        sample_shape: Sequence[int],
        sample_dtype: str = "uint8",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if max_clusters < 1 or cluster_size < 1:
            raise ValueError(f"max_clusters and cluster_size must be at least 1, got {max_clusters}, {cluster_size}.")
        self.max_clusters, self.cluster_size, self.sample_dtype = max_clusters, cluster_size, sample_dtype
        self.sample_shape = tuple(sample_shape)
        # One cluster behind the other: the union of all is then a slice, and a cluster a reshaped part of it.
        self.samples = SampleBuffer(max_clusters * cluster_size, self.sample_shape, sample_dtype, name="samples")

        def weight(name, shape):
            return self.add_weight(name=name, shape=shape, dtype="int64", initializer="zeros", trainable=False)

        self.created, self.num_discarded = weight("created", (max_clusters,)), weight("num_discarded", ())
        self.built = True

    @property
    def num_clusters(self) -> int:
        """Number of clusters held."""
        return len(self.samples) // self.cluster_size

    @property
    def count(self) -> keras.Variable:
        """Weight that holds the number of samples."""
        return self.samples.count

    @property
    def num_bytes(self) -> int:
        """Bytes of the images in use."""
        return self.samples.num_bytes

    def __len__(self) -> int:
        return len(self.samples)

    def in_use(self) -> Samples:
        """Returns all samples as `Samples` of tensors; works inside a graph."""
        return self.samples.in_use()

    def rows(self, indices: Tensor) -> Samples:
        """Returns the samples at `indices` as `Samples` of tensors; works inside a graph."""
        return self.samples.rows(indices)

    def read(self) -> Samples:
        """Returns a copy of all samples as `Samples` of NumPy arrays, one cluster behind the other."""
        return self.samples.read()

    def clusters(self) -> Samples:
        """Returns `Samples` of arrays with leading dimensions `(num_clusters, cluster_size)`."""
        shape = (self.num_clusters, self.cluster_size)
        return Samples(*(column.reshape(*shape, *column.shape[1:]) for column in self.read()))

    def creation_steps(self) -> np.ndarray:
        """Returns the batch at whose end each cluster was made, an int array of shape `(num_clusters,)`."""
        return self.created.numpy()[: self.num_clusters]

    def add_cluster(self, samples: Samples, step: int) -> None:
        """Freezes samples as a new cluster.

        Args:
            samples: `Samples` of `cluster_size` samples.
            step: number of batches seen.

        Raises:
            ValueError: if there are not `cluster_size` samples, or no room for a further cluster.
        """
        if len(samples.positions) != self.cluster_size:
            raise ValueError(
                f"{self.name} holds clusters of {self.cluster_size}, got {len(samples.positions)} samples."
            )
        if self.num_clusters == self.max_clusters:
            raise ValueError(f"{self.name} holds {self.max_clusters} clusters already; drop one first.")
        self._set_created([*self.creation_steps(), step])
        self.samples.add(samples)

    def drop(self, index: int) -> None:
        """Discards a cluster; the later ones move up.

        Args:
            index: int, in 0..num_clusters - 1.
        """
        if not 0 <= index < self.num_clusters:
            raise IndexError(f"{self.name} holds {self.num_clusters} clusters, got index {index}.")
        self._set_created(np.delete(self.creation_steps(), index))
        self.samples.pop(index * self.cluster_size + np.arange(self.cluster_size))
        self.num_discarded.assign(self.num_discarded + self.cluster_size)

    def _set_created(self, steps):
        self.created.assign(np.pad(np.asarray(steps, np.int64), (0, self.max_clusters - len(steps))))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "max_clusters": self.max_clusters,
            "cluster_size": self.cluster_size,
            "sample_shape": self.sample_shape,
            "sample_dtype": self.sample_dtype,
        }
