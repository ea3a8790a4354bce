"""Settings of the DEMC experiments: what each means, the presets of each data set, the compared variants."""

from dataclasses import dataclass, replace

from ocm_tf.experiments.settings import setting

_AT_LEAST_ONE = (
    "image_size",
    "train_per_class",
    "test_per_class",
    "latent_dim",
    "batch_size",
    "minibatch_size",
    "steps_per_batch",
    "temporary_capacity",
    "cluster_size",
    "max_clusters",
    "reservoir_capacity",
)
_POSITIVE = ("width", "learning_rate", "critic_learning_rate", "encoder_learning_rate")
_NOT_NEGATIVE = ("kl_weight", "adversarial_weight", "penalty_weight", "augmentation", "extra_encoder_steps")


@dataclass(frozen=True)
class DEMCConfig:
    """Everything that decides the outcome of a DEMC run, but for the seed.

    The body of the paper could not be read: defaults are its statements where there are any, then the values of the
    authors' code, with the repairs that the README lists.
    """

    dataset: str = setting("mnist", "data set by name, see `python -m ocm_tf.data list`")
    image_size: int | None = setting(None, "height and width to which images are shrunk; none keeps their own")
    validation: bool = setting(
        False, "whether a tenth of the training images is held out and takes the place of the test images, for tuning"
    )
    train_per_class: int | None = setting(None, "first images of each class that enter the stream; none takes all")
    test_per_class: int | None = setting(None, "first test images of each class that are evaluated; none takes all")
    shuffle: bool = setting(False, "whether images come shuffled inside a task, instead of in the data set's order")

    networks: str = setting(
        "28x28", "encoder, generator and critic: those of the code for either size, or smaller ones",
        ("28x28", "32x32", "reduced"),
    )  # fmt: skip
    width: float = setting(1.0, "factor on all numbers of filters and hidden units")
    normalization: str | None = setting(
        "group", "of encoder and generator, but for reduced networks, which have none", ("group", "layer", None)
    )
    latent_dim: int = setting(100, "latent dimensions Z")

    paths: str = setting(
        "two",
        "updates on each minibatch behind the critic's: generator and encoder, then the encoder alone (two); generator "
        "alone, then encoder alone (strict); both at once (single); both at once without a critic (elbo)",
        ("two", "strict", "single", "elbo"),
    )
    own_encoder_optimizer: bool = setting(False, "with paths=single: whether the encoder has Adam for itself")
    extra_encoder_steps: int = setting(0, "steps of the encoder before the others, with their optimizer")
    kl_weight: float = setting(0.1, "weight lambda of the divergence from the prior")
    adversarial_weight: float = setting(1.0, "weight of the critic's score in the generator's loss")
    penalty_weight: float = setting(10.0, "weight of the gradient penalty in the critic's loss")
    prior: str = setting("normal", "where samples come from; the code has uniform", ("normal", "uniform"))
    penalty: str = setting("full", "norm of the gradient penalty; the code has rows", ("full", "rows"))
    learning_rate: float = setting(1e-4, "RMSprop's learning rate of path 1")
    critic_learning_rate: float = setting(1e-4, "RMSprop's learning rate of the critic")
    encoder_learning_rate: float = setting(1e-4, "Adam's learning rate of path 2")
    weight_average: float = setting(
        0.0, "momentum of a running mean of the weights of encoder and generator that replaces them; 0 keeps the last"
    )
    augmentation: float = setting(0.0, "strength of random affine distortions of training images; 0 trains without")
    flips: bool = setting(False, "whether distortions mirror half of the images")

    batch_size: int = setting(64, "size of arriving batches")
    minibatch_size: int = setting(64, "size of minibatches, drawn from all that is held")
    steps_per_batch: int = setting(300, "minibatches for each arriving batch")

    memory: str = setting(
        "clusters",
        "what is kept: the temporary memory and the clusters, the temporary memory alone, or one reservoir",
        ("clusters", "temporary", "reservoir"),
    )
    temporary_capacity: int = setting(1000, "samples C_t in the temporary memory")
    temporary_policy: str = setting(
        "recent_random", "which of them stay: recent ones at random (the code), a reservoir (the paper), the newest",
        ("recent_random", "reservoir", "fifo"),
    )  # fmt: skip
    cluster_size: int = setting(64, "samples K in a cluster")
    max_clusters: int = setting(128, "most clusters; a new one then takes the place of one of the two most alike")
    reservoir_capacity: int | None = setting(
        None, "samples of memory=reservoir; none means as many as the temporary memory and all clusters could hold"
    )

    threshold: float | None = setting(
        None, "distance in nats per latent dimension above which a cluster is made; none calibrates it"
    )
    calibration: str = setting(
        "adaptive", "with threshold=none: calibrated at the first cluster (auto) or at every check (adaptive)",
        ("auto", "adaptive"),
    )  # fmt: skip
    query: str = setting(
        "candidate", "what must be far: the samples that would be stored, the newest batch, the temporary memory",
        ("candidate", "batch", "temporary"),
    )  # fmt: skip
    reduce: str = setting("min", "distance from the nearest or the farthest cluster", ("min", "max"))
    symmetric: bool = setting(True, "whether both directions of the divergence are averaged")
    statistics: str = setting(
        "refreshed", "clusters under the present encoder or that of their creation", ("refreshed", "stale")
    )
    moments: str = setting("mean", "std of a cluster: mean of stds or that of the mixture", ("mean", "aggregate"))
    selection: str = setting(
        "lowest_error", "which samples become a cluster", ("lowest_error", "highest_error", "random", "diverse")
    )
    keep_new: bool = setting(True, "whether the newest batch stays in the temporary memory on an expansion")
    sample_errors: bool = setting(False, "whether the errors behind a selection are those of a drawn latent")

    def __post_init__(self):
        """Refuses values that would stop a run half way.

        Raises:
            ValueError: if a setting is out of range.
        """
        for names, bound in ((_AT_LEAST_ONE, 1), (_NOT_NEGATIVE, 0)):
            for name in names:
                value = getattr(self, name)
                if value is not None and value < bound:
                    text = "at least 1" if bound else "0 or more"
                    raise ValueError(f"{name} must be {text}, got {value}")
        if not 0 <= self.weight_average < 1:
            raise ValueError(f"weight_average must lie in [0, 1), got {self.weight_average}")
        for name in _POSITIVE:
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        if self.image_size is not None and self.image_size % 4:
            raise ValueError(f"image_size must be a multiple of 4, got {self.image_size}")
        if self.batch_size > self.temporary_capacity:
            raise ValueError(
                f"temporary_capacity must be at least batch_size={self.batch_size}, got {self.temporary_capacity}"
            )
        if self.cluster_size > self.temporary_capacity // 2:
            raise ValueError(
                f"cluster_size must be at most half of temporary_capacity={self.temporary_capacity}, "
                f"got {self.cluster_size}"
            )
        if self.own_encoder_optimizer and self.paths != "single":
            raise ValueError(f"own_encoder_optimizer is for paths=single, got paths={self.paths}")

    @property
    def reservoir_size(self):
        """Samples of `memory=reservoir`."""
        if self.reservoir_capacity is not None:
            return self.reservoir_capacity
        return self.temporary_capacity + self.max_clusters * self.cluster_size


