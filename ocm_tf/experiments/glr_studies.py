"""The ablation studies on generative latent replay: what each varies, as changes to the settings."""

from ocm_tf.errors import UserError

_GLR = {"method": "generative_latent_replay"}
_LATENT_REPLAY = {"method": "latent_replay"}
_BOTH = {"glr": _GLR, "latent-replay": _LATENT_REPLAY}
# From the first layer to the last; a connection skips every cut inside MobileNetV2 but the last.
_CUTS = {
    "alexnet_small": ("conv3", "conv4", "conv5_pool", "flatten"),
    "lenet": ("pool1", "flatten", "dense1", "dense2"),
    "perceptron": ("dense1", "dense2"),
    "mobilenet_v2": ("flatten",),
}
# Data of the same size and kind as the stream's, but other images; MNIST stands beside Fashion-MNIST.
_PRETRAINED_ON = {"mnist": "fashion_mnist", "fashion_mnist": "mnist", "digits": "digits:inverted"}
_BUFFER_PERCENT = (1, 10, 25, 50)
_SHARES = (8, 4, 2, 1)


def _generators(config):
    mixtures = {f"gmm-{number}": {"generator": "gmm", "num_components": number} for number in (1, 2, 4, 8)}
    others = {kind.replace("_", "-"): {"generator": kind} for kind in ("full", "shrunk", "tied", "class_mean", "vae")}
    named = {**mixtures, "gmm-1-nonnegative": {"clip_nonneg": True}, **others}
    named["component-labelled"] = {"generator": "component_labelled"}
    return {label: {**_GLR, **changes} for label, changes in named.items()} | {"latent-replay": _LATENT_REPLAY}


def _freeze_depth(config):
    cuts = _CUTS[config.network]
    return {f"{label}-{cut}": {**method, "cut": cut} for cut in cuts for label, method in _BOTH.items()}


def _buffer_size(config):
    if config.num_train is None:
        raise UserError("study buffer_size takes shares of the training images: set num_train, such as 60000")
    sizes = [max(1, config.num_train * percent // 100) for percent in _BUFFER_PERCENT]
    # As published: the size sets the share of replay in a minibatch too.
    return {
        f"{label}-{size}": {**method, "buffer_size": size, "batch_split": "released"}
        for size in sizes
        for label, method in _BOTH.items()
    }


def _sampling_strategy(config):
    quotas = {name.replace("_", "-"): {"quota": name} for name in ("even", "inverse_age", "unlimited")}
    quotas |= {f"last-{window}": {"quota": "last_g", "quota_window": window} for window in (1, 2)}
    return {label: {**_GLR, **changes} for label, changes in quotas.items()}


def _sampling(config):
    names = ("per_experience", "per_batch", "static")
    return {name.replace("_", "-"): {**_GLR, "sampling": name} for name in names}


def _pretrained(config):
    if config.weights is not None:
        changes = {"pretrained": True}
    elif config.dataset in _PRETRAINED_ON:
        changes = {"pretrained_on": _PRETRAINED_ON[config.dataset]}
    else:
        raise UserError("study pretrained needs a file of the backbone's weights: --set weights=PATH")
    return {
        f"{label}-{name}": {**method, **own}
        for name, own in (("from-scratch", {}), ("pretrained", changes))
        for label, method in _BOTH.items()
    }


def _batch_share(config):
    # Per sample of the experience; 1 replays as many as the minibatch holds of it.
    sizes = [max(1, config.batch_size // share) for share in _SHARES] + [2 * config.batch_size]
    return {
        f"{label}-{size}": {**method, "replay_batch_size": size, "batch_split": "constant"}
        for size in sizes
        for label, method in _BOTH.items()
    }


def _label_mode(config):
    modes = {
        "class-conditional": {},
        "head": {"label_mode": "head"},
        "component": {"generator": "component_labelled"},
    }
    return {label: {**_GLR, **changes} for label, changes in modes.items()}


STUDIES = {
    "generators": _generators,
    "freeze_depth": _freeze_depth,
    "buffer_size": _buffer_size,
    "sampling_strategy": _sampling_strategy,
    "sampling": _sampling,
    "pretrained": _pretrained,
    "batch_share": _batch_share,
    "label_mode": _label_mode,
}
"""For each study a function that makes `{label: changes to the settings}` for a `GLRConfig`."""

DESCRIPTIONS = {
    "generators": "what models the latents: diagonal mixtures of 1 to 8 Gaussians a class, whole, shrunk and shared "
    "covariances, class means, a small VAE, the mixture of the authors' code; beside latent replay",
    "freeze_depth": "how deep the network is cut",
    "buffer_size": "samples of the replay, which set its share in a minibatch too, as published",
    "sampling_strategy": "how earlier experiences share the replay",
    "sampling": "when latents are drawn: for each experience, each step, or once",
    "pretrained": "backbone learned on the first experience, or beforehand on another data set",
    "batch_share": "replayed samples in a minibatch",
    "label_mode": "what labels the generated latents",
}
