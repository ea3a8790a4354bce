"""An expanding mixture of VAEs with shared first layers (the model of OCM)."""

import contextlib
import itertools
import random

import keras
import tensorflow as tf

from ocm_tf.memory.weight_bank import WeightBank
from ocm_tf.models.vae import VAE, build_once


@keras.saving.register_keras_serializable(package="ocm_tf")
class VAEMixture(VAE):
    """A VAE that grows by components  [OCM, Algorithm 2].

    One component trains; the earlier ones are frozen in a `WeightBank`. Shared layers come first in the encoder and
    first in the decoder. They train with the first component and stay as they are from the first expansion on, so
    that a frozen component computes the same for good.

    Args:
        shared_encoder: layer from images in [0, 1] to features.
        encoder: layer from those features to `(z_mean, z_std)`, one a component.
        shared_decoder: layer from latents to features.
        decoder: layer from those features to logits or means of all pixels, one a component.
        max_components: most components, C_max in the paper.
        train_shared_after_expand: whether the shared layers go on training after an expansion.
        warm_start: whether a new component starts from the weights of the one before it instead of fresh ones.
        **kwargs: as for `VAE`.

    Call: images -> reconstructions by the component that trains. `reconstruct` routes each image instead.
    """

    def __init__(
        self,
        shared_encoder,
        encoder,
        shared_decoder,
        decoder,
        max_components=30,
        train_shared_after_expand=False,
        warm_start=False,
        **kwargs,
    ):
        super().__init__(encoder=encoder, decoder=decoder, **kwargs)
        if max_components < 1:
            raise ValueError(f"max_components must be at least 1, got {max_components}.")
        self.shared_encoder, self.shared_decoder = shared_encoder, shared_decoder
        self.max_components, self.train_shared_after_expand = max_components, train_shared_after_expand
        self.warm_start = warm_start
        self.bank = WeightBank(max_components - 1, name="bank")

    def build_networks(self):
        images, latents = (None, *self.image_shape), (None, self.latent_dim)
        build_once(self.shared_encoder, images)
        build_once(self.encoder, self.shared_encoder.compute_output_shape(images))
        build_once(self.shared_decoder, latents)
        build_once(self.decoder, self.shared_decoder.compute_output_shape(latents))
        self.bank.allocate([variable for template in self.templates for variable in _variables(template)])

    @property
    def templates(self):
        """The layers that each component has of its own, in the order of the bank."""
        return (self.encoder, self.decoder)

    @property
    def num_components(self):
        """Number of components: the frozen ones and the one that trains."""
        return len(self.bank) + 1

    def encode(self, inputs, component=None):
        return self._apply(self.encoder, self.shared_encoder(inputs), component)

    def decode(self, latents, component=None):
        return self._apply(self.decoder, self.shared_decoder(latents), component)

    def _apply(self, template, features, component):
        # Runs a component's layer: the template itself if that component still trains, else with banked weights.
        if component is None:
            return template(features)
        variables = _variables(template)
        before = itertools.takewhile(lambda other: other is not template, self.templates)
        offset = sum(len(_variables(other)) for other in before)
        stop = offset + len(variables)
        weights = tf.cond(
            component < self.bank.count.value,
            lambda: self.bank.read(component)[offset:stop],
            lambda: [tf.convert_to_tensor(variable) for variable in variables],
        )
        num_trainable = len(template.trainable_variables)
        return template.stateless_call(weights[:num_trainable], weights[num_trainable:], features)[0]

    def minibatch_step(self, images, labels):
        inputs = self.training_inputs(images)
        if self.train_shared_after_expand:
            return self.update(inputs, self.optimized_variables)
        # An optimizer such as Adam moves even a variable whose gradient is zero, so frozen ones are left out.
        component = self.encoder.trainable_variables + self.decoder.trainable_variables
        return tf.cond(
            self.bank.count.value == 0,
            lambda: self.update(inputs, self.optimized_variables),
            lambda: self.update(inputs, component),
        )

    def grow(self):
        """Freezes the component that trains and starts a new one with a fresh optimizer state.

        The new one is freshly initialised, unless `warm_start`. With an optimizer that keeps a running mean of the
        weights, the mean is what is frozen.

        Raises:
            ValueError: if there are `max_components` already.
        """
        self.optimizer.finalize_variable_values(self.optimized_variables)
        self.bank.store([variable for template in self.templates for variable in _variables(template)])
        if not self.warm_start:
            self._initialise_component()
        start_afresh(self.optimizer, self.optimized_variables)

    def _initialise_component(self):
        # Seeded by the component's number, so that a resumed run grows the same component as one never stopped.
        with _seeded_initialisers(f"{self.seed}-{self.num_components}"):
            for template in self.templates:
                fresh = template.from_config(template.get_config())
                fresh.build_from_config(template.get_build_config())
                for variable, new in zip(_variables(template), _variables(fresh), strict=True):
                    variable.assign(new)

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "shared_encoder": serialize(self.shared_encoder),
            "shared_decoder": serialize(self.shared_decoder),
            "max_components": self.max_components,
            "train_shared_after_expand": self.train_shared_after_expand,
            "warm_start": self.warm_start,
        }


def start_afresh(optimizer, variables):
    """Sets an optimizer, built on `variables`, back to the state of a new one."""
    fresh = optimizer.from_config(optimizer.get_config())
    fresh.build(variables)
    for variable, new in zip(optimizer.variables, fresh.variables, strict=True):
        variable.assign(new)


def _variables(layer):
    # In the order that `stateless_call` takes them.
    return layer.trainable_variables + layer.non_trainable_variables


@contextlib.contextmanager
def _seeded_initialisers(seed):
    # Keras initialisers without a seed of their own draw it from Python's global generator.
    state = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(state)