_RELEASE = {
    "query": "batch",
    "reduce": "max",
    "symmetric": False,
    "statistics": "stale",
    "keep_new": False,
    "sample_errors": True,
    "prior": "uniform",
    "penalty": "rows",
    # About as strong as their rotations of up to 20 degrees and shifts of up to a tenth.
    "augmentation": 2.0,
    "flips": True,
}
"""What the authors' code does differently on all data sets."""

RELEASE_CRITERION = {name: _RELEASE[name] for name in ("query", "reduce", "symmetric", "statistics")}

BEST = {
    "memory": "reservoir",
    "learning_rate": 1e-3,
    "critic_learning_rate": 1e-3,
    "encoder_learning_rate": 1e-3,
    "weight_average": 0.99,
}
"""Our own choice in place of the paper's, found on training images set aside (results/demc_split_mnist/search)."""

MEMORIES = {
    "demc": {},
    "temporary-only": {"memory": "temporary"},
    "reservoir": {"memory": "reservoir"},
    "random-selection": {"selection": "random"},
    "release-criterion": RELEASE_CRITERION,
    "best": BEST,
}
"""What is remembered, as changes to a preset; `best` also changes how it is trained on."""

PATHS = {
    "two-paths": {"paths": "two"},
    "strict": {"paths": "strict"},
    "single": {"paths": "single"},
    "single-own-adam": {"paths": "single", "own_encoder_optimizer": True},
    "single-extra-steps": {"paths": "single", "extra_encoder_steps": 1},
    "elbo": {"paths": "elbo"},
}
"""How the networks are updated; two of them are controls: the encoder's own optimizer, and as many updates of it."""

