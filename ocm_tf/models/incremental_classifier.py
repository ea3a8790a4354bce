"""Classifiers that meet new classes in phases and keep a few exemplars of the old ones."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ocm_tf.errors import UserError
from ocm_tf.memory import (
    ExemplarMemory,
    Samples,
    WeightBank,
    choose_exemplars,
    class_means,
    exemplar_quota,
    imprinted_rows,
    nearest_class_mean,
    trimmed,
)
from ocm_tf.models.continual_classifier import MEMORY, ContinualClassifier
from ocm_tf.models.head_training import bias_correction, fine_tuned_rows
from ocm_tf.models.incremental_losses import (
    cosine_match_loss,
    cross_entropy,
    distillation_loss,
    less_forget_loss,
    less_forget_weight,
    margin_ranking_loss,
    seen_only,
)
from ocm_tf.models.joined_rows import JoinedRows
from ocm_tf.networks import CosineHead, cosine_similarities
from ocm_tf.types import Arrays, Tensor

INCREMENTAL_METHODS = ("kd", "lucir", "lucir_ms", "bic", "ce", "joint")
CLASSIFIERS = ("fc", "nme", "fine_tuned")
MIRRORS = (None, "width", "channels")
_HELD_OUT_SHARE = 0.1
_FEATURE_ROWS = 256


@keras.saving.register_keras_serializable(package="ocm_tf")
class IncrementalClassifier(ContinualClassifier):
    """Learns new classes phase by phase, each from all its images and the exemplars of the classes before.

    The head is a cosine classifier with a row for every class there will be; how many are seen is a variable, and
    logits of the others are -1e9. The teacher is a frozen copy of all weights from the end of the phase before. Neither
    adds a variable or a trace: what trains in which phase is decided by factors on the gradients, so all phases share
    one graph. A factor of 0 leaves a weight bit by bit as it is, as it acts on the L2 term too and the optimizer starts
    afresh.

    With K old and C new classes, the loss of a phase is, by `method`:

        "kd": cross-entropy + distillation_loss  [LwF and iCaRL of Mnemonics' code: one training, of which LwF is the
            accuracy of the head and iCaRL that of the nearest class mean]
        "lucir": cross-entropy + less_forget_weight * less_forget_loss + margin_ranking_loss
        "lucir_ms": cross-entropy + cosine_match_loss + margin_ranking_loss
        "bic": C / (K + C) * cross-entropy + K / (K + C) * distillation_loss; then logits of new classes become
            alpha * z + beta, fitted to exemplars held out
        "ce": cross-entropy
        "joint": cross-entropy; experiences must bring the images of all classes so far, no exemplar is kept, and
            training goes on from the weights of the phase before

    With `new_weight` it is new_weight * (all but what compares with the teacher) + (1 - new_weight) * (that), without
    the factors of "bic"  [Mnemonics, Eq. 5].

    Args:
        backbone: functional `keras.Model`, normalised images -> features. If its convolutions have scales, these train
            from the second phase on in place of the kernels; see `TransferConv2D`.
        num_classes: number of classes there will be.
        mean: of pixels in [0, 1], one a channel, by which images are normalised.
        std: likewise.
        method: one of `INCREMENTAL_METHODS`.
        augmentation: layer that changes training images on the scale 0 to 255, such as `RandomCropFlip`; or None.
        exemplars_per_class, total_exemplars: as for `exemplar_quota`.
        exemplar_dtype: `"float32"`, or `"uint8"` as in the authors' code.
        selection: one of `EXEMPLAR_SELECTIONS`.
        initial_scale: of the head.
        freeze_old_rows: whether rows of old classes stay as they are.
        imprint: whether rows of new classes begin as `imprinted_rows`; otherwise at random.
        temperature, distillation_weight: as for `distillation_loss`.
        less_forget_base, margin, top_k: as for the LUCIR losses.
        new_weight: see above; None takes the plain sums.
        learning_rate: at the start of each phase.
        milestones: epochs of a phase from which on the learning rate is a tenth of what it was.
        balanced_epochs: epochs of fine-tuning on the exemplars alone after each phase but the first.
        balanced_learning_rate, balanced_milestones: likewise for the fine-tuning.
        balanced_all: whether the fine-tuning trains all that the phase did instead of all rows of the head alone.
        mirror: whether class means also take mirrored images: None, `"width"`, or `"channels"`, which is what the
            authors' code does in effect.
        **kwargs: as for `ContinualClassifier`.

    Call: images of shape `(batch, height, width, channels)` on the scale 0 to 255 -> logits of shape `(batch,
    num_classes)`.
    """

    # Labels are places in the order of arrival, so that a data set's own labels must be mapped first.
    has_own_labels = True

    def __init__(
        self,
        backbone: keras.Model,
        num_classes: int,
        mean: Sequence[float] = (0.5,),
        std: Sequence[float] = (0.25,),
        method: str = "kd",
        augmentation: keras.layers.Layer | None = None,
        exemplars_per_class: int = 20,
        total_exemplars: int | None = None,
        exemplar_dtype: str = "float32",
        selection: str = "herding",
        initial_scale: float = 1.0,
        freeze_old_rows: bool = True,
        imprint: bool = True,
        temperature: float = 2.0,
        distillation_weight: float = 0.25,
        less_forget_base: float = 5.0,
        margin: float = 0.5,
        top_k: int = 2,
        new_weight: float | None = None,
        learning_rate: float = 0.1,
        milestones: Sequence[int] = (80, 120),
        balanced_epochs: int = 0,
        balanced_learning_rate: float = 0.01,
        balanced_milestones: Sequence[int] = (10,),
        balanced_all: bool = False,
        mirror: str | None = "width",
        **kwargs: Any,
    ) -> None:
        features = keras.Input(backbone.output_shape[1:])
        head = CosineHead(num_classes, initial_scale, name="cosine_head")
        super().__init__(backbone, keras.Model(features, head(features), name="head"), **kwargs)
        for name, value, allowed in (("method", method, INCREMENTAL_METHODS), ("mirror", mirror, MIRRORS)):
            if value not in allowed:
                raise ValueError(f"{name} must be one of {allowed}, got {value!r}.")
        if new_weight is not None and not 0 <= new_weight <= 1:
            raise ValueError(f"new_weight must lie in 0 to 1, got {new_weight}.")
        self._own_config: dict[str, Any] = {
            "num_classes": num_classes,
            "mean": tuple(mean),
            "std": tuple(std),
            "method": method,
            "exemplars_per_class": exemplars_per_class,
            "total_exemplars": total_exemplars,
            "exemplar_dtype": exemplar_dtype,
            "selection": selection,
            "initial_scale": initial_scale,
            "freeze_old_rows": freeze_old_rows,
            "imprint": imprint,
            "temperature": temperature,
            "distillation_weight": distillation_weight,
            "less_forget_base": less_forget_base,
            "margin": margin,
            "top_k": top_k,
            "new_weight": new_weight,
            "learning_rate": learning_rate,
            "milestones": tuple(milestones),
            "balanced_epochs": balanced_epochs,
            "balanced_learning_rate": balanced_learning_rate,
            "balanced_milestones": tuple(balanced_milestones),
            "balanced_all": balanced_all,
            "mirror": mirror,
        }
        for name, value in self._own_config.items():
            setattr(self, name, value)
        self.augmentation, self.cosine_head = augmentation, head
        capacity = self._most_exemplars()
        self.memory = ExemplarMemory(capacity, backbone.input_shape[1:], exemplar_dtype, name="exemplars")

        def counter(name):
            return self.add_weight(name=name, shape=(), dtype="int32", initializer="zeros", trainable=False)

        self.num_old, self.num_seen, self.balancing = map(counter, ("num_old", "num_seen", "balancing"))
        # Of BiC: alpha and beta.
        self.correction = self.add_weight(name="correction", shape=(2,), initializer="zeros", trainable=False)
        self.correction.assign([1.0, 0.0])
        images = tf.TensorSpec((None, *backbone.input_shape[1:]), tf.float32)
        self._features = tf.function(self._inference_features, input_signature=[images])
        self.teacher = WeightBank(1, name="teacher")
        self.teacher.allocate(self._copied_variables())

    def _most_exemplars(self):
        if self.method == "joint":
            return 1
        if self.total_exemplars is None:
            return self.num_classes * exemplar_quota(1, self.exemplars_per_class)
        seen = range(1, self.num_classes + 1)
        return max(number * exemplar_quota(number, total=self.total_exemplars) for number in seen)

    def compile(self, optimizer: keras.optimizers.Optimizer | None = None, **kwargs: Any) -> None:
        """Configures training.

        Args:
            optimizer: a Keras optimizer; None takes SGD of momentum 0.9. Its learning rate is set by the model.
            **kwargs: as for `ContinualClassifier.compile`.
        """
        super().compile(optimizer or keras.optimizers.SGD(self.learning_rate, momentum=0.9), **kwargs)

    # Networks

    def _copied_variables(self):
        backbone = self.backbone
        rows_and_scale = self.cosine_head.trainable_variables
        counted = [self.correction, self.num_old]
        return [*backbone.trainable_variables, *backbone.non_trainable_variables, *rows_and_scale, *counted]

    def copied_values(self) -> list[Tensor]:
        """Returns the values of all that a teacher consists of, a list of tensors; works inside a graph."""
        return [tf.convert_to_tensor(variable) for variable in self._copied_variables()]

    def outputs_of(self, values: Sequence[Tensor], inputs: Tensor, num_seen: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Computes what a network of other weights makes of images, in inference mode; works inside a graph.

        Args:
            values: tensors in the order of `copied_values`.
            inputs: float tensor of normalised images.
            num_seen: int tensor, how many classes the network knew.

        Returns:
            features, cosines, logits: float tensors.
        """
        *network, rows, scale, correction, num_old = values
        trainable = len(self.backbone.trainable_variables)
        features, _ = self.backbone.stateless_call(network[:trainable], network[trainable:], inputs, training=False)
        cosines = cosine_similarities(features, rows)
        return features, cosines, corrected(scale * cosines, correction, num_old, num_seen)

    def normalized(self, images: Tensor) -> Tensor:
        """Returns `(images / 255 - mean) / std` as floats; works inside a graph."""
        return (tf.cast(images, tf.float32) / 255 - tf.constant(self.mean)) / tf.constant(self.std)

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        features = self.backbone(self.normalized(inputs), training=training)
        return self._logits(features)

    def _logits(self, features):
        logits = corrected(self.head(features), self.correction, self.num_old, self.num_seen)
        return seen_only(logits, self.num_seen)

    # A phase

    def begin_experience(self, images: np.ndarray, labels: np.ndarray) -> tuple[Any, np.ndarray]:
        held = self.memory.read()
        joined = np.concatenate([labels, held.labels.astype(np.int32)])
        rows = np.arange(len(joined))
        if self.method == "bic" and len(held.labels):
            rows = np.delete(rows, self._held_out(labels, held))
        return JoinedRows(images, held.images, rows), joined[rows]

    def _held_out(self, labels, held):
        """Chooses rows of an experience and its exemplars for the bias correction, equally many of each class."""
        quota = int(held.positions.max()) + 1
        number = max(1, round(_HELD_OUT_SHARE * quota))
        old = len(labels) + np.flatnonzero(held.positions >= quota - number)
        new, _ = choose_exemplars(labels, number, "random", rng=self.rng(MEMORY))
        return np.concatenate([new, old])

    def prepare_weights(self, images: np.ndarray, labels: np.ndarray) -> None:
        num_seen = int(self.num_seen.numpy())
        first, last = int(labels.min()), int(labels.max())
        if last < num_seen or (first != num_seen and self.method != "joint"):
            raise UserError(
                f"the classes must come in the order of their labels, {num_seen} next, got {first} to {last}."
            )
        if num_seen:
            self.teacher.clear()
            self.teacher.store(self._copied_variables())
        self.correction.assign([1.0, 0.0])
        self.num_old.assign(num_seen)
        self.num_seen.assign(last + 1)
        if num_seen and self.imprint:
            is_new = labels >= num_seen
            rows = self.cosine_head.rows.numpy()
            rows[num_seen : last + 1] = imprinted_rows(
                self.features_of(images[is_new]), labels[is_new], rows[:num_seen]
            )
            self.cosine_head.rows.assign(rows)
        super().prepare_weights(images, labels)

    def own_callbacks(self) -> list[keras.callbacks.Callback]:
        return [_step_schedule(self.learning_rate, self.milestones)]

    def end_experience(self, images: np.ndarray, labels: np.ndarray) -> None:
        held = self.memory.read()
        if self.method == "bic" and len(held.labels):
            self._correct_bias(images, labels, held)
        if self.method == "joint":
            return
        self.memory.store(self.next_exemplars(images, labels, held))
        if self.balanced_epochs and len(held.labels):
            self._fine_tune()

    def _correct_bias(self, images, labels, held):
        rows = self._held_out(labels, held)
        features = self.features_of(JoinedRows(images, held.images, rows)[:])
        logits = seen_only(self.head(features), self.num_seen)
        targets = np.concatenate([labels, held.labels])[rows]
        self.correction.assign(bias_correction(logits, targets, int(self.num_old.numpy())))

    def next_exemplars(self, images: np.ndarray, labels: np.ndarray, held: Samples) -> Samples:
        """Chooses the exemplars of the new classes and gives up those of the old ones for which there is no more room.

        Args:
            images: uint8 array, the images of the experience.
            labels: their labels.
            held: `Samples` of the exemplars of old classes, whose positions are ranks.

        Returns:
            `Samples` of all exemplars.
        """
        quota = self.quota
        features = self.features_of(images) if self.selection == "herding" else None
        rows, ranks = choose_exemplars(labels, quota, self.selection, features, self.rng(MEMORY, 1))
        new = Samples(images[rows].astype(np.float32), labels[rows], ranks)
        old = trimmed(Samples(held.images.astype(np.float32), held.labels, held.positions), quota)
        return joined_samples(old, new)

    @property
    def quota(self) -> int:
        """Exemplars of each class after the phase at hand."""
        return exemplar_quota(int(self.num_seen.numpy()), self.exemplars_per_class, self.total_exemplars)

    def _fine_tune(self):
        exemplars = self.memory.read()
        self._inputs, self._labels = exemplars.images, exemplars.labels.astype(np.int32)
        self.balancing.assign(1)
        self._reset_optimizer()
        schedule = _step_schedule(self.balanced_learning_rate, self.balanced_milestones)
        self._fit_rows(self.balanced_epochs, [schedule])
        self.balancing.assign(0)

    # An update

    def minibatch_step(
        self, current: Tensor, replayed: Tensor, labels: Tensor, weights: Tensor, rows: Tensor
    ) -> tuple[Tensor, Tensor]:
        images = current if self.augmentation is None else self.augmentation(tf.cast(current, tf.float32))
        inputs = self.normalized(images)
        with tf.GradientTape() as tape:
            features = self._training_features(inputs)
            cosines = cosine_similarities(features, self.cosine_head.rows)
            loss = self.phase_loss(inputs, labels, features, cosines)
        variables = self.trainable_variables
        gradients = tape.gradient(loss, variables)
        self.optimizer.apply(
            [
                factor * (gradient + self.weight_decay * variable)
                for factor, gradient, variable in zip(self.gradient_factors(), gradients, variables, strict=True)
            ],
            variables,
        )
        predicted = tf.argmax(seen_only(cosines, self.num_seen), axis=1, output_type=labels.dtype)
        return loss, tf.reduce_sum(tf.cast(predicted == labels, tf.float32))

    def _training_features(self, inputs):
        if not self.balanced_epochs:
            return self.backbone(inputs, training=True)
        # Statistics of the few exemplars must not take the place of those of the images.
        return tf.cond(
            self.balancing > 0,
            lambda: self.backbone(inputs, training=False),
            lambda: self.backbone(inputs, training=True),
        )

    def phase_loss(self, inputs: Tensor, labels: Tensor, features: Tensor, cosines: Tensor) -> Tensor:
        """Computes the loss of a minibatch; works inside a graph.

        Args:
            inputs: float tensor of normalised images.
            labels: int tensor.
            features: float tensor, what the backbone made of them.
            cosines: float tensor of those with the rows of the head.

        Returns:
            Float scalar, in nats as far as it is a cross-entropy.
        """
        num_old, num_seen = tf.convert_to_tensor(self.num_old), tf.convert_to_tensor(self.num_seen)
        logits = self.cosine_head.scale * cosines
        new_loss = cross_entropy(labels, logits, num_seen)
        if self.method in ("ce", "joint"):
            return new_loss
        teacher_features, teacher_cosines, teacher_logits = tf.cond(
            num_old > 0,
            lambda: self.outputs_of(self.teacher.read(0), inputs, num_old),
            lambda: (tf.zeros_like(features), tf.zeros_like(cosines), tf.zeros_like(logits)),
        )
        if self.method in ("kd", "bic"):
            old_loss = distillation_loss(logits, teacher_logits, num_old, self.temperature, self.distillation_weight)
        else:
            if self.method == "lucir":
                factor = less_forget_weight(self.less_forget_base, num_old, num_seen)
                old_loss = factor * less_forget_loss(features, teacher_features)
            else:
                old_loss = cosine_match_loss(cosines, teacher_cosines, num_old)
            new_loss += margin_ranking_loss(cosines, labels, num_old, num_seen, self.margin, self.top_k)
        has_old = tf.cast(num_old > 0, tf.float32)
        if self.new_weight is not None:
            share = has_old * (1 - self.new_weight)
        elif self.method == "bic":
            share = tf.cast(num_old / num_seen, tf.float32)
        else:
            return new_loss + has_old * old_loss
        return (1 - share) * new_loss + share * old_loss

    def gradient_factors(self) -> list[Tensor]:
        """Returns what the gradient of each trainable variable is multiplied by, tensors of 0 and 1; for a graph."""
        has_old = tf.cast(self.num_old > 0, tf.float32)
        frozen_backbone = 0.0 if self.balanced_all else tf.cast(self.balancing, tf.float32)
        names = [variable.name for variable in self.backbone.trainable_variables]
        of_kind = {"kernel": 1 - has_old, "transfer_scale": has_old} if "transfer_scale" in names else {}
        classes = tf.range(self.num_classes)
        trained = classes < self.num_seen
        if self.freeze_old_rows:
            trained &= (classes >= self.num_old) | (self.balancing > 0)
        of_head = {"rows": tf.cast(trained, tf.float32)[:, None], "scale": 1.0}
        return [
            *((1 - frozen_backbone) * of_kind.get(name, 1.0) for name in names),
            *(of_head[variable.name] for variable in self.cosine_head.trainable_variables),
        ]

    # Classification

    def features_of(self, images: np.ndarray) -> np.ndarray:
        """Computes features of images in inference mode.

        Args:
            images: array of shape `(n, height, width, channels)` on the scale 0 to 255.

        Returns:
            float32 array of shape `(n, feature_dim)`.
        """
        starts = range(0, len(images), _FEATURE_ROWS)
        parts = [self._features(images[start : start + _FEATURE_ROWS].astype(np.float32)) for start in starts]
        return np.concatenate([part.numpy() for part in parts])

    def _inference_features(self, images):
        return self.backbone(self.normalized(images), training=False)

    def class_means_of(self, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Computes the mean direction of each class seen, from any of its images; see `class_means`."""
        mirrored = None
        if self.mirror is not None:
            flipped = images[:, :, ::-1] if self.mirror == "width" else images[..., ::-1]
            mirrored = self.features_of(flipped)
        return class_means(self.features_of(images), labels, int(self.num_seen.numpy()), mirrored)

    def predicted_classes(self, images: np.ndarray, classifiers: Sequence[str] = ("fc", "nme")) -> Arrays:
        """Names the class of each image.

        Args:
            images: array of shape `(n, height, width, channels)` on the scale 0 to 255.
            classifiers: of `"fc"`, the head; `"nme"`, the nearest mean of the exemplars  [iCaRL]; `"fine_tuned"`, those
                means trained further on the exemplars  [Mnemonics code].

        Returns:
            dict from classifier to int array of shape `(n,)`.
        """
        features, predicted = self.features_of(images), {}
        if "fc" in classifiers:
            predicted["fc"] = np.argmax(self._logits(features), axis=1)
        if "nme" in classifiers or "fine_tuned" in classifiers:
            exemplars = self.memory.read()
            means = self.class_means_of(exemplars.images, exemplars.labels)
            if "nme" in classifiers:
                predicted["nme"] = nearest_class_mean(features, means)
            if "fine_tuned" in classifiers:
                of_exemplars = self.features_of(exemplars.images)
                rows = fine_tuned_rows(means, of_exemplars, exemplars.labels, self.rng(MEMORY, 2))
                predicted["fine_tuned"] = np.argmax(cosine_similarities(features, rows), axis=1)
        return predicted

    # State

    def state_arrays(self) -> Arrays:
        names = ("num_old", "num_seen", "correction")
        return {name: getattr(self, name).numpy() for name in names}

    def set_state_arrays(self, arrays: Arrays) -> None:
        for name, value in arrays.items():
            getattr(self, name).assign(value)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["head"]
        return {
            **config,
            **self._own_config,
            "augmentation": keras.saving.serialize_keras_object(self.augmentation),
        }


def corrected(logits: Tensor, correction: Tensor, num_old: Tensor, num_seen: Tensor) -> Tensor:
    """Corrects the bias towards new classes: their logits become alpha * z + beta  [BiC].

    Args:
        logits: float tensor of shape `(batch, num_classes)`.
        correction: float tensor of shape `(2,)`, alpha and beta.
        num_old, num_seen: int tensors; the new classes are those between.
    """
    classes = tf.range(tf.shape(logits)[1])
    is_new = (classes >= num_old) & (classes < num_seen)
    return tf.where(is_new, correction[0] * logits + correction[1], logits)


def joined_samples(first: Samples, second: Samples) -> Samples:
    """Returns the samples of both, one after the other."""
    return Samples(*(np.concatenate(pair) for pair in zip(first, second, strict=True)))


def _step_schedule(learning_rate, milestones):
    def rate(epoch, _):
        return learning_rate * 0.1 ** sum(epoch >= milestone for milestone in milestones)

    return keras.callbacks.LearningRateScheduler(rate)
