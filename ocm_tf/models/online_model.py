"""The training step shared by all models that learn a stream through a memory."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import keras
import tensorflow as tf

from ocm_tf.models.data_parallel import minimise
from ocm_tf.models.nested_config import deserialize_parts
from ocm_tf.types import Tensor


class OnlineModel(keras.Model):
    """A model for which one `fit` is one stream and one step is one arriving batch.

    The step puts the batch in memory and then makes `epochs_per_batch` passes over all that the memory holds, in
    minibatches, inside one compiled graph  [OCM, Algorithm 2, lines "for each epoch"]. Or it makes `steps_per_batch`
    updates, however much the memory holds. Without a memory the step is an ordinary one on the batch alone.

    A subclass says what a minibatch does in `minibatch_step`.

    Built and compiled under the scope of a `tf.distribute.MirroredStrategy`, the devices share each minibatch: weights
    and optimizers are mirrored, while the memory and the random draws of training stay on the first device. The losses
    are those of one device, but for rounding. Make the model itself outside of the scope:

        model = VAE(...)
        with tf.distribute.MirroredStrategy().scope():
            model.build((None, *image_shape))
            model.compile(keras.optimizers.Adam())

    Args:
        memory: layer with `observe(images, labels)` and `gather()`, such as `CooperativeMemory`; or None.
        epochs_per_batch: passes over the memory for each arriving batch.
        minibatch_size: samples in a minibatch.
        steps_per_batch: updates for each arriving batch in place of whole passes, each on a minibatch drawn from the
            memory with replacement; None makes passes.
        drop_remainder: whether a pass drops the samples left after the last whole minibatch; the next pass shuffles
            anew.
        seed: seed of all random draws of training.
        **kwargs: as for `keras.Model`.
    """

    further_optimizers: tuple[str, ...] = ()
    """Names of the attributes that hold optimizers besides `optimizer`; arguments of `compile` by the same names."""

    def __init__(
        self,
        memory: keras.layers.Layer | None = None,
        epochs_per_batch: int = 100,
        minibatch_size: int = 64,
        steps_per_batch: int | None = None,
        drop_remainder: bool = True,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if tf.distribute.get_strategy().num_replicas_in_sync > 1:
            raise ValueError("Make the model outside of the strategy's scope; only build and compile belong into it.")
        counts = {"epochs_per_batch": epochs_per_batch, "minibatch_size": minibatch_size}
        for name, value in {**counts, "steps_per_batch": steps_per_batch}.items():
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}.")
        self.memory = memory
        self.epochs_per_batch, self.minibatch_size = epochs_per_batch, minibatch_size
        self.steps_per_batch, self.drop_remainder, self.seed = steps_per_batch, drop_remainder, seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def compile(
        self, optimizer: str | keras.optimizers.Optimizer = "adam", jit_compile: bool = False, **kwargs: Any
    ) -> None:
        """Configures training; the loss is the model's own.

        Args:
            optimizer: a Keras optimizer.
            jit_compile: whether XLA compiles the step. Off by default: the memory's changing size makes it compile
                again and again, and on a CPU it brought no gain.
            **kwargs: as for `keras.Model.compile`.

        Raises:
            ValueError: under the scope of a strategy of several devices, if the model cannot share a minibatch.
        """
        self.strategy = tf.distribute.get_strategy()
        if self.strategy.num_replicas_in_sync > 1:
            self._require_shared_losses()
        super().compile(optimizer=optimizer, jit_compile=jit_compile, **kwargs)
        # Loading restores an optimizer's state only into variables that exist.
        self.optimizer.build(self.optimized_variables)

    @property
    def optimized_variables(self) -> list[keras.Variable]:
        """Variables that `optimizer` updates: all that train, unless a subclass has another optimizer for some."""
        return self.trainable_variables

    @property
    def loss_layers(self) -> tuple[keras.layers.Layer, ...] | None:
        """Layers that `update` runs on each device, or None if the model trains on one device alone."""
        return None

    def _require_shared_losses(self):
        if self.loss_layers is None:
            raise ValueError(f"{type(self).__name__} trains on one device; compile it outside of the strategy's scope.")
        for layer in self.loss_layers:
            if layer.non_trainable_variables:
                state = layer.non_trainable_variables[0].path
                raise ValueError(
                    f"{type(self).__name__} with {type(layer).__name__} trains on one device: the layer's state "
                    f"{state} follows the whole minibatch, of which a device sees a share."
                )

    def get_compile_config(self) -> dict[str, Any]:
        # A copy `without_memory` is not compiled and has none.
        names = self.further_optimizers if self.compiled else ()
        further = {name: keras.saving.serialize_keras_object(getattr(self, name)) for name in names}
        return {**super().get_compile_config(), **further}

    def compile_from_config(self, config: dict[str, Any]) -> None:
        # Keras compiles a loaded model only if `compile` is its own.
        self.compile(**keras.saving.deserialize_keras_object(config))

    def minibatch_step(self, images: Tensor, labels: Tensor) -> Tensor:
        """Makes one update of the model's weights; works inside a graph.

        Args:
            images: tensor of shape `(minibatch, *sample_shape)`, as stored in memory.
            labels: int tensor of shape `(minibatch,)`, -1 where the stream gave none.

        Returns:
            loss: float scalar tensor, before the update.
        """
        raise NotImplementedError(f"{type(self).__name__} must define minibatch_step.")

    def update(
        self,
        loss_of: Callable[..., Tensor],
        samples: tuple[Tensor, ...],
        variables: Sequence[keras.Variable],
        optimizer: keras.optimizers.Optimizer | None = None,
    ) -> Tensor:
        """Makes one step of an optimizer, shared by the devices of the strategy; works inside a graph.

        Args:
            loss_of: function of the samples to the mean of their losses, which draws nothing and writes nothing.
            samples: tuple of tensors of one leading dimension.
            variables: what to update.
            optimizer: a Keras optimizer built on them; None takes the model's own.

        Returns:
            loss: float scalar tensor, before the update.
        """
        return minimise(loss_of, samples, optimizer or self.optimizer, variables, self.strategy)

    def train_step(self, data: Any) -> dict[str, Tensor]:
        images, labels, _ = keras.utils.unpack_x_y_sample_weight(data)
        if labels is None:
            labels = -tf.ones(tf.shape(images)[:1], tf.int64)
        if self.memory is None:
            loss = self.minibatch_step(images, labels)
        else:
            self.memory.observe(images, labels)
            loss = self.train_on_memory()
        # Keras has a mean of its own, which `fit` reports in the end; left alone it would say 0.
        next(metric for metric in self.metrics if metric.name == "loss").update_state(loss)
        return {"loss": loss}

    def train_on_memory(self) -> Tensor:
        """Makes all updates that follow an arriving batch; works inside a graph.

        Returns:
            loss: float scalar tensor, the mean over all minibatches.
        """
        held = self.memory.gather()
        num_held = tf.shape(held.positions)[0]
        if self.steps_per_batch is not None:
            shape = (self.steps_per_batch * self.minibatch_size,)
            rows = keras.random.randint(shape, 0, num_held, seed=self.seed_generator)
            return self._train_on_rows(held, rows, self.minibatch_size, self.steps_per_batch) / self.steps_per_batch
        size = tf.minimum(self.minibatch_size, num_held)
        num_steps = num_held // size if self.drop_remainder else -(-num_held // size)

        def one_epoch(epoch, total):
            order = keras.random.shuffle(tf.range(num_held), seed=self.seed_generator)
            return epoch + 1, total + self._train_on_rows(held, order, size, num_steps)

        _, total = tf.while_loop(
            lambda epoch, _: epoch < self.epochs_per_batch, one_epoch, (0, 0.0), parallel_iterations=1
        )
        return total / tf.cast(self.epochs_per_batch * num_steps, tf.float32)

    def _train_on_rows(self, held, rows, size, num_steps):
        # One iteration after the other: each step reads the weights that the one before wrote.
        def one_step(step, total):
            chosen = rows[step * size : (step + 1) * size]
            loss = self.minibatch_step(tf.gather(held.images, chosen), tf.gather(held.labels, chosen))
            return step + 1, total + loss

        return tf.while_loop(lambda step, _: step < num_steps, one_step, (0, 0.0), parallel_iterations=1)[1]

    def without_memory(self) -> Self:
        """Returns a copy of the model that holds no training sample: same weights, same outputs."""
        config = {**self.get_config(), "memory": None}
        copy = type(self).from_config(config)
        copy.build_from_config(self.get_build_config())
        in_memory = set() if self.memory is None else {id(weight) for weight in self.memory.weights}
        sources = [weight for weight in self.weights if id(weight) not in in_memory]
        for weight, source in zip(copy.weights, sources, strict=True):
            weight.assign(source)
        return copy

    def get_config(self) -> dict[str, Any]:
        memory = None if self.memory is None else keras.saving.serialize_keras_object(self.memory)
        return {
            **super().get_config(),
            "memory": memory,
            "epochs_per_batch": self.epochs_per_batch,
            "minibatch_size": self.minibatch_size,
            "steps_per_batch": self.steps_per_batch,
            "drop_remainder": self.drop_remainder,
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Self:
        return cls(**deserialize_parts(config, custom_objects))
