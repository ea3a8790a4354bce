"""A classifier that grows by sparse attention experts (the model of TFDSViT)."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from ocm_tf.memory.weight_bank import WeightBank
from ocm_tf.metrics.bounds import gaussian_kl
from ocm_tf.models.growth import apply_template, choose_weights, initialise_afresh, start_afresh, variables_of
from ocm_tf.models.image_inputs import checked_images, grey_values
from ocm_tf.models.nested_config import build_once
from ocm_tf.models.online_classifier import classify_routed, require_labels
from ocm_tf.models.online_model import OnlineModel
from ocm_tf.networks.head_gates import HeadGates
from ocm_tf.networks.patch_attention import PatchAttention, head_mask
from ocm_tf.types import Array, Shape, Tensor


@keras.saving.register_keras_serializable(package="ocm_tf")
class SparseAttentionClassifier(OnlineModel):
    """Classifies a stream by components of which only the newest trains  [TFDSViT].

    A component is a half of the heads of an attention trunk, gates over the heads of all earlier components, a
    classifier head and a VAE. Two components that follow each other share a trunk, which is one expert.

    Symbols of the paper and their names here: SA mask m -> `head_mask`, KTA gates w -> `gates`, A_j -> heads,
    R_i -> error, the energy of component i on a batch -> mean error, L_vae_i -> error + kl_weight * kl.

        own features = concat_j m_j * A_j                                  [sparse attention, SA]
        transferred  = sum_t concat_j w_tj * A_tj  over superseded heads   [knowledge transfer attention, KTA]
        error = sum((reconstruction - image)**2) over pixels and channels, of one drawn code

    Superseded components stay bit for bit as they are; the embedding of a trunk does so from the end of its first
    component on.

    Args:
        trunk: `PatchAttention`.
        head: layer from features `(batch, num_features)` to logits of shape `(batch, num_classes)`; `num_features` is
            `num_heads * head_size`, twice that with KTA.
        autoencoder: layer from images and noise to `(reconstructions, z_mean, z_std)`, such as `GaussianAutoencoder`.
        image_shape: shape `(height, width, channels)` of one image.
        max_components: most components; 1 makes a model that never grows.
        kta: whether features of superseded heads are transferred.
        gates: `"softmax"`, or `"gumbel"`, softmax with Gumbel noise drawn anew for each minibatch of training and left
            out afterwards.
        temperature: temperature of Gumbel gates.
        freeze_trunk: whether the second component of a trunk leaves the embedding and the first one's heads as they
            are; False trains the whole trunk on, as the authors' code does.
        kl_weight: weight of the KL term of the VAEs.
        augmentation: layer that distorts the training images, or None.
        **kwargs: as for `OnlineModel`.

    Call: images (uint8 or float in [0, 1]) -> probabilities by the component that trains, `(batch, num_classes)`.
        `classify` routes each image instead.
    """

    further_optimizers = ("vae_optimizer",)

    def __init__(
        self,
        trunk: PatchAttention,
        head: keras.layers.Layer,
        autoencoder: keras.layers.Layer,
        image_shape: Sequence[int],
        max_components: int = 30,
        kta: bool = True,
        gates: str = "softmax",
        temperature: float = 0.5,
        freeze_trunk: bool = True,
        kl_weight: float = 1.0,
        augmentation: keras.layers.Layer | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if max_components < 1:
            raise ValueError(f"max_components must be at least 1, got {max_components}.")
        if gates not in ("softmax", "gumbel"):
            raise ValueError(f"gates must be 'softmax' or 'gumbel', got {gates!r}.")
        if kl_weight < 0:
            raise ValueError(f"kl_weight must not be negative, got {kl_weight}.")
        self.trunk, self.head, self.autoencoder, self.augmentation = trunk, head, autoencoder, augmentation
        self.image_shape, self.max_components = tuple(image_shape), max_components
        self.kta, self.gates, self.temperature = kta, gates, temperature
        self.freeze_trunk, self.kl_weight = freeze_trunk, kl_weight
        max_trunks = (max_components + 1) // 2
        self.head_gates = HeadGates(max_trunks * trunk.num_heads, temperature if gates == "gumbel" else 1.0)
        self.component_bank = WeightBank(max_components - 1, name="component_bank")
        self.trunk_bank = WeightBank(max_trunks - 1, name="trunk_bank")
        # Of its own: with and without noise, all else is drawn alike.
        self.gate_seeds = keras.random.SeedGenerator(self.seed)

    def build(self, input_shape: Shape) -> None:
        if tuple(input_shape[1:]) != self.image_shape:
            raise ValueError(f"The model is made for images of shape {self.image_shape}, got {input_shape[1:]}.")
        images = (None, *self.image_shape)
        build_once(self.trunk, images)
        build_once(self.head, (None, self.num_features))
        build_once(self.head_gates, None)
        build_once(self.autoencoder, images)
        self.component_bank.allocate([variable for template in self.templates for variable in variables_of(template)])
        self.trunk_bank.allocate(variables_of(self.trunk))
        batch, component = tf.TensorSpec(images, tf.float32), tf.TensorSpec([], tf.int32)
        noise = tf.TensorSpec([None, self.autoencoder.noise_dim], tf.float32)
        # Fixed signatures: batches of any size and all components share one trace.
        self._probabilities = tf.function(self.probabilities, input_signature=[batch, component])
        self._losses = tf.function(self.error_and_kl, input_signature=[batch, noise, component])

    def compile(
        self,
        optimizer: str | keras.optimizers.Optimizer = "adam",
        vae_optimizer: str | keras.optimizers.Optimizer = "adam",
        **kwargs: Any,
    ) -> None:
        """Configures training.

        Args:
            optimizer: the Keras optimizer of trunk, gates and head.
            vae_optimizer: that of the VAEs.
            **kwargs: as for `OnlineModel.compile`.
        """
        super().compile(optimizer, **kwargs)
        self.vae_optimizer = keras.optimizers.get(vae_optimizer)
        # Loading restores an optimizer's state only into variables that exist.
        self.vae_optimizer.build(self.autoencoder.trainable_variables)

    @property
    def templates(self) -> tuple[keras.layers.Layer, ...]:
        """The layers that each component has of its own, in the order of the bank."""
        return (self.head_gates, self.head, self.autoencoder)

    @property
    def optimized_variables(self) -> list[keras.Variable]:
        return [v for layer in (self.trunk, self.head_gates, self.head) for v in layer.trainable_variables]

    @property
    def num_components(self) -> int:
        """Number of components: the frozen ones and the one that trains."""
        return len(self.component_bank) + 1

    @property
    def num_experts(self) -> int:
        """Number of experts, which are trunks: of each two components one."""
        return len(self.trunk_bank) + 1

    @property
    def num_features(self) -> int:
        """Number of features that the head takes; known once the trunk is built."""
        return (1 + self.kta) * self.trunk.num_heads * self.trunk.head_size

    @property
    def num_classes(self) -> int:
        return self.head.compute_output_shape((None, self.num_features))[-1]

    # Classifier -------------------------------------------------------------------------------------------------------

    def features(self, images: Tensor, heads: Tensor, component: Tensor, weights: Tensor) -> Tensor:
        """Computes what a component's classifier head sees; works inside a graph.

        Args:
            images: float tensor of shape `(batch, *image_shape)`.
            heads: the heads of the component's own trunk, of shape `(batch, num_heads, head_size)`.
            component: its index, an int or an int tensor.
            weights: its gates, of shape `(max_heads,)`, 0 for all heads that are not superseded.

        Returns:
            Float tensor of shape `(batch, num_features)`: its own features and, with KTA, those transferred.
        """
        shape, (trunk, half) = (-1, self.trunk.num_heads * self.trunk.head_size), (component // 2, component % 2)
        own = ops.reshape(heads * head_mask(half, self.trunk.num_heads)[:, None], shape)
        if not self.kta:
            return own
        # The heads of all earlier trunks at once; there may be none.
        earlier = ops.stop_gradient(self.trunk.attend(images, self.trunk_bank.read(tf.range(trunk))))
        weights = ops.reshape(weights, (-1, self.trunk.num_heads))
        transferred = ops.sum(earlier * weights[:trunk, None, :, None], axis=0)
        # Of the component's own trunk, the first half may be superseded.
        heads = ops.stop_gradient(heads) if self.freeze_trunk else heads
        transferred = transferred + heads * weights[trunk][:, None]
        return ops.concatenate([own, ops.reshape(transferred, shape)], axis=1)

    def num_superseded_heads(self, component: Tensor) -> Tensor:
        """Returns the number of heads that the components before this one have."""
        return component * (self.trunk.num_heads // 2)

    def probabilities(self, inputs: Tensor, component: Tensor) -> Tensor:
        """Computes the class probabilities of a component; works inside a graph.

        Args:
            inputs: float tensor of shape `(batch, *image_shape)`, in [0, 1].
            component: index of the component, an int tensor.

        Returns:
            Float tensor of shape `(batch, num_classes)`.
        """
        trunk = choose_weights(self.trunk_bank, component // 2, variables_of(self.trunk))
        heads = self.trunk.attend(inputs, [weight[None] for weight in trunk])[0]
        weights = self._apply(self.head_gates, component, self.num_superseded_heads(component))
        return ops.softmax(self._apply(self.head, component, self.features(inputs, heads, component, weights)))

    def call(self, inputs: Tensor) -> Tensor:
        return self.probabilities(grey_values(inputs), self.component_bank.count.value)

    def _apply(self, template, component, *inputs):
        return apply_template(template, self.templates, self.component_bank, component, *inputs)

    def classify(
        self, images: Array, batch_size: int = 256, seed: int = 0, routes: np.ndarray | None = None
    ) -> np.ndarray:
        """Computes the probability of each class, each image by the component of the lowest loss for it.

        Args:
            images: uint8, or float in [0, 1], of shape `(n, *image_shape)`.
            batch_size, seed: as for `losses_of`.
            routes: int array of shape `(n,)`, a component for each image; None routes them.

        Returns:
            float32 array of shape `(n, num_classes)`.
        """
        images = checked_images(images, self.image_shape)
        if routes is None:
            routes = self.route(images, batch_size, seed)
        return classify_routed(self._probabilities, images, routes, self.num_classes, batch_size)

    # VAEs -------------------------------------------------------------------------------------------------------------

    def error_and_kl(self, inputs: Tensor, noise: Tensor, component: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Computes the two parts of the VAE loss of each image; works inside a graph.

        Args:
            inputs: float tensor of shape `(batch, *image_shape)`, in [0, 1].
            noise: standard normal draws of shape `(batch, autoencoder.noise_dim)`.
            component: index of the component, an int tensor; None is the one that trains.

        Returns:
            `(errors, kls)`, each of shape `(batch,)`: squared errors summed over pixels, and nats.
        """
        outputs, z_mean, z_std = self._apply(self.autoencoder, component, inputs, noise)
        return ops.sum(ops.square(outputs - inputs), axis=(1, 2, 3)), gaussian_kl(z_mean, z_std)

    def losses_of(
        self, images: Array, batch_size: int = 256, seed: int = 0, components: Sequence[int] | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Computes the two parts of the VAE loss of every image under every component.

        Args:
            images: uint8, or float in [0, 1], of shape `(n, *image_shape)`.
            batch_size: images evaluated together.
            seed: int, of the codes drawn; all components have the same draws.
            components: indices of the components wanted, all by default.

        Returns:
            `(errors, kls)`, float32 arrays of shape `(n, num_components)`; see `error_and_kl`.
        """
        images = checked_images(images, self.image_shape)
        components = range(self.num_components) if components is None else components
        errors, kls = np.empty((2, len(images), len(components)), np.float32)
        for start in range(0, len(images), batch_size):
            part = slice(start, start + batch_size)
            inputs = grey_values(images[part])
            noise = tf.random.stateless_normal([len(inputs), self.autoencoder.noise_dim], [seed, start])
            for column, component in enumerate(components):
                errors[part, column], kls[part, column] = self._losses(inputs, noise, component)
        return errors, kls

    def energies(self, images: Array, num_components: int, seed: int = 0) -> np.ndarray:
        """Computes the energy of each of the oldest components on a batch: its mean error, a float32 array."""
        return self.losses_of(images, seed=seed, components=range(num_components))[0].mean(axis=0)

    def route(self, images: Array, batch_size: int = 256, seed: int = 0) -> np.ndarray:
        """Chooses the component of the lowest VAE loss for each image, of equal ones the oldest.

        Args:
            images, batch_size, seed: as for `losses_of`.

        Returns:
            int array of shape `(n,)`.
        """
        if self.num_components == 1:
            return np.zeros(len(images), np.int64)
        errors, kls = self.losses_of(images, batch_size, seed)
        return (errors + self.kl_weight * kls).argmin(axis=1)

    # Training ---------------------------------------------------------------------------------------------------------

    def train_step(self, data: Any) -> dict[str, Tensor]:
        require_labels(data)
        return super().train_step(data)

    def minibatch_step(self, images: Tensor, labels: Tensor) -> Tensor:
        inputs = grey_values(images)
        if self.augmentation is not None:
            inputs = self.augmentation(inputs, training=True)
        classifier_loss = tf.cond(
            self.component_bank.count.value % 2 == 0,
            lambda: self._classifier_step(inputs, labels, 0),
            lambda: self._classifier_step(inputs, labels, 1),
        )
        return classifier_loss + self._vae_step(inputs)

    def trained_variables(self, half: int) -> list[keras.Variable]:
        """Returns the variables that a component with this half of a trunk's heads trains, but for its VAE's."""
        if half == 0:
            of_trunk = [*self.trunk.embedding, *self.trunk.projections[0]]
        else:
            of_trunk = self.trunk.projections[1] if self.freeze_trunk else self.trunk.trainable_variables
        # An optimizer such as Adam may move even a variable whose gradient is zero, so frozen ones are left out. Gates
        # that are not used have no gradient.
        gates = self.head_gates.trainable_variables if self.kta else []
        return [*of_trunk, *gates, *self.head.trainable_variables]

    def _classifier_step(self, inputs, labels, half):
        component, variables = self.component_bank.count.value, self.trained_variables(half)
        with tf.GradientTape() as tape:
            noise = self._gumbel_noise() if self.gates == "gumbel" else None
            weights = self.head_gates(self.num_superseded_heads(component), noise)
            features = self.features(inputs, self.trunk(inputs), component, weights)
            logits = self.head(features)
            loss = ops.mean(keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True))
        self.optimizer.apply(tape.gradient(loss, variables), variables)
        return loss

    def _gumbel_noise(self):
        uniform = keras.random.uniform((self.head_gates.num_heads,), minval=1e-7, maxval=1.0, seed=self.gate_seeds)
        return -ops.log(-ops.log(uniform))

    def _vae_step(self, inputs):
        variables = self.autoencoder.trainable_variables
        noise = keras.random.normal((ops.shape(inputs)[0], self.autoencoder.noise_dim), seed=self.seed_generator)
        with tf.GradientTape() as tape:
            errors, kls = self.error_and_kl(inputs, noise)
            loss = ops.mean(errors + self.kl_weight * kls)
        self.vae_optimizer.apply(tape.gradient(loss, variables), variables)
        return loss

    def grow(self) -> None:
        """Freezes the component that trains and starts a new one with fresh optimizer states.

        The new one takes the other half of the trunk's heads, or a new trunk if there is none left.

        Raises:
            ValueError: if there are `max_components` already.
        """
        self.optimizer.finalize_variable_values(self.optimized_variables)
        self.vae_optimizer.finalize_variable_values(self.autoencoder.trainable_variables)
        self.component_bank.store([variable for template in self.templates for variable in variables_of(template)])
        fresh = [*self.templates]
        if len(self.component_bank) % 2 == 0:
            self.trunk_bank.store(variables_of(self.trunk))
            fresh.append(self.trunk)
        initialise_afresh(fresh, f"{self.seed}-{self.num_components}")
        start_afresh(self.optimizer, self.optimized_variables)
        start_afresh(self.vae_optimizer, self.autoencoder.trainable_variables)

    def get_config(self) -> dict[str, Any]:
        serialize = keras.saving.serialize_keras_object
        names = ("image_shape", "max_components", "kta", "gates", "temperature", "freeze_trunk", "kl_weight")
        return {
            **super().get_config(),
            "trunk": serialize(self.trunk),
            "head": serialize(self.head),
            "autoencoder": serialize(self.autoencoder),
            "augmentation": None if self.augmentation is None else serialize(self.augmentation),
            **{name: getattr(self, name) for name in names},
        }
