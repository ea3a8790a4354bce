"""Exemplars whose pixels are trained  [Liu et al., CVPR 2020]."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ocm_tf.memory import exemplar_quota, split_halves
from ocm_tf.memory.sample_buffer import Samples
from ocm_tf.models.continual_classifier import MEMORY
from ocm_tf.models.incremental_classifier import IncrementalClassifier, joined_samples
from ocm_tf.models.incremental_losses import cross_entropy
from ocm_tf.models.unrolling import adam_step, unrolled_sgd
from ocm_tf.networks import cosine_similarities
from ocm_tf.types import Tensor

INNER_PARAMETERS = ("head", "scales", "all")
INNER_BATCHES = ("all", "one_per_class")
EXEMPLAR_LOSSES = ("bilevel", "proto")
STARTS = ("current", "previous")
VALIDATIONS = ("new", "all")
_TOGETHER_BYTES = 2**26


@keras.saving.register_keras_serializable(package="ocm_tf")
class Mnemonics(IncrementalClassifier):
    """Trains its exemplars such that a model trained on them does well on all images of the phase.

    Model and exemplars are trained in turn. The exemplar level, after the model has learned a phase, repeats, E being
    the exemplars of the new classes in normalised space and theta a temporary copy of weights, made anew each time:

        theta = theta - inner_learning_rate * d CE(theta; E) / d theta, `inner_steps` times  [Eq. 8]
        E = E - step of Adam along d CE(theta; images of the phase) / d E  [Eq. 9]
        E = clip(E, (0 - mean) / std, (1 - mean) / std)

    The gradient passes through the inner steps, without which nothing of it would be left. Then the exemplars of old
    classes are parted into halves A and B, and A is trained such that B is classified well, and B likewise by the new
    A  [Eq. 10]. Labels stay, and neither weights nor statistics of the model are touched.

    Args:
        backbone, num_classes: as for `IncrementalClassifier`.
        inner_parameters: what of theta moves in the inner steps: `"head"`, the rows of the classes seen;
            `"scales"`, also the head's scale, the scales of convolutions and what normalization learns; `"all"`,
            whatever the model level trains in the phase, and rows of old classes.
        inner_steps, inner_learning_rate: number and size of the inner steps.
        inner_batch: exemplars of an inner step: all, or one of each class, the next rank each time.
        theta_start: what theta begins as: the model's weights, or those of the phase before but for the head's.
        outer_steps: number of steps of E; None makes `outer_epochs` passes over the images instead.
        outer_epochs: see above.
        outer_batch_size: images of an outer step.
        exemplar_learning_rate: of Adam, with beta_1 = 0.5, in normalised units.
        num_halvings: how often that rate is halved, at equal distances.
        adjust_old: whether old exemplars are trained on as well.
        validation: whether an outer step is measured on images of the phase or also on old exemplars.
        unit_scale: whether the losses of this level are of cosines, without the head's scale.
        exemplar_loss: `"bilevel"`; or `"proto"`, without inner steps: the cross-entropy of the cosines between images
            and the mean features of each class's exemplars, as in the authors' code.
        **kwargs: as for `IncrementalClassifier`.

    Attributes:
        exemplar_losses: dict from `"new"`, `"half_a"` and `"half_b"` to the float array of the outer losses, in nats,
            of the last phase.
        exemplars_before: `Samples` of the new classes in the last phase, as they were chosen.
    """

    def __init__(
        self,
        backbone: keras.Model,
        num_classes: int,
        inner_parameters: str = "head",
        inner_steps: int = 20,
        inner_learning_rate: float = 0.01,
        inner_batch: str = "all",
        theta_start: str = "current",
        outer_steps: int | None = None,
        outer_epochs: int = 50,
        outer_batch_size: int = 128,
        exemplar_learning_rate: float = 0.01,
        num_halvings: int = 4,
        adjust_old: bool = True,
        validation: str = "new",
        unit_scale: bool = False,
        exemplar_loss: str = "bilevel",
        **kwargs: Any,
    ) -> None:
        super().__init__(backbone, num_classes, **kwargs)
        choices = {
            "inner_parameters": (inner_parameters, INNER_PARAMETERS),
            "inner_batch": (inner_batch, INNER_BATCHES),
            "theta_start": (theta_start, STARTS),
            "validation": (validation, VALIDATIONS),
            "exemplar_loss": (exemplar_loss, EXEMPLAR_LOSSES),
        }
        for name, (value, allowed) in choices.items():
            if value not in allowed:
                raise ValueError(f"{name} must be one of {allowed}, got {value!r}.")
        if exemplar_loss == "bilevel" and inner_steps < 1:
            raise ValueError(
                f"inner_steps must be at least 1, or no gradient reaches the exemplars; got {inner_steps}."
            )
        fewest = exemplar_quota(num_classes, self.exemplars_per_class, self.total_exemplars)
        if adjust_old and exemplar_loss == "bilevel" and fewest < 2:
            raise ValueError(
                "adjust_old takes halves of at least 2 exemplars a class, got 1; give more or set it false."
            )
        own: dict[str, Any] = {
            "inner_parameters": inner_parameters,
            "inner_steps": inner_steps,
            "inner_learning_rate": inner_learning_rate,
            "inner_batch": inner_batch,
            "theta_start": theta_start,
            "outer_steps": outer_steps,
            "outer_epochs": outer_epochs,
            "outer_batch_size": outer_batch_size,
            "exemplar_learning_rate": exemplar_learning_rate,
            "num_halvings": num_halvings,
            "adjust_old": adjust_old,
            "validation": validation,
            "unit_scale": unit_scale,
            "exemplar_loss": exemplar_loss,
        }
        for name, value in own.items():
            setattr(self, name, value)
        self._own_config |= own
        self.exemplar_losses: dict[str, np.ndarray] = {}
        self.exemplars_before: Samples | None = None
        self._outer_steps = self._trace_outer_steps()
        self._names = [variable.name for variable in self.backbone.trainable_variables]

    # The level of the exemplars

    def next_exemplars(self, images: np.ndarray, labels: np.ndarray, held: Samples) -> Samples:
        chosen = super().next_exemplars(images, labels, held)
        is_new = chosen.labels >= int(self.num_old.numpy())
        old, new = chosen.take(~is_new), chosen.take(is_new)
        rng = self.rng(MEMORY, 3)
        measured = images, labels
        if self.validation == "all":
            measured = np.concatenate([images, old.images]), np.concatenate([labels, old.labels])
        self.exemplar_losses, self.exemplars_before = {}, new
        new, self.exemplar_losses["new"] = self.train_exemplars(new, *measured, rng, others=old)
        if self.adjust_old and self.exemplar_loss == "bilevel" and len(old.labels):
            first, second = (old.take(rows) for rows in split_halves(old.labels, rng))
            first, self.exemplar_losses["half_a"] = self.train_exemplars(first, *second[:2], rng)
            second, self.exemplar_losses["half_b"] = self.train_exemplars(second, *first[:2], rng)
            old = _in_order(joined_samples(first, second))
        return joined_samples(old, new)

    def train_exemplars(
        self,
        exemplars: Samples,
        images: np.ndarray,
        labels: np.ndarray,
        rng: np.random.Generator,
        others: Samples | None = None,
    ) -> tuple[Samples, np.ndarray]:
        """Trains the pixels of exemplars.

        Args:
            exemplars: `Samples`, images on the scale 0 to 255, positions ranks.
            images: array of shape `(n, height, width, channels)`, what a model trained on the exemplars is to classify.
            labels: int array of shape `(n,)`.
            rng: `numpy.random.Generator` of the order of images.
            others: `Samples` of classes that keep their exemplars, which `"proto"` compares with; or None.

        Returns:
            exemplars: `Samples`, the images changed.
            losses: float array, the loss of each step before it was made.
        """
        rows = self._outer_rows(len(labels), rng)
        if not len(rows):
            return exemplars, np.zeros(0, np.float32)
        mean, std = (np.array(values, np.float32) for values in (self.mean, self.std))
        values = tf.constant((exemplars.images.astype(np.float32) / 255 - mean) / std)
        state = values, tf.zeros_like(values), tf.zeros_like(values), tf.constant(0)
        fixed = exemplars.labels.astype(np.int32), exemplars.positions.astype(np.int32), self._anchors(others)
        rates, losses = self.exemplar_rates(len(rows)), []
        together = max(1, _TOGETHER_BYTES // (images[:1].size * 4 * rows.shape[1]))
        for first in range(0, len(rows), together):
            part = slice(first, first + together)
            measured = images[rows[part]].astype(np.float32), labels[rows[part]].astype(np.int32)
            *state, part_losses = self._outer_steps(tuple(state), *fixed, *measured, rates[part])
            losses.append(part_losses.numpy())
        pixels = (state[0].numpy() * std + mean) * 255
        return exemplars._replace(images=pixels), np.concatenate(losses)

    def _outer_rows(self, num, rng):
        """Draws the images of each outer step, shuffled passes over all of them; int array `(steps, batch)`."""
        width = min(self.outer_batch_size, num)
        steps = self.outer_steps if self.outer_steps is not None else self.outer_epochs * -(-num // width)
        passes = -(-steps * width // num)
        orders = [rng.permutation(num) for _ in range(passes)]
        return np.concatenate([*orders, np.zeros(0, np.int64)])[: steps * width].astype(np.int64).reshape(steps, width)

    def exemplar_rates(self, num_steps: int) -> np.ndarray:
        """Returns the learning rate of each of so many outer steps, a float32 array."""
        halvings = np.arange(num_steps) * (self.num_halvings + 1) // max(num_steps, 1)
        return (self.exemplar_learning_rate * 0.5**halvings).astype(np.float32)

    def _anchors(self, others):
        """Computes the mean feature of each class of exemplars that stay, zeros for other classes."""
        anchors = np.zeros((self.num_classes, self.latent_dim), np.float32)
        if self.exemplar_loss == "proto" and others is not None and len(others.labels):
            num = int(others.labels.max()) + 1
            # Departs from the paper: its code normalises the features of old classes only.
            anchors[:num] = _class_means(self._features(others.images), others.labels, num)
        return anchors

    def _trace_outer_steps(self):
        """Makes the compiled loop of outer steps; no number of exemplars, images or steps is part of the graph."""
        shape, floats, whole = self.backbone.input_shape[1:], tf.float32, tf.int32
        exemplars, column = tf.TensorSpec((None, *shape), floats), tf.TensorSpec((None,), whole)
        signature = [
            (exemplars, exemplars, exemplars, tf.TensorSpec((), whole)),
            column,
            column,
            tf.TensorSpec((self.num_classes, self.latent_dim), floats),
            tf.TensorSpec((None, None, *shape), floats),
            tf.TensorSpec((None, None), whole),
            tf.TensorSpec((None,), floats),
        ]
        return tf.function(self._make_outer_steps, input_signature=signature, autograph=False)

    def _make_outer_steps(self, state, labels, ranks, anchors, images, targets, rates):
        low, high = self.normalized(tf.constant(0.0)), self.normalized(tf.constant(255.0))
        theta = self.theta()

        def one_step(step, exemplars, first_moment, second_moment, num_done, losses):
            inputs = self.normalized(images[step])
            loss, gradient = self.exemplar_gradient(exemplars, labels, ranks, inputs, targets[step], theta, anchors)
            direction, first_moment, second_moment = adam_step(gradient, first_moment, second_moment, num_done)
            moved = tf.clip_by_value(exemplars - rates[step] * direction, low, high)
            return step + 1, moved, first_moment, second_moment, num_done + 1, losses.write(step, loss)

        losses = tf.TensorArray(tf.float32, tf.shape(rates)[0], element_shape=())
        *results, losses = tf.while_loop(
            lambda step, *_: step < tf.shape(rates)[0], one_step, (0, *state, losses), parallel_iterations=1
        )
        return *results[1:], losses.stack()

    def theta(self) -> list[Tensor]:
        """Returns the weights with which the inner steps begin, in the order of `copied_values`; works in a graph."""
        current = self.copied_values()
        if self.theta_start == "current":
            return current
        # Departs from the paper: the model has learned the images by heart, so that it leaves next to no loss.
        previous = tf.cond(self.num_old > 0, lambda: self.teacher.read(0), lambda: current)
        num_backbone = len(self.backbone.variables)
        return [*previous[:num_backbone], *current[num_backbone:]]

    def exemplar_gradient(
        self,
        exemplars: Tensor,
        labels: Tensor,
        ranks: Tensor,
        inputs: Tensor,
        targets: Tensor,
        theta: Sequence[Tensor],
        anchors: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Computes the loss on images after training on exemplars, and its gradient; works inside a graph.

        Args:
            exemplars: float tensor of normalised images.
            labels: int tensor of theirs.
            ranks: int tensor of their places within the class.
            inputs: float tensor of normalised images that are to be classified.
            targets: int tensor of their labels.
            theta: list of tensors in the order of `copied_values`.
            anchors: float tensor of shape `(num_classes, latent_dim)`, for `"proto"`.

        Returns:
            loss: scalar, nats.
            gradient: float tensor of the shape of the exemplars.
        """
        with tf.GradientTape() as tape:
            tape.watch(exemplars)
            if self.exemplar_loss == "proto":
                loss = self._prototype_loss(exemplars, labels, inputs, targets, theta, anchors)
            elif self.inner_parameters == "head":
                loss = self._head_loss(exemplars, labels, ranks, inputs, targets, theta)
            else:
                loss = self._unrolled_loss(exemplars, labels, ranks, inputs, targets, theta)
        gradient = tape.gradient(loss, exemplars)
        if gradient is None:
            raise ValueError("no gradient reaches the exemplars: the inner steps do not depend on them.")
        return loss, tf.convert_to_tensor(gradient)

    def _inner_minibatch(self, step, ranks, images, labels):
        """Returns images (or their features) and labels of an inner step."""
        if self.inner_batch == "all":
            return images, labels
        rows = tf.where(ranks == step % (tf.reduce_max(ranks) + 1))[:, 0]
        return tf.gather(images, rows), tf.gather(labels, rows)

    def _inner_loss(self, labels, cosines, scale):
        logits = cosines if self.unit_scale else scale * cosines
        return cross_entropy(labels, logits, tf.convert_to_tensor(self.num_seen))

    def _head_loss(self, exemplars, labels, ranks, inputs, targets, theta):
        """Passes all images through the backbone once, as the inner steps do not change it."""
        *_, rows, scale, _, _ = theta
        features = self._features_with(theta, tf.concat([exemplars, inputs], 0))
        num = tf.shape(labels)[0]
        own, theirs = features[:num], features[num:]

        def loss_of(parameters, step):
            batch, classes = self._inner_minibatch(step, ranks, own, labels)
            return self._inner_loss(classes, cosine_similarities(batch, parameters[0]), scale)

        (rows,) = unrolled_sgd([rows], [self._seen_rows()], loss_of, self.inner_steps, self.inner_learning_rate)
        return self._inner_loss(targets, cosine_similarities(theirs, rows), scale)

    def _unrolled_loss(self, exemplars, labels, ranks, inputs, targets, theta):
        """Passes images through the backbone of each step's weights."""
        moving, factors = self._moving()

        def loss_with(parameters, images, classes):
            values = list(theta)
            for place, parameter in zip(moving, parameters, strict=True):
                values[place] = parameter
            *_, rows, scale, _, _ = values
            return self._inner_loss(classes, cosine_similarities(self._features_with(values, images), rows), scale)

        def loss_of(parameters, step):
            return loss_with(parameters, *self._inner_minibatch(step, ranks, exemplars, labels))

        begun = [theta[place] for place in moving]
        ended = unrolled_sgd(begun, factors, loss_of, self.inner_steps, self.inner_learning_rate)
        return loss_with(ended, inputs, targets)

    def _moving(self):
        """Returns which places of theta move in the inner steps, and the factors on their gradients."""
        num_all, num_trainable = len(self.backbone.variables), len(self._names)
        factors = {place: factor for place, factor in enumerate(self.gradient_factors()[:num_trainable])}
        head = {num_all: self._seen_rows(), num_all + 1: 1.0}
        if self.inner_parameters == "head":
            moving = {num_all: self._seen_rows()}
        elif self.inner_parameters == "scales":
            moving = {place: factors[place] for place in factors if self._names[place] != "kernel"} | head
        else:
            moving = factors | head
        return list(moving), list(moving.values())

    def _seen_rows(self):
        return tf.cast(tf.range(self.num_classes) < self.num_seen, tf.float32)[:, None]

    def _features_with(self, values, inputs):
        return self.outputs_of(values, inputs, tf.convert_to_tensor(self.num_seen))[0]

    def _prototype_loss(self, exemplars, labels, inputs, targets, theta, anchors):
        own, theirs = (self._features_with(theta, images) for images in (exemplars, inputs))
        means = tf.math.unsorted_segment_mean(tf.math.l2_normalize(own, 1), labels, self.num_classes)
        is_own = tf.math.unsorted_segment_max(tf.ones_like(labels), labels, self.num_classes) > 0
        cosines = cosine_similarities(theirs, tf.where(is_own[:, None], means, anchors))
        return cross_entropy(targets, cosines, tf.convert_to_tensor(self.num_seen))


def _class_means(features, labels, num_classes):
    unit = tf.math.l2_normalize(features, 1)
    return tf.math.unsorted_segment_mean(unit, labels, num_classes).numpy()


def _in_order(samples):
    """Sorts exemplars by class, then by rank, as a memory holds them."""
    return samples.take(np.lexsort([samples.positions, samples.labels]))