VARIANTS = {**MEMORIES, **PATHS}

PAPER = DEMCConfig()

_REDUCED = {
    "image_size": 16,
    "train_per_class": 550,
    "test_per_class": 100,
    "networks": "reduced",
    "latent_dim": 32,
    "learning_rate": 5e-4,
    "critic_learning_rate": 5e-4,
    "encoder_learning_rate": 5e-4,
    "batch_size": 32,
    "steps_per_batch": 10,
    "temporary_capacity": 256,
    "cluster_size": 32,
    "max_clusters": 6,
}
_TINY = {
    **_REDUCED,
    "dataset": "digits",
    "image_size": None,
    "train_per_class": None,
    "test_per_class": None,
    "width": 0.5,
    "latent_dim": 16,
    "learning_rate": 2e-3,
    "critic_learning_rate": 1e-3,
    "encoder_learning_rate": 2e-3,
    "batch_size": 16,
    "minibatch_size": 32,
    "steps_per_batch": 5,
    "temporary_capacity": 80,
    "cluster_size": 16,
}
_COLOUR = {"networks": "32x32", "latent_dim": 200}


def presets_of(dataset, threshold, **release):
    """Returns the presets of a data set, `{name: DEMCConfig}`.

    Args:
        dataset: its name.
        threshold: that of the authors' code.
        **release: what their code does on this data set alone.
    """
    own = _COLOUR if dataset in ("svhn_cropped", "cifar10") else {}
    paper = replace(PAPER, dataset=dataset, **own)
    return {
        "tiny": replace(PAPER, **_TINY),
        "small": replace(PAPER, **{**_REDUCED, "dataset": dataset}),
        "best": replace(PAPER, **{**_REDUCED, "dataset": dataset, **BEST}),
        "paper": paper,
        "release": replace(paper, **{**_RELEASE, "threshold": threshold, **release}),
    }


MNIST_PRESETS = presets_of("mnist", 28.0)
# The name of the authors' file says 25.
FASHION_PRESETS = presets_of("fashion_mnist", 5.0)
# The second path is built in these two scripts but never run.
SVHN_PRESETS = presets_of("svhn_cropped", 25.0, paths="single")
CIFAR10_PRESETS = presets_of("cifar10", 1.2, paths="single")

COSTS = {
    "tiny": "half a minute, the embedded 8x8 digits; for tests and a first look",
    "small": "a few minutes on one core, 5,500 real images shrunk to 16x16 and small networks",
    "best": "small with a reservoir of as many samples, doubled rates and averaged weights; as long as small",
    "paper": "the whole stream and 300 minibatches a batch; days on two cores, weeks for 32x32 in colour",
    "release": "the authors' code's values and rules where they differ; as long as paper",
}
