"""A fixed block of memory for samples, kept as weights of a layer."""

from __future__ import annotations

import math
from collections.abc import MutableMapping, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from ocm_tf.free_memory import require_memory
from ocm_tf.memory.selection import reservoir_slots
from ocm_tf.types import Array, ArrayLike, Tensor


class Samples(NamedTuple):
    """Samples taken out of a buffer, or on their way into one.

    Attributes:
        images: array of shape `(n, *sample_shape)`.
        labels: int array of shape `(n,)`; -1 where the stream gave none.
        positions: int array of shape `(n,)`, each sample's place in the stream, counted from 0.
    """

    images: Array
    labels: Array
    positions: Array

    def take(self, indices: np.ndarray | slice) -> Samples:
        """Returns the samples at `indices`, in that order."""
        return Samples(*(field[indices] for field in self))


@keras.saving.register_keras_serializable(package="ocm_tf")
class SampleBuffer(keras.layers.Layer):
    """Holds up to `capacity` samples as non-trainable weights.

    So it lives on the device, is sampled inside a compiled graph, and is part of every checkpoint and `.keras`
    file (which stores only the rows in use). `append` works inside a graph; the methods that return NumPy arrays or
    raise on overflow are for callbacks, between steps.

    A sample's position in the stream is kept beside it, so that an evaluation which knows the stream can say what
    the memory holds, while the model itself is told no label.

    Args:
        capacity: number of rows.
        sample_shape: shape of one sample.
        sample_dtype: dtype of the images; `"uint8"` takes a quarter of the room of floats.
        spare_rows: rows beyond the capacity, for a subclass that lets a batch overfill it.
        **kwargs: as for `keras.layers.Layer`.

    Raises:
        UserError: if it takes more memory than is free.
    """

    def __init__(
        self,
        capacity: int,
        sample_shape: Sequence[int],
        sample_dtype: str = "uint8",
        spare_rows: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if capacity < 1:
            raise ValueError(f"capacity must be at least 1, got {capacity}.")
        self.capacity, self.sample_shape, self.sample_dtype = capacity, tuple(sample_shape), sample_dtype
        self.spare_rows, self.num_rows = spare_rows, capacity + spare_rows
        # The image, its label and its position.
        row_bytes = math.prod(self.stored_shape) * np.dtype(sample_dtype).itemsize + 16
        require_memory(self.num_rows * row_bytes, f"a memory of {self.num_rows:,} samples x {row_bytes:,} bytes")

        def weight(name, shape, dtype):
            return self.add_weight(name=name, shape=shape, dtype=dtype, initializer="zeros", trainable=False)

        self.images = weight("images", (self.num_rows, *self.stored_shape), sample_dtype)
        self.labels = weight("labels", (self.num_rows,), "int64")
        self.positions = weight("positions", (self.num_rows,), "int64")
        self.count = weight("count", (), "int32")
        self.built = True

    @property
    def columns(self) -> Samples:
        """The three weights that hold a sample each row, in the order of `Samples`."""
        return Samples(self.images, self.labels, self.positions)

    def __len__(self) -> int:
        return int(self.count.numpy())

    @property
    def stored_shape(self) -> tuple[int, ...]:
        """Shape in which a sample is kept; a subclass that packs samples has one of its own."""
        return self.sample_shape

    def pack(self, images: Tensor) -> Tensor:
        """Turns images into what is kept of them; works inside a graph."""
        return tf.cast(images, self.sample_dtype)

    def unpack(self, stored: Tensor) -> Tensor:
        """Turns what is kept back into images; works inside a graph."""
        return stored

    def append(self, samples: Samples) -> None:
        """Writes a batch behind the rows in use; works inside a graph.

        Args:
            samples: `Samples` of tensors with one leading dimension; the caller sees to it that they fit.

        Raises:
            ValueError: if the images are floats and the buffer holds whole numbers, which would make zeros of them.
        """
        dtype = tf.as_dtype(samples.images.dtype)
        if dtype.is_floating and tf.as_dtype(self.sample_dtype).is_integer:
            raise ValueError(f"{self.name} holds {self.sample_dtype} images, got {dtype.name}.")
        self._append_stored(samples._replace(images=self.pack(samples.images)))

    def _append_stored(self, stored):
        num_new = tf.shape(stored.positions)[0]
        rows = (self.count + tf.range(num_new))[:, None]
        for column, new in zip(self.columns, stored, strict=True):
            column.assign(tf.tensor_scatter_nd_update(column.value, rows, tf.cast(new, column.dtype)))
        self.count.assign(self.count + num_new)

    def in_use(self) -> Samples:
        """Returns the rows in use as `Samples` of tensors; works inside a graph."""
        held = Samples(*(column.value[: self.count.value] for column in self.columns))
        return held._replace(images=self.unpack(held.images))

    def rows(self, indices: Tensor) -> Samples:
        """Returns the rows in use at `indices` as `Samples` of tensors; works inside a graph."""
        held = Samples(*(tf.gather(column.value, indices) for column in self.columns))
        return held._replace(images=self.unpack(held.images))

    def read(self) -> Samples:
        """Returns a copy of the rows in use as `Samples` of NumPy arrays."""
        return Samples(*(np.array(column) for column in self.in_use()))

    def add(self, samples: Samples) -> None:
        """Writes samples behind the rows in use.

        Args:
            samples: `Samples` of arrays.

        Raises:
            ValueError: if they do not fit, or their shape is not `sample_shape`.
        """
        if samples.images.shape[1:] != self.sample_shape:
            raise ValueError(f"{self.name} holds samples of shape {self.sample_shape}, got {samples.images.shape[1:]}.")
        if len(self) + len(samples.positions) > self.num_rows:
            raise ValueError(
                f"{self.name} has room for {self.num_rows} samples and holds {len(self)}; "
                f"{len(samples.positions)} more do not fit."
            )
        self.append(Samples(*map(tf.convert_to_tensor, samples)))

    def replace(self, rows: ArrayLike, samples: Samples) -> None:
        """Overwrites rows in use; of several samples for one row the last stays.

        Args:
            rows: int array of shape `(n,)`.
            samples: `Samples` of n samples.

        Raises:
            IndexError: if a row is not in use.
        """
        rows = np.asarray(rows, np.int64)
        if len(rows) and (rows.min() < 0 or rows.max() >= len(self)):
            raise IndexError(f"{self.name} has {len(self)} rows in use, got rows {rows.min()} to {rows.max()}.")
        stored = samples._replace(images=self.pack(tf.convert_to_tensor(samples.images)))
        for column, new in zip(self.columns, stored, strict=True):
            values = column.numpy().copy()
            values[rows] = np.asarray(new)
            column.assign(values)

    def offer(self, samples: Samples, num_seen: int, capacity: int, rng: np.random.Generator) -> None:
        """Lets samples in by reservoir sampling: all ever offered have an equal chance to be held.

        Args:
            samples: `Samples` of arrays, in order of arrival.
            num_seen: number of samples offered before these.
            capacity: size of the reservoir, at most the buffer's own.
            rng: `numpy.random.Generator`.
        """
        slots = reservoir_slots(num_seen, capacity, len(samples.positions), rng)
        num_free = max(capacity - len(self), 0)
        self.add(samples.take(slice(num_free)))
        slots, samples = slots[num_free:], samples.take(slice(num_free, None))
        self.replace(slots[slots >= 0], samples.take(slots >= 0))

    def pop(self, indices: np.ndarray) -> Samples:
        """Takes samples out; the others close up and keep their order.

        Args:
            indices: int array of rows in use, in the order wanted.

        Returns:
            `Samples` of the taken rows.
        """
        held = self.read()
        kept = np.delete(np.arange(len(self)), indices)
        self.clear()
        self.add(held.take(kept))
        return held.take(indices)

    def clear(self) -> None:
        """Forgets all samples; the pixels are overwritten too, not just no longer counted."""
        for column in (*self.columns, self.count):
            column.assign(tf.zeros(column.shape, column.dtype))

    @property
    def num_bytes(self) -> int:
        """Bytes of the images in use; labels and positions serve evaluation and are not counted."""
        return len(self) * math.prod(self.stored_shape) * np.dtype(self.sample_dtype).itemsize

    def save_own_variables(self, store: MutableMapping[str, Any]) -> None:
        count = len(self)
        for name, column in self.columns._asdict().items():
            store[name] = column.numpy()[:count]

    def load_own_variables(self, store: MutableMapping[str, Any]) -> None:
        stored = Samples(*(np.asarray(store[name]) for name in Samples._fields))
        if len(stored.positions) > self.num_rows:
            raise ValueError(f"The file holds {len(stored.positions)} samples for {self.name} of {self.num_rows} rows.")
        if stored.images.shape[1:] != self.stored_shape:
            raise ValueError(
                f"The file holds samples stored as {stored.images.shape[1:]} for {self.name}, which stores them as "
                f"{self.stored_shape}."
            )
        self.clear()
        self._append_stored(Samples(*map(tf.convert_to_tensor, stored)))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "capacity": self.capacity,
            "sample_shape": self.sample_shape,
            "sample_dtype": self.sample_dtype,
            "spare_rows": self.spare_rows,
        }
