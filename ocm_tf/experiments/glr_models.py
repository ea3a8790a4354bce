"""The networks, generators and classifiers of the experiments on generative latent replay, made from settings."""

from dataclasses import replace
from types import SimpleNamespace

import keras

from ocm_tf import data
from ocm_tf.callbacks.best_state import BestState
from ocm_tf.files import load_arrays, save_arrays
from ocm_tf.memory import (
    ClassConditionalGaussian,
    ClassConditionalGMM,
    ClassConditionalVAE,
    ClassMean,
    ComponentLabelledGMM,
)
from ocm_tf.models import EWC, GenerativeLatentReplay, Joint, LatentReplay, Naive, Replay
from ocm_tf.networks import alexnet_small, lenet, mobilenet_v2, perceptron, split_at
from ocm_tf.streams import evenly_spaced


def build_network(config, image_shape, num_classes, seed):
    """Returns the network of the settings, a functional `keras.Model` from images to logits.

    Raises:
        ValueError: if the network does not take such images.
        UserError: if a file of weights is missing or does not fit.
    """
    common = {"num_classes": num_classes, "input_shape": image_shape, "seed": seed}
    if config.network == "alexnet_small":
        own = {"resized_to": config.resized_to, "dropout": config.dropout, "weights": config.weights}
        return alexnet_small(**common, **own)
    if config.network == "mobilenet_v2":
        return mobilenet_v2(**common, alpha=config.width, weights=config.weights)
    return {"lenet": lenet, "perceptron": perceptron}[config.network](**common)


def build_generator(config):
    """Returns the unfitted `LatentGenerator` of the settings."""
    clip = {"clip_nonneg": config.clip_nonneg}
    if config.generator in ("full", "shrunk", "tied"):
        return ClassConditionalGaussian(config.generator, **clip)
    if config.generator == "gmm":
        return ClassConditionalGMM(config.num_components, **clip)
    kinds = {"class_mean": ClassMean, "vae": ClassConditionalVAE, "component_labelled": ComponentLabelledGMM}
    return kinds[config.generator](**clip)


def build_model(config, image_shape, num_classes, seed, backbone_weights=None):
    """Returns the compiled `ContinualClassifier` of the settings.

    Args:
        config: `GLRConfig`; `match_bytes` is left to the caller.
        image_shape: `(height, width, channels)`.
        num_classes: number of classes.
        seed: seed of weights, order and choice.
        backbone_weights: list of arrays that the backbone starts with; None leaves its own.

    Raises:
        ValueError: if the settings do not fit together, or the images.
    """
    network = build_network(config, image_shape, num_classes, seed)
    # A cut inside a map of features is flattened.
    backbone, head = split_at(network, config.cut_layer, flatten=True)
    if backbone_weights is not None:
        backbone.set_weights(backbone_weights)
    kind, own = _method(config)
    names = ("batch_size", "weight_decay", "minibatches_per_step")
    model = kind(backbone, head, seed=seed, **{name: getattr(config, name) for name in names}, **own)
    model.compile(keras.optimizers.SGD(config.learning_rate, momentum=config.momentum))
    return model


def _method(config):
    """Returns the class of the method and its own arguments."""

    def chosen(*names):
        return {name: getattr(config, name) for name in names}

    if config.method in ("naive", "joint"):
        return {"naive": Naive, "joint": Joint}[config.method], {}
    if config.method == "ewc":
        return EWC, chosen("penalty_strength", "fisher", "half", "online", "decay")
    replay = chosen("buffer_size", "replay_batch_size", "replay_loss", "shuffle_replay")
    if config.method == "replay":
        # Its minibatches are larger by what is replayed, also in the authors' runs.
        return Replay, replay
    latent = chosen("batch_split", "pretrained", "collect", "backbone_dropout", "latent_dtype")
    latent = {**replay, **latent, "pretrained": config.pretrained or config.pretrained_on is not None}
    if config.method == "latent_replay":
        return LatentReplay, latent
    own = chosen("sampling", "label_mode", "quota", "quota_window", "proportions")
    return GenerativeLatentReplay, {**latent, **own, "generator": build_generator(config)}


def pretrained_backbone(config, num_classes, seed, path, data_dir=None, say=print):
    """Trains the network on another data set as on a single experience; does so once and keeps the weights.

    Args:
        config: `GLRConfig` that names the data set in `pretrained_on`.
        num_classes: number of classes of the stream, whose head is not used here.
        seed: seed of weights and order.
        path: `pathlib.Path` of the file in which the weights are kept.
        data_dir: TFDS data directory; None for the usual one.
        say: called with one line of text now and then.

    Returns:
        list of arrays, weights of the backbone.

    Raises:
        UserError: if the data set is not there.
    """
    if path.exists():
        arrays = load_arrays(path)
        return [arrays[str(index)] for index in range(len(arrays))]
    (dataset,) = data.load_domains(config.pretrained_on, data_dir, say)
    train = evenly_spaced(dataset.train, config.num_train)
    plain = replace(config, method="naive", pretrained=False, pretrained_on=None)
    model = build_model(plain, dataset.spec.image_shape, dataset.spec.num_classes, seed)
    model.fit_experience(SimpleNamespace(train=train), config.epochs, [BestState(config.patience, config.margin)])
    weights = model.backbone.get_weights()
    save_arrays(path, {str(index): weight for index, weight in enumerate(weights)})
    return weights
