"""One example of every public class, with arguments that are not the defaults, and a bad argument of each."""

import dataclasses
from collections.abc import Callable

import keras
import numpy as np

from ocm_tf import callbacks, memory, models, networks
from tests import tiny
from tests.models.tiny_experiences import make_classifier, make_parts
from tests.models.tiny_phases import dense_backbone, make_incremental

IMAGES = tiny.make_binary_images(6, seed=4)
NOISE = np.random.default_rng(5).normal(size=(6, 2)).astype(np.float32)
VECTORS = np.random.default_rng(6).normal(size=(6, 4)).astype(np.float32)
LATENTS = np.random.default_rng(7).normal(size=(24, 3)).astype(np.float32)
LABELS = np.arange(24) % 3


@dataclasses.dataclass(frozen=True)
class Example:
    """How a class is made and called.

    Attributes:
        make: function without arguments that returns an instance.
        inputs: arrays that a layer is called with; empty for one that is not called.
        bad: `{argument: value}` that the class refuses, given beside those of `others`, and of which the message names
            the first; None where Keras checks all arguments.
        others: further arguments, positional ones by name, that a call with a bad one needs.
        draws: whether a call draws random numbers.
    """

    make: Callable
    inputs: tuple = ()
    bad: dict | None = None
    others: dict = dataclasses.field(default_factory=dict)
    draws: bool = False


def _autoencoder():
    encoder, decoder = networks.GaussianEncoder(2, (6,)), networks.MLP((6, tiny.NUM_PIXELS))
    return networks.GaussianAutoencoder(encoder, decoder, 2, features=networks.MLP((5,)))


LAYERS = {
    "MLP": Example(lambda: networks.MLP((5, 3), ("relu",), "tanh", "float32"), (VECTORS,), {"units": ()}),
    "CosineHead": Example(lambda: networks.CosineHead(3, 2.5), (VECTORS,), {"num_classes": 0}),
    "Dense": Example(lambda: networks.Dense(3, matmul_dtype="bfloat16"), (VECTORS,)),
    "GaussianAutoencoder": Example(_autoencoder, (IMAGES, NOISE)),
    "GaussianEncoder": Example(lambda: networks.GaussianEncoder(3, (5,), "relu", "float32"), (VECTORS,)),
    "HeadGates": Example(lambda: networks.HeadGates(4, 0.7), (np.int32(3), VECTORS[0]), {"num_heads": 0}),
    "LinearAutoencoder": Example(
        lambda: networks.LinearAutoencoder((6, 5), 4, (4, 3), 2), (IMAGES, np.repeat(NOISE, 3, axis=1))
    ),
    "PatchAttention": Example(
        lambda: networks.PatchAttention(4, 4, 5, 3), (IMAGES,), {"num_heads": 3}, {"patch_size": 4}
    ),
    "RandomAffine": Example(
        lambda: networks.RandomAffine(0.5, seed=3, flips=True), (IMAGES,), {"strength": -1.0}, draws=True
    ),
    "RandomCropFlip": Example(
        lambda: networks.RandomCropFlip(2, False, seed=3), (IMAGES,), {"padding": -1}, draws=True
    ),
    "ResNet": Example(lambda: networks.ResNet(3, (1, 1), 4), (IMAGES,), {"blocks": ()}, {"num_classes": 2}),
    "ResidualFeatures": Example(
        lambda: networks.ResidualFeatures((3, 4), (1, 1), True, True), (IMAGES,), {"channels": (0,)}, {"blocks": (1,)}
    ),
    "TransferConv2D": Example(
        lambda: networks.TransferConv2D(3, 5, 2, True), (IMAGES,), {"kernel_size": 2}, {"filters": 2}
    ),
}


def _shape(**others):
    return {"sample_shape": tiny.IMAGE_SHAPE, **others}


