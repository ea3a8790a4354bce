"""How many bytes each method keeps between experiences, by arithmetic."""

from dataclasses import dataclass, replace

import numpy as np

_CODE_DIM, _HIDDEN_UNITS = 16, 256  # of the latents' autoencoder
_LABEL, _TAG = 8, 8  # a class of a generator; label and experience of a sample in a buffer


@dataclass(frozen=True)
class Sizes:
    """What the bytes depend on besides the settings.

    Attributes:
        image_bytes: of a uint8 image.
        latent_dim: values of a latent.
        num_weights: trained weights of the whole network.
        class_counts: one int array for each experience learned, training images of each class that it has.
    """

    image_bytes: int
    latent_dim: int
    num_weights: int
    class_counts: list

    def after(self, num_experiences):
        """Returns the sizes after so many experiences."""
        return replace(self, class_counts=self.class_counts[:num_experiences])


def state_bytes(config, sizes):
    """Computes the bytes of all that a method keeps besides the network's weights  [GLR, Section 3].

    naive: 0; ewc: 8 * weights, for each experience unless online; joint: all images, 4 for each label;
    replay: M * (image + 8); latent_replay: M * (latent + 8); generative_latent_replay: that of its generators, and of
    the buffer of latent_replay if it is static.

    Args:
        config: `GLRConfig`.
        sizes: `Sizes`.

    Returns:
        int.
    """
    totals = [int(counts.sum()) for counts in sizes.class_counts]
    if not totals or config.method == "naive":
        return 0
    if config.method == "ewc":
        return 8 * sizes.num_weights * (1 if config.online else len(totals))
    if config.method == "joint":
        return sum(totals) * (sizes.image_bytes + 4)
    if config.method == "replay":
        quotas = np.full(len(totals), config.buffer_size // len(totals))
        quotas[: config.buffer_size % len(totals)] += 1
        return int(np.minimum(quotas, totals).sum()) * (sizes.image_bytes + _TAG)
    # Later experiences overwrite slots that the first one filled.
    buffer = min(config.buffer_size, totals[0]) * row_bytes(config, sizes)
    if config.method == "latent_replay":
        return buffer
    generators = sum(generator_bytes(config, counts, sizes.latent_dim) for counts in sizes.class_counts)
    return generators + (buffer if config.sampling == "static" else 0)


def row_bytes(config, sizes):
    """Computes the bytes of a sample in the buffer of replay or latent replay."""
    if config.method == "replay":
        return sizes.image_bytes + _TAG
    return sizes.latent_dim * np.dtype(config.latent_dtype).itemsize + _TAG


def generator_bytes(config, class_counts, latent_dim):
    """Computes the bytes of a fitted generator of the settings.

    Args:
        config: `GLRConfig`.
        class_counts: int array, training images of each class that it has.
        latent_dim: values of a latent.
    """
    num_classes, triangle = len(class_counts), latent_dim * (latent_dim + 1) // 2
    if config.generator in ("gmm", "component_labelled"):
        components = config.num_components if config.generator == "gmm" else 1
        num_rows = int(np.minimum(class_counts, components).sum())
        return num_rows * (4 * (2 * latent_dim + 1) + _LABEL)
    means = num_classes * (latent_dim + 1)
    decoder = (_CODE_DIM + num_classes + 1) * _HIDDEN_UNITS + (_HIDDEN_UNITS + 1) * latent_dim
    numbers = {
        "full": means + num_classes * triangle,
        "shrunk": means + num_classes * triangle,
        "tied": means + triangle,
        "class_mean": means,
        "vae": means + 2 * latent_dim + decoder,
    }[config.generator]
    return 4 * numbers + _LABEL * num_classes


def with_matched_buffer(config, sizes):
    """Returns the settings with the largest buffer that takes no more bytes than the state of the method named.

    Args:
        config: `GLRConfig`; without `match_bytes` it is returned as it is.
        sizes: `Sizes` after all experiences.

    Raises:
        ValueError: if the method has no buffer that could be matched.
    """
    if config.match_bytes is None:
        return config
    if config.method not in ("replay", "latent_replay"):
        raise ValueError(f"match_bytes is for the methods replay and latent_replay, got {config.method}")
    aim = state_bytes(replace(config, method=config.match_bytes), sizes)
    return replace(config, buffer_size=aim // row_bytes(config, sizes))
