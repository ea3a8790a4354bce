"""What all classifiers that learn one experience after the other have in common."""

from __future__ import annotations

import contextlib
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from typing import Any, Self

import keras
import numpy as np
import tensorflow as tf

from ocm_tf.errors import UserError
from ocm_tf.models.nested_config import deserialize_parts
from ocm_tf.types import Arrays, Tensor, TrainingData

# What a random generator of an experience is for; see `ContinualClassifier.rng`.
ORDER, MEMORY, REPLAY, GENERATION = range(4)

_EVALUATED_ROWS = 1000


class ContinualClassifier(keras.Model):
    """Learns experiences in order, each by one `fit` over all its training samples; no task is named when predicting.

    One Keras step makes `minibatches_per_step` updates in one compiled graph: it is handed the rows of so many
    minibatches, those of the experience and those replayed beside them. No number of rows is part of the graph, so
    all experiences share one trace.

    The gradient of a minibatch is that of the mean cross-entropy, in nats, plus `weight_decay * weight` for every
    weight and bias that is trained  [GLR code: coupled L2]. The optimizer starts afresh with each experience, except
    for its learning rate.

    Shuffling and choosing follow from `seed`, the number of the experience and that of the epoch alone. A `.keras` file
    saved between experiences holds all that is needed to go on alike: weights, optimizer, memory, states of dropout.

    Args:
        backbone: functional `keras.Model`, uint8 images -> latents; see `split_at`.
        head: functional `keras.Model`, latents -> logits.
        batch_size: samples of the experience in a minibatch.
        weight_decay: factor of the L2 term's gradient.
        minibatches_per_step: updates in one Keras step, so that its overhead vanishes; callbacks come between steps.
        seed: seed of all order and choice.
        **kwargs: as for `keras.Model`.

    Attributes:
        experience_index: number of the experience at hand, or of the next one.
        seconds: wall time that fitting what is remembered (`"fit"`) and drawing from it (`"sample"`) took since the
            model was made or loaded.

    Call: images of shape `(batch, height, width, channels)` -> logits of shape `(batch, num_classes)`.
    """

    def __init__(
        self,
        backbone: keras.Model,
        head: keras.Model,
        batch_size: int = 64,
        weight_decay: float = 0.0005,
        minibatches_per_step: int = 100,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        for name, value in {"batch_size": batch_size, "minibatches_per_step": minibatches_per_step}.items():
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}.")
        if backbone.output_shape[1:] != head.input_shape[1:] or len(head.input_shape) != 2:
            raise ValueError(
                f"backbone and head must meet in a vector, got shapes {backbone.output_shape} and {head.input_shape}."
            )
        self.backbone, self.head = backbone, head
        self.batch_size, self.weight_decay = batch_size, weight_decay
        self.minibatches_per_step, self.seed = minibatches_per_step, seed
        self.image_shape = tuple(backbone.input_shape[1:])
        self.num_classes, self.latent_dim = head.output_shape[-1], backbone.output_shape[-1]
        self.experience_index = 0
        self.seconds = {"fit": 0.0, "sample": 0.0}
        self.accuracy_tracker = keras.metrics.Mean(name="accuracy")
        # Of the experience at hand.
        self._inputs: Any = None
        self._labels: np.ndarray | None = None
        self.built = True  # both parts are

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        return self.head(self.backbone(inputs, training=training), training=training)

    @property
    def is_frozen(self) -> bool:
        """Whether the backbone has been frozen."""
        return not self.backbone.trainable

    def classify(self, images: np.ndarray) -> np.ndarray:
        """Computes the probabilities of the classes.

        Args:
            images: uint8 array of shape `(n, *image_shape)`.

        Returns:
            float32 array of shape `(n, num_classes)`.
        """
        return tf.nn.softmax(self.predict(images, batch_size=_EVALUATED_ROWS, verbose=0)).numpy()

    def compile(
        self, optimizer: keras.optimizers.Optimizer | None = None, jit_compile: bool = False, **kwargs: Any
    ) -> None:
        """Configures training; the loss is the model's own.

        Args:
            optimizer: a Keras optimizer; None takes SGD of learning rate 0.001 and momentum 0.9  [GLR code].
            jit_compile: whether XLA compiles the step; on a CPU it brought no gain.
            **kwargs: as for `keras.Model.compile`.
        """
        if optimizer is None:
            optimizer = keras.optimizers.SGD(0.001, momentum=0.9)
        super().compile(optimizer=optimizer, jit_compile=jit_compile, **kwargs)
        self.optimizer.build(self.trainable_variables)
        self._fresh_optimizer = [variable.numpy() for variable in self.optimizer.variables]

    def compile_from_config(self, config: dict[str, Any]) -> None:
        # Keras compiles a loaded model only if `compile` is its own.
        self.compile(**keras.saving.deserialize_keras_object(config))

    # Learning an experience

    def fit_experience(
        self,
        experience: TrainingData,
        epochs: int = 40,
        callbacks: Sequence[keras.callbacks.Callback] = (),
        verbose: int = 0,
        resume: Callable[[ContinualClassifier], int] | None = None,
        start: int = 0,
    ) -> keras.callbacks.History:
        """Learns one experience, then updates what is remembered of it.

        Callbacks may define `on_experience_begin(experience)` and `on_experience_end(experience)` besides the hooks of
        Keras; the latter is called when the memory is up to date.

        Args:
            experience: object with `train.images`, a uint8 array, and `train.labels`, such as `Experience`.
            epochs: most passes over its samples.
            callbacks: Keras callbacks.
            verbose: as for `keras.Model.fit`.
            resume: called with the model when all is ready for the first epoch; may put back the state of a `fit` that
                was interrupted between two epochs, and returns how many it had done. None starts with the first.
            start: Keras steps of this experience that were done before the model was restored in the midst of it.

        Returns:
            history: what `fit` returns; of an experience that is resumed, that of its whole epochs.

        Raises:
            UserError: if images or labels do not fit the model.
        """
        images, labels = self._checked(experience)
        callbacks = list(callbacks)
        for callback in callbacks:
            callback.set_model(self)
        _notify(callbacks, "on_experience_begin", experience)
        try:
            self._inputs, self._labels = self.begin_experience(images, labels)
            if start == 0:
                self.prepare_weights(images, labels)
            if resume is not None:
                start = resume(self) * self.steps_per_epoch
            history = self._fit_rows(epochs, [*callbacks, *self.own_callbacks()], verbose, start)
            self.end_experience(images, labels)
        finally:
            self._inputs = self._labels = None
        self.experience_index += 1
        _notify(callbacks, "on_experience_end", experience)
        return history

    @property
    def steps_per_epoch(self) -> int:
        """Keras steps of an epoch of the experience at hand."""
        return -(-self._num_minibatches() // self.minibatches_per_step)

    def _fit_rows(self, epochs, callbacks, verbose=0, start=0):
        """Trains on the rows at hand; of an epoch that was begun before, a `fit` of its own does the rest."""
        history, steps = None, self.steps_per_epoch
        while start < epochs * steps or history is None:
            first, done = divmod(start, steps)
            history = self.fit(
                self._minibatches(epochs, start),
                initial_epoch=first,
                epochs=first + 1 if done else epochs,
                steps_per_epoch=steps - done,
                callbacks=callbacks,
                verbose=verbose,
                shuffle=False,
            )
            if self.stop_training:
                break
            start = (first + 1 if done else epochs) * steps
        return history

    def prepare_weights(self, images: np.ndarray, labels: np.ndarray) -> None:
        """Changes weights before an experience is trained on; not called when one is resumed."""
        self._reset_optimizer()

    def begin_experience(self, images: np.ndarray, labels: np.ndarray) -> tuple[Any, np.ndarray]:
        """Prepares for an experience, also for one that is resumed.

        Returns:
            inputs, labels: arrays of the rows to be trained on.
        """
        return images, labels

    def end_experience(self, images: np.ndarray, labels: np.ndarray) -> None:
        """Remembers what the method keeps of an experience."""

    def own_callbacks(self) -> list[keras.callbacks.Callback]:
        """Returns callbacks of the method itself for the `fit` of the experience at hand."""
        return []

    def transient_num_bytes(self) -> int:
        """Returns the bytes that the method needs beside its state and the images while it learns the experience."""
        return 0

    @contextlib.contextmanager
    def timed(self, what: str) -> Iterator[None]:
        """Adds the time that its block takes to `seconds[what]`."""
        began = time.perf_counter()
        yield
        self.seconds[what] += time.perf_counter() - began

    def rng(self, purpose: int, epoch: int = 0) -> np.random.Generator:
        """Makes the random generator of a purpose in the experience at hand; it does not depend on what came before."""
        return np.random.default_rng([purpose, self.seed, self.experience_index, epoch])

    def _checked(self, experience):
        images, labels = np.asarray(experience.train.images), np.asarray(experience.train.labels, np.int32)
        if images.dtype != np.uint8 or images.shape[1:] != self.backbone.input_shape[1:]:
            expected, got = self.backbone.input_shape[1:], images.shape[1:]
            raise UserError(f"the model takes uint8 images of shape {expected}, got {images.dtype} of {got}.")
        if len(labels) == 0 or labels.shape != images.shape[:1]:
            raise UserError(f"every image needs a label, got {len(images)} images and labels of shape {labels.shape}.")
        if labels.min() < 0 or labels.max() >= self.num_classes:
            raise UserError(
                f"the model tells {self.num_classes} classes apart, got labels {labels.min()} to {labels.max()}; "
                f"make its head larger."
            )
        return images, labels

    def _reset_optimizer(self):
        for variable, value in zip(self.optimizer.variables, self._fresh_optimizer, strict=True):
            if variable is not self.optimizer.learning_rate:
                variable.assign(value)

    # Minibatches

    def batch_split(self) -> tuple[int, int]:
        """Returns how many samples of a minibatch are the experience's own and how many are replayed."""
        return self.batch_size, 0

    def replay_for_epoch(
        self, num_wanted: int, rng: np.random.Generator
    ) -> Callable[[int, int], tuple[np.ndarray, ...]]:
        """Returns `take(first, last)`, which gives inputs, labels and experiences of that part of an epoch's replay."""
        nothing = np.zeros((0, *self.replay_spec.shape[1:]), self.replay_spec.dtype.as_numpy_dtype)
        return lambda first, last: (nothing, np.zeros(0, np.int32), np.zeros(0, np.int32))

    @property
    def replay_spec(self) -> tf.TensorSpec:
        """Shape and dtype of replayed inputs."""
        return tf.TensorSpec((None, *self._inputs.shape[1:]), self._inputs.dtype)

    def minibatch_weights(
        self, num_current: np.ndarray, num_replayed: int, experiences: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Gives each sample its factor in the loss of its minibatch; here all have an equal one.

        Args:
            num_current: int array of shape `(minibatches,)`, samples of the experience in each minibatch.
            num_replayed: replayed samples in each.
            experiences: int array of shape `(minibatches * num_replayed,)`, from which each replayed sample is.

        Returns:
            float arrays, one factor for each of the experience's samples and one for each replayed.
        """
        equal = 1 / (num_current + num_replayed)
        return np.repeat(equal, num_current), np.repeat(equal, num_replayed)

    def _num_minibatches(self):
        return -(-len(self._labels) // self.batch_split()[0])

    def _minibatches(self, epochs, start=0):
        current = tf.TensorSpec((None, *self._inputs.shape[1:]), self._inputs.dtype)
        column = tf.TensorSpec((None,), tf.int32)
        factors = tf.TensorSpec((None,), tf.float32)
        signature = {
            "current": (current, column, factors, column),
            "replayed": (self.replay_spec, column, factors),
            "sizes": tf.TensorSpec((2,), tf.int32),
        }
        # TensorFlow keeps the function of a generator for good, and with it would keep the model.
        model = weakref.ref(self)
        chunks = tf.data.Dataset.from_generator(lambda: model()._chunks(epochs, start), output_signature=signature)
        return chunks.prefetch(1)

    def _chunks(self, epochs, start=0):
        """Yields the rows of one Keras step after the other; it runs ahead of training, so it must not depend on it."""
        num_current, num_replayed = self.batch_split()
        num_minibatches = self._num_minibatches()
        first_epoch, done = divmod(start, self.steps_per_epoch)
        for epoch in range(first_epoch, epochs):
            order = self.rng(ORDER, epoch).permutation(len(self._labels)).astype(np.int32)
            take = self.replay_for_epoch(num_minibatches * num_replayed, self.rng(REPLAY, epoch))
            begun = done * self.minibatches_per_step if epoch == first_epoch else 0
            for first in range(begun, num_minibatches, self.minibatches_per_step):
                last = min(first + self.minibatches_per_step, num_minibatches)
                rows = order[first * num_current : last * num_current]
                sizes = np.full(last - first, num_current)
                sizes[-1] = len(rows) - sizes[:-1].sum()
                inputs, labels, experiences = take(first * num_replayed, last * num_replayed)
                weights, replay_weights = self.minibatch_weights(sizes, num_replayed, experiences)
                yield {
                    "current": (self._inputs[rows], self._labels[rows], weights, rows),
                    "replayed": (inputs, labels, replay_weights),
                    "sizes": (num_current, num_replayed),
                }

    # Steps

    def train_step(self, data: Any) -> dict[str, Tensor]:
        current, replayed, sizes = data["current"], data["replayed"], data["sizes"]
        num_rows = tf.shape(current[1])[0]
        num_minibatches = -(-num_rows // sizes[0])

        def one_minibatch(step, total_loss, total_correct):
            inputs, labels, weights, rows = (column[step * sizes[0] : (step + 1) * sizes[0]] for column in current)
            others = [column[step * sizes[1] : (step + 1) * sizes[1]] for column in replayed]
            labels, weights = tf.concat([labels, others[1]], 0), tf.concat([weights, others[2]], 0)
            loss, correct = self.minibatch_step(inputs, others[0], labels, weights, rows)
            return step + 1, total_loss + loss, total_correct + correct

        # One iteration after the other: each reads the weights that the one before wrote.
        _, loss, correct = tf.while_loop(
            lambda step, *_: step < num_minibatches, one_minibatch, (0, 0.0, 0.0), parallel_iterations=1
        )
        count = tf.cast(num_minibatches, tf.float32)
        num_samples = tf.cast(num_rows + tf.shape(replayed[1])[0], tf.float32)
        return self._report(loss / count, count, correct / num_samples, num_samples)

    def minibatch_step(
        self, current: Tensor, replayed: Tensor, labels: Tensor, weights: Tensor, rows: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Makes one update of the trainable weights; works inside a graph.

        Args:
            current: tensor of the experience's inputs.
            replayed: tensor of replayed inputs.
            labels: int tensor of the labels of both, one after the other.
            weights: float tensor of their factors in the loss.
            rows: int tensor, the rows of the experience that `current` is.

        Returns:
            loss, num_correct: float scalar tensors, before the update.
        """
        with tf.GradientTape() as tape:
            logits = self.minibatch_logits(current, replayed, rows)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
            loss = tf.reduce_sum(weights * losses) + self.penalty()
        variables = self.trainable_variables
        gradients = tape.gradient(loss, variables)
        decayed = [
            gradient + self.weight_decay * variable for gradient, variable in zip(gradients, variables, strict=True)
        ]
        self.optimizer.apply(decayed, variables)
        return loss, _num_correct(logits, labels)

    def minibatch_logits(self, current: Tensor, replayed: Tensor, rows: Tensor) -> Tensor:
        """Computes the logits of the experience's inputs and the replayed ones; works inside a graph."""
        return self(tf.concat([current, replayed], 0), training=True)

    def penalty(self) -> Tensor:
        """Returns what the method adds to the loss of every minibatch, a float scalar; works inside a graph."""
        return 0.0

    def test_step(self, data: Any) -> dict[str, Tensor]:
        images, labels, _ = keras.utils.unpack_x_y_sample_weight(data)
        logits = self(images, training=False)
        labels = tf.cast(labels, tf.int32)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        count = tf.cast(tf.shape(labels)[0], tf.float32)
        return self._report(tf.reduce_mean(losses), count, _num_correct(logits, labels) / count, count)

    def _report(self, loss, num_losses, accuracy, num_samples):
        # Keras has a mean of the loss of its own, which `fit` reports.
        loss_tracker = next(metric for metric in self.metrics if metric.name == "loss")
        loss_tracker.update_state(loss, num_losses)
        self.accuracy_tracker.update_state(accuracy, num_samples)
        return {"loss": loss_tracker.result(), "accuracy": self.accuracy_tracker.result()}

    @property
    def training_inputs(self) -> Any:
        """Inputs of the experience at hand that the model trains on, images or latents; None between experiences."""
        return self._inputs

    def training_accuracy(self) -> float:
        """Measures the accuracy on the training samples of the experience at hand, in inference mode.

        Raises:
            ValueError: outside of `fit_experience`.
        """
        if self._labels is None:
            raise ValueError(
                "training_accuracy needs an experience at hand: call it from a callback of fit_experience."
            )
        starts = range(0, len(self._labels), _EVALUATED_ROWS)
        parts = [slice(start, start + _EVALUATED_ROWS) for start in starts]
        num_correct = sum(float(self._count_correct(self._inputs[part], self._labels[part])) for part in parts)
        return num_correct / len(self._labels)

    @tf.function(reduce_retracing=True)
    def _count_correct(self, inputs, labels):
        return _num_correct(self.inference_logits(inputs), labels)

    def inference_logits(self, inputs: Tensor) -> Tensor:
        """Computes the logits of rows that `begin_experience` returned; works inside a graph."""
        return self(inputs, training=False)

    # State

    def state_arrays(self) -> Arrays:
        """Returns what the method keeps between experiences besides the weights, `{name: array}`."""
        return {}

    def set_state_arrays(self, arrays: Arrays) -> None:
        """Takes up the state of `state_arrays`."""
        if arrays:
            raise ValueError(f"{type(self).__name__} keeps no arrays, got {sorted(arrays)}.")

    def state_num_bytes(self) -> int:
        """Returns the bytes of all that the method keeps between experiences besides the weights."""
        return sum(array.nbytes for array in self.state_arrays().values())

    def save_own_variables(self, store: MutableMapping[str, Any]) -> None:
        store["experience_index"] = np.array(self.experience_index)
        for index, state in enumerate(self._random_states()):
            store[f"random_{index}"] = state.numpy()
        for name, array in self.state_arrays().items():
            store[f"state_{name}"] = array

    def load_own_variables(self, store: MutableMapping[str, Any]) -> None:
        stored = {name: np.asarray(store[name]) for name in store.keys()}  # noqa: SIM118
        self.experience_index = int(stored["experience_index"])
        for index, state in enumerate(self._random_states()):
            state.assign(stored[f"random_{index}"])
        self.set_state_arrays({name[6:]: array for name, array in stored.items() if name.startswith("state_")})

    def _random_states(self):
        """Finds the states of dropout and the like, which Keras leaves out of files."""
        weights = {id(weight) for weight in self.weights}
        return [variable for variable in self.variables if id(variable) not in weights]

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "backbone": keras.saving.serialize_keras_object(self.backbone),
            "head": keras.saving.serialize_keras_object(self.head),
            "batch_size": self.batch_size,
            "weight_decay": self.weight_decay,
            "minibatches_per_step": self.minibatches_per_step,
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Self:
        return cls(**deserialize_parts(config, custom_objects))


def _notify(callbacks, hook, experience):
    for callback in callbacks:
        if hasattr(callback, hook):
            getattr(callback, hook)(experience)


def _num_correct(logits, labels):
    predicted = tf.argmax(logits, axis=1, output_type=labels.dtype)
    return tf.reduce_sum(tf.cast(predicted == labels, tf.float32))
