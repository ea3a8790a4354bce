"""Settings of the experiments on generative latent replay: what each means, the presets, the compared variants."""

from dataclasses import dataclass, replace

from ocm_tf.experiments.settings import setting

METHODS = ("naive", "ewc", "replay", "latent_replay", "generative_latent_replay", "joint")
LATENT_METHODS = ("latent_replay", "generative_latent_replay")
CORE50_SCENARIOS = ("NI", "NC", "NIC", "NICv2-79", "NICv2-196", "NICv2-391")
STREAMS = ("permuted", "rotated", *CORE50_SCENARIOS)
GENERATORS = ("gmm", "full", "shrunk", "tied", "class_mean", "vae", "component_labelled")
# Where each network is cut unless the settings say so.
NETWORKS = {"alexnet_small": "flatten", "lenet": "flatten", "mobilenet_v2": "flatten", "perceptron": "dense1"}


@dataclass(frozen=True)
class GLRConfig:
    """Everything that decides the outcome of a run, but for the seed.

    Defaults are the paper's values, those of the authors' code where the paper gives none. What their code does
    otherwise than the paper describes is what `FAITHFUL` changes.
    """

    dataset: str = setting("mnist", "data set")
    stream: str = setting(
        "rotated", "permuted or rotated images of one data set, or a scenario of CORe50 (--dataset core50)", STREAMS
    )
    num_experiences: int = setting(5, "experiences; CORe50 has its own number")
    num_train: int | None = setting(None, "training images of each experience; none takes all")
    num_test: int | None = setting(None, "test images of each experience; none takes all")
    stream_seed: int = setting(43769, "seed of the permutations")
    validation: bool = setting(False, "measure on training images that are set aside, instead of the test images")
    core50_run: int = setting(0, "which of the ten orders of a CORe50 scenario")
    core50_level: str = setting("object", "labels of CORe50", ("object", "category"))
    core50_reduced_test: bool = setting(False, "test on every 20th test image of CORe50")
    measure_train: bool = setting(True, "measure the training stream too, of the experiences learned so far")

    method: str = setting("generative_latent_replay", "how it learns", METHODS)
    network: str = setting("alexnet_small", "network", tuple(NETWORKS))
    cut: str | None = setting(None, "layer behind which the backbone ends; none takes the network's own")
    weights: str | None = setting(None, "local file of the backbone's weights, for alexnet_small and mobilenet_v2")
    resized_to: int = setting(244, "size that images are resized to, for alexnet_small")
    dropout: float = setting(0.5, "rate of dropout, for alexnet_small")
    width: float = setting(1.0, "width of the layers, for mobilenet_v2")
    pretrained: bool = setting(False, "freeze the backbone from the start")
    pretrained_on: str | None = setting(
        None, "data set on which the run itself trains the network beforehand; of it the backbone is taken over"
    )

    learning_rate: float = setting(0.001, "learning rate of SGD")
    later_learning_rate: float | None = setting(None, "the same after the first experience; none leaves it as it is")
    momentum: float = setting(0.9, "momentum of SGD")
    weight_decay: float = setting(0.0005, "factor of the L2 term's gradient")
    batch_size: int = setting(64, "samples of the experience in a minibatch")
    epochs: int = setting(40, "most passes over an experience")
    patience: int = setting(1, "epochs without a gain after which an experience ends")
    margin: float = setting(0.003, "least gain of accuracy on the training images, as a fraction")
    minibatches_per_step: int = setting(100, "updates in one Keras step")

    buffer_size: int = setting(6000, "samples of the replay, M")
    match_bytes: str | None = setting(
        None, "method whose state the buffer takes as many bytes as, in place of M", (None, *LATENT_METHODS)
    )
    replay_batch_size: int | None = setting(None, "replayed samples in a minibatch; none takes as many as batch_size")
    batch_split: str = setting(
        "released", "of latent methods: M sets the share of replay, or it is constant", ("released", "constant")
    )
    replay_loss: str = setting("concat", "mean over the minibatch, or over the experiences", ("concat", "balanced"))
    shuffle_replay: bool = setting(True, "shuffle the replay in each round")

    collect: str = setting("frozen", "when latents of the first experience are gathered", ("frozen", "first_epoch"))
    backbone_dropout: bool = setting(False, "leave dropout of the frozen backbone active")
    latent_dtype: str = setting("float32", "dtype of latents kept", ("float32", "float16"))

    generator: str = setting("gmm", "model of an experience's latents", GENERATORS)
    num_components: int = setting(1, "Gaussians of a class, for generator=gmm")
    clip_nonneg: bool = setting(False, "cut negative values of generated latents off")
    sampling: str = setting("per_experience", "when latents are drawn", ("per_experience", "per_batch", "static"))
    label_mode: str = setting("generator", "what labels generated latents", ("generator", "head"))
    quota: str = setting(
        "even", "how earlier experiences share the replay", ("even", "inverse_age", "unlimited", "last_g")
    )
    quota_window: int | None = setting(None, "experiences replayed, for quota=last_g")
    proportions: str = setting("empirical", "shares of the classes", ("empirical", "uniform"))

    penalty_strength: float = setting(1.0, "lambda of EWC")
    fisher: str = setting("batch", "squares of a batch's or of a sample's gradient", ("batch", "sample"))
    half: bool = setting(False, "halve lambda")
    online: bool = setting(False, "keep one sum of Fisher information")
    decay: float = setting(1.0, "factor of the old sum, for online=true")

    def __post_init__(self):
        """Refuses values that would stop a run half way.

        Raises:
            ValueError: if settings are out of range or contradict each other.
        """
        counts = ("num_experiences", "epochs", "patience", "batch_size", "minibatches_per_step", "num_components")
        for name in (*counts, "num_train", "num_test", "replay_batch_size", "quota_window"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        for name in ("learning_rate", "later_learning_rate", "width"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"{name} must be positive, got {value}")
        for name in ("buffer_size", "margin", "weight_decay", "penalty_strength", "decay"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")
        if not 0 <= self.momentum < 1 or not 0 <= self.dropout < 1:
            raise ValueError(f"momentum and dropout must lie in [0, 1), got {self.momentum} and {self.dropout}")
        if self.is_core50 != (self.dataset == "core50"):
            raise ValueError(f"stream={self.stream} does not go with dataset={self.dataset}")
        if self.is_core50 and self.validation:
            raise ValueError("validation=true is for permuted and rotated streams, whose images have no sessions")
        if self.label_mode == "head" and self.sampling != "per_experience":
            raise ValueError(f"label_mode=head needs sampling=per_experience, got {self.sampling}")
        if self.quota == "last_g" and self.quota_window is None:
            raise ValueError("quota=last_g needs a quota_window")
        if self.weights is not None and self.network not in ("alexnet_small", "mobilenet_v2"):
            raise ValueError(f"weights are read for alexnet_small and mobilenet_v2, got network={self.network}")

    @property
    def is_core50(self):
        """Whether the stream is a scenario of CORe50."""
        return self.stream in CORE50_SCENARIOS

    @property
    def cut_layer(self):
        """Name of the layer behind which the backbone ends."""
        return self.cut or NETWORKS[self.network]


FAITHFUL = {
    "collect": "first_epoch",
    "backbone_dropout": True,
    "shuffle_replay": False,
    "generator": "component_labelled",
    "sampling": "static",
}
"""What the authors' code does where the paper, or good sense, has it otherwise; `batch_split` is left to the preset."""

_PAPER = GLRConfig()
_RELEASE = replace(_PAPER, cut="dropout1", **FAITHFUL)
# Learning rate and epochs chosen on held-out training images, one seed; the README says what was tried.
_SMALL = replace(
    _PAPER,
    num_train=10_000,
    num_test=2_000,
    network="lenet",
    learning_rate=0.03,
    epochs=5,
    buffer_size=1000,
    batch_split="constant",
    measure_train=False,
)
# What more Gaussians and fresh latents bring; chosen likewise.
_FRESH = {"num_components": 4, "sampling": "per_batch"}
_TINY = replace(
    _SMALL,
    dataset="digits",
    num_experiences=3,
    num_train=500,
    num_test=200,
    network="perceptron",
    learning_rate=0.05,
    batch_size=16,
    epochs=10,
    margin=0.0,
    buffer_size=100,
    minibatches_per_step=10,
)

ROTATED_PRESETS = {
    "tiny": _TINY,
    "small": _SMALL,
    "best": replace(_SMALL, **_FRESH),
    "paper": _PAPER,
    "release": _RELEASE,
}
PERMUTED_PRESETS = {name: replace(config, stream="permuted") for name, config in ROTATED_PRESETS.items()}

# Nothing was published for CORe50; these are the values with which Avalanche's latent replay starts.
_CORE50 = replace(
    _PAPER,
    dataset="core50",
    stream="NI",
    network="mobilenet_v2",
    batch_size=128,
    epochs=4,
    later_learning_rate=5e-5,
    buffer_size=1500,
    measure_train=False,
)
CORE50_PRESETS = {
    "tiny": _TINY,
    "small": replace(
        _CORE50,
        width=0.35,
        learning_rate=0.01,
        later_learning_rate=None,
        num_train=1500,
        core50_reduced_test=True,
        batch_split="constant",
    ),
    "paper": _CORE50,
    "release": replace(_CORE50, **{**FAITHFUL, "backbone_dropout": False}),
}

COSTS = {
    "tiny": "seconds, the embedded 8x8 digits in 3 experiences; for tests and a first look",
    "small": "one or two minutes on one core: LeNet, 10,000 training images in each of 5 experiences",
    "best": "as small, with four Gaussians a class and latents drawn anew in every step, our choice",
    "paper": "AlexNet on all 60,000 images at 244x244: some 3 hours an epoch on two cores, meant for a GPU",
    "release": "the same with all the particulars of the authors' code",
}
CORE50_COSTS = {
    "tiny": "seconds, the embedded 8x8 digits, turned, as nothing of CORe50 is embedded; for a first look",
    "small": "some minutes an experience on one core: a narrow MobileNetV2, 1,500 images of each experience",
    "paper": "MobileNetV2 on all images: hours on two cores; give ImageNet weights by --set weights=PATH",
    "release": "the same with the particulars of the authors' code, which never ran on CORe50",
}

_RELEASED = {"method": "generative_latent_replay", **FAITHFUL}
COMPARED = {
    "naive": {"method": "naive"},
    "ewc": {"method": "ewc"},
    "ewc-tuned": {"method": "ewc", "penalty_strength": 1000.0},
    "replay-200": {"method": "replay", "buffer_size": 200},
    "replay": {"method": "replay"},
    "replay-6000": {"method": "replay", "buffer_size": 6000},
    "replay-bytes-of-glr": {"method": "replay", "match_bytes": "generative_latent_replay"},
    "replay-bytes-of-lr": {"method": "replay", "match_bytes": "latent_replay"},
    "latent-replay": {"method": "latent_replay"},
    "latent-replay-bytes-of-glr": {"method": "latent_replay", "match_bytes": "generative_latent_replay"},
    "glr-released": _RELEASED,
    "glr": {"method": "generative_latent_replay"},
    "glr-per-batch": {"method": "generative_latent_replay", "sampling": "per_batch"},
    "glr-best": {"method": "generative_latent_replay", **_FRESH},
    "joint": {"method": "joint"},
}
"""What `--compare methods` runs, as changes to the settings; all replay has the same share of a minibatch."""

PUBLISHED_LABELS = ("naive", "ewc", "replay-200", "latent-replay", "glr")
"""Those of `COMPARED` that the paper's tables have."""

# Final average accuracy and forgetting in percent, final loss in nats; AlexNet-small with ImageNet weights, all 60,000
# images. Permuted: one run. Rotated: means of the two distinct runs that were released.
_PUBLISHED = {
    ("permuted", "naive"): (44.67, 63.85, 1.6653),
    ("permuted", "ewc"): (46.70, 61.17, 1.7722),
    ("permuted", "generative_latent_replay"): (65.17, 34.63, 0.9962),
    ("permuted", "replay"): (80.09, 19.54, 0.6715),
    ("permuted", "latent_replay"): (84.37, 11.01, 0.6207),
    ("rotated", "naive"): (56.57, 53.24, 2.393),
    ("rotated", "ewc"): (57.00, 52.81, 2.582),
    ("rotated", "generative_latent_replay"): (87.83, 13.68, 0.415),
    ("rotated", "replay"): (89.09, 12.57, 0.443),
    ("rotated", "latent_replay"): (93.64, 6.44, 0.205),
}
# One run each, by the buffer's size in percent of an experience.
_ROTATED_GLR = ("rotated", "generative_latent_replay")
_PUBLISHED_BUFFERS = {
    1: {_ROTATED_GLR: (73.72, 31.33, 1.0784)},
    25: {_ROTATED_GLR: (90.19, 10.78, 0.3350)},
    50: {_ROTATED_GLR: (91.50, 9.20, 0.3065)},
}
_PUBLISHED_PRETRAINED = {_ROTATED_GLR: (82.72, 18.93, 0.5530)}
_PUBLISHED_REPLAY_SIZE = 200


def paper_values(config, num_train):
    """Returns the published values of the settings' stream and method, obtained with AlexNet and ImageNet weights.

    Args:
        config: `GLRConfig`.
        num_train: training images of an experience, of which the buffer's size is a share.

    Returns:
        dict of `average_accuracy` and `forgetting` in percent and `average_loss`, None where nothing was published.
    """
    if config.dataset != "mnist" or config.match_bytes is not None or config.pretrained_on is not None:
        values = None
    elif config.pretrained:
        values = _PUBLISHED_PRETRAINED.get((config.stream, config.method))
    elif config.method == "replay" and config.buffer_size != _PUBLISHED_REPLAY_SIZE:
        values = None
    else:
        share = round(100 * config.buffer_size / num_train)
        is_default = share == 10 or config.method not in LATENT_METHODS
        published = _PUBLISHED if is_default else _PUBLISHED_BUFFERS.get(share, {})
        values = published.get((config.stream, config.method))
    names = ("average_accuracy", "forgetting", "average_loss")
    return dict(zip(names, values or (None,) * len(names), strict=True))
