"""Presets of OCM's streams beyond Split MNIST: what differs there from the presets of `ocm_config`."""

from dataclasses import replace

from ocm_tf.experiments import ocm_config


def _presets(dataset, tiny, small, release):
    """Makes the presets of a stream: those of Split MNIST with another data set and the changes given."""
    changes = {"tiny": tiny, "small": small, "release": release}
    return {
        name: replace(preset, **{"dataset": dataset, **changes.get(name, {})})
        for name, preset in ocm_config.PRESETS.items()
    }


def _costs(tiny, small, stream, paper):
    """Says what each preset costs."""
    return {
        "tiny": f"{tiny}; for tests and a first look",
        "small": f"{small}, full layer sizes; shows the effect of the memory",
        "stream": f"{stream} on two cores, the whole stream and full sizes; only the inner loop is thinned",
        "best": f"as stream, with what we found to work best in place of the paper's rule; {stream}",
        "paper": f"the paper's values; {paper}",
        "release": "the authors' code's values where they differ; as long as paper",
    }


# A new domain changes the bound far more than a new class.
_TINY_DOMAINS = {"expansion_threshold": 4.0, "expansion_samples": 200}

# Twice that of Split MNIST: so are the bounds of Fashion-MNIST.
_SMALL = {"expansion_threshold": 30.0}

# The limit is reached where it is at full scale, among the first classes of Fashion-MNIST.
_SMALL_DOMAINS = {**_SMALL, "long_term_limit": 176}

SPLIT_FASHION = _presets("fashion_mnist", tiny={"dataset": "digits"}, small=_SMALL, release={"max_components": 10})

MNIST_TO_FASHION = _presets(
    "mnist+fashion_mnist",
    tiny={"dataset": "digits+digits:inverted", **_TINY_DOMAINS},
    small=_SMALL_DOMAINS,
    release={"max_components": 10},
)

CROSS_DOMAIN = {
    name: replace(preset, unsorted=("omniglot",))
    for name, preset in _presets(
        "mnist+fashion_mnist+omniglot",
        tiny={"dataset": "digits+digits:inverted+digits:transposed", **_TINY_DOMAINS},
        # As many images of Omniglot as of the others: it has 20 of each character, and a variant with few alphabets
        # has no more than 2,040.
        small={**_SMALL_DOMAINS, "train_unsorted": 2000, "test_unsorted": 1000},
        release={"max_components": 10, "expansion_threshold": 0.5, "check_every": 31},
    ).items()
}

SPLIT_FASHION_COSTS = _costs(
    "half a minute, the embedded 8x8 digits in place of Fashion-MNIST",
    "a few minutes on two cores, 2,000 real images",
    "fifteen minutes or more",
    "days on two cores, an hour or two on a GPU",
)

MNIST_TO_FASHION_COSTS = _costs(
    "a minute, the embedded 8x8 digits and their inverted copies",
    "a few minutes on two cores, 4,000 real images",
    "an hour or more",
    "a week or more on two cores, hours on a GPU",
)

CROSS_DOMAIN_COSTS = _costs(
    "two minutes, the embedded 8x8 digits, their inverted and their transposed copies",
    "several minutes on two cores, 6,000 real images",
    "an hour or more",
    "weeks on two cores, hours on a GPU",
)