MEMORY_LAYERS = {
    "SampleBuffer": Example(
        lambda: memory.SampleBuffer(7, tiny.IMAGE_SHAPE, "float32", 2), bad={"capacity": 0}, others=_shape()
    ),
    "PackedSampleBuffer": Example(
        lambda: memory.PackedSampleBuffer(7, tiny.IMAGE_SHAPE, 2, seed=3), bad={"bits": 3}, others=_shape(capacity=7)
    ),
    "ExemplarMemory": Example(
        lambda: memory.ExemplarMemory(7, tiny.IMAGE_SHAPE, "float32"), bad={"capacity": 0}, others=_shape()
    ),
    "ShortTermMemory": Example(
        lambda: memory.ShortTermMemory(8, tiny.IMAGE_SHAPE, 4, "gt"),
        bad={"trigger": "x"},
        others=_shape(capacity=8, batch_size=4),
    ),
    "SlidingMemory": Example(
        lambda: memory.SlidingMemory(8, tiny.IMAGE_SHAPE, 4, 2),
        bad={"held_back": 5},
        others=_shape(capacity=8, batch_size=4),
    ),
    "TemporaryMemory": Example(
        lambda: memory.TemporaryMemory(8, tiny.IMAGE_SHAPE, 4, "fifo", seed=3),
        bad={"policy": "x"},
        others=_shape(capacity=8, batch_size=4),
    ),
    "EvolvingMemory": Example(
        lambda: memory.EvolvingMemory(3, 4, tiny.IMAGE_SHAPE, "float32"),
        bad={"max_clusters": 0},
        others=_shape(cluster_size=2),
    ),
    "RandomReplacementMemory": Example(
        lambda: memory.RandomReplacementMemory(memory.SampleBuffer(7, tiny.IMAGE_SHAPE), seed=3)
    ),
    "CooperativeMemory": Example(
        lambda: tiny.make_memory(seed_long_term=False, seed_duplicate=True, replay_limit=3, seed=5)
    ),
    "WeightBank": Example(lambda: memory.WeightBank(3), bad={"capacity": -1}),
}

GENERATORS = {
    "ClassMean": Example(lambda: memory.ClassMean(multinomial=True, clip_nonneg=True)),
    "ClassConditionalGaussian": Example(
        lambda: memory.ClassConditionalGaussian("tied", clip_nonneg=True), bad={"covariance": "x"}
    ),
    "ClassConditionalGMM": Example(lambda: memory.ClassConditionalGMM(2, multinomial=True), bad={"num_components": 0}),
    "ComponentLabelledGMM": Example(lambda: memory.ComponentLabelledGMM(multinomial=False, clip_nonneg=True)),
    "ClassConditionalVAE": Example(
        lambda: memory.ClassConditionalVAE(2, 8, 1, 16, 0.01, clip_nonneg=True), bad={"code_dim": 0}
    ),
}


def _dropouts():
    return make_parts(backbone_dropout=0.3, head_dropout=0.2)


def _continual(kind, bad, **settings):
    def make():
        return make_classifier(kind, _dropouts(), minibatches_per_step=2, weight_decay=0.001, **settings)

    return Example(make, bad=bad)


def _vae_parts():
    return {
        "encoder": networks.GaussianEncoder(2), "decoder": networks.MLP((tiny.NUM_PIXELS,)),
        "image_shape": tiny.IMAGE_SHAPE, "latent_dim": 2,
    }  # fmt: skip


def _make_vae():
    return tiny.make_vae(
        tiny.make_memory(), objective="iwae", num_samples=3, beta=0.5, augmentation=networks.RandomAffine(0.5, seed=2)
    )


def _make_mixture(num_components=3):
    model = tiny.make_mixture(tiny.make_memory(), kl="analytic", train_shared_after_expand=True)
    for _ in range(num_components - 1):
        model.grow()
    return model


def _make_two_path():
    return tiny.make_two_path_vae(
        tiny.make_cluster_memory(), kl_weight=0.2, prior="uniform", penalty="rows", extra_encoder_steps=1
    )


def _finished(model):
    return tiny.finished(model, 0.01)


def _make_online():
    keras.utils.set_random_seed(0)
    classifier = networks.MLP((5, 3), "relu")
    return _finished(
        models.OnlineClassifier(
            classifier, tiny.IMAGE_SHAPE, memory=tiny.make_memory(), epochs_per_batch=2, minibatch_size=4, seed=3
        )
    )


def _make_classifier_mixture():
    keras.utils.set_random_seed(0)
    model = models.ClassifierMixture(
        classifier=networks.MLP((5, 3), "relu"),
        shared_encoder=networks.MLP((6,), output_activation="tanh"),
        shared_decoder=networks.MLP((6,), output_activation="tanh"),
        max_components=4,
        num_samples=2,
        epochs_per_batch=1,
        minibatch_size=4,
        memory=tiny.make_memory(),
        seed=3,
        **_vae_parts(),
    )
    model = _finished(model)
    model.grow()
    return model


def _make_sparse():
    keras.utils.set_random_seed(0)
    model = models.SparseAttentionClassifier(
        networks.PatchAttention(4, 4, 5, 3),
        networks.MLP((5, 3), "relu"),
        networks.GaussianAutoencoder(networks.GaussianEncoder(2, (6,)), networks.MLP((6, tiny.NUM_PIXELS)), 2),
        tiny.IMAGE_SHAPE,
        max_components=6,
        temperature=0.7,
        memory=memory.SlidingMemory(40, tiny.IMAGE_SHAPE, 4),
        epochs_per_batch=1,
        minibatch_size=4,
        seed=3,
    )
    model.build((None, *tiny.IMAGE_SHAPE))
    model.compile(keras.optimizers.Adam(0.01), keras.optimizers.Adam(0.02))
    model.grow()
    return model


MODELS = {
    "VAE": Example(_make_vae, bad={"objective": "x"}, others=_vae_parts()),
    "VAEMixture": Example(
        _make_mixture,
        bad={"max_components": 0},
        others={"shared_encoder": networks.MLP((4,)), "shared_decoder": networks.MLP((4,)), **_vae_parts()},
    ),
    "TwoPathVAE": Example(
        _make_two_path,
        bad={"paths": "x"},
        others={"encoder": None, "generator": None, "critic": None, "image_shape": (8, 8, 1), "latent_dim": 2},
    ),
    "OnlineModel": Example(lambda: None, bad={"minibatch_size": 0}),
    "OnlineClassifier": Example(_make_online),
    "ClassifierMixture": Example(_make_classifier_mixture),
    "SparseAttentionClassifier": Example(_make_sparse),
    "ContinualClassifier": Example(lambda: None, bad={"batch_size": 0}),
    "Naive": _continual(models.Naive, {"batch_size": 0}),
    "Joint": _continual(models.Joint, {"minibatches_per_step": 0}),
    "EWC": _continual(models.EWC, {"fisher": "x"}, penalty_strength=2.0, half=True, online=True, decay=0.9),
    "Replay": _continual(models.Replay, {"replay_loss": "x"}, buffer_size=8, replay_loss="balanced"),
    "LatentReplay": _continual(models.LatentReplay, {"collect": "x"}, buffer_size=8, latent_dtype="float16"),
    "GenerativeLatentReplay": _continual(
        models.GenerativeLatentReplay, {"sampling": "x"}, buffer_size=8, quota="inverse_age"
    ),
    "IncrementalClassifier": Example(
        lambda: make_incremental(method="lucir", margin=0.4, top_k=1), bad={"method": "x"}
    ),
    "Mnemonics": Example(
        lambda: make_incremental(models.Mnemonics, inner_steps=1, outer_steps=1, inner_parameters="scales"),
        bad={"validation": "x"},
    ),
}

CALLBACKS = {
    "BestState": Example(lambda: callbacks.BestState(3, 0.01), bad={"patience": 0}),
    "ClusterExpansion": Example(
        lambda: callbacks.ClusterExpansion(0.5, query="candidate", reduce="max", seed=3), bad={"reduce": "x"}
    ),
    "EnergyExpansion": Example(lambda: callbacks.EnergyExpansion(1.0, 2.0, 8, num_dropped=4), bad={"scale": -1.0}),
    "IntervalExpansion": Example(lambda: callbacks.IntervalExpansion(5), bad={"interval": 0}),
    "Expansion": Example(lambda: callbacks.Expansion(2.0, "every_round", 2, seed=3), bad={"reference": "x"}),
    "MemoryTransfer": Example(lambda: callbacks.MemoryTransfer("random", seed=3), bad={"max_transferred": -1}),
    "ReservoirTransfer": Example(lambda: callbacks.ReservoirTransfer(5, seed=3), bad={"capacity": 0}),
}

# Classes without a configuration or state of their own to come back: what they do is tested beside them.
BESIDE = {
    "networks": {"TwoPathNetworks"},
    "memory": {"LatentGenerator", "ReplayBuffer", "Samples"},
    "models": set(),
    "callbacks": {"Checkpoint", "DivergenceGuard", "ExperienceCheckpoint", "Interrupted", "Progress"},
    "streams": {"Experience", "ExperienceSplit", "Stream"},
    "metrics": {"ClassifierFeatures", "InceptionFeatures"},
}
TABLES = {
    "networks": LAYERS,
    "memory": MEMORY_LAYERS | GENERATORS,
    "models": MODELS,
    "callbacks": CALLBACKS,
    "streams": {},
    "metrics": {},
}


def others_of_model(name):
    """Returns the arguments that a model of experiences needs beside a bad one."""
    if name in ("IncrementalClassifier", "Mnemonics"):
        return {"backbone": dense_backbone(), "num_classes": 6}
    if name in ("Naive", "Joint", "EWC", "ContinualClassifier"):
        return dict(zip(("backbone", "head"), make_parts(), strict=True))
    if name in ("Replay", "LatentReplay", "GenerativeLatentReplay"):
        return {**dict(zip(("backbone", "head"), make_parts(), strict=True)), "buffer_size": 4}
    return MODELS[name].others
