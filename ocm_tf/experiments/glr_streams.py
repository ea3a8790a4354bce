"""The experiences of a run on generative latent replay."""

import dataclasses

from ocm_tf import data
from ocm_tf.streams import core50_experiences, hold_out, permuted_experiences, rotated_experiences


def load_experiences(config, data_dir=None, say=print):
    """Loads the data set of the settings and makes its experiences.

    Args:
        config: `GLRConfig`.
        data_dir: TFDS data directory; None for the usual one.
        say: called with one line of text now and then.

    Returns:
        experiences: list of `Experience`.
        source: where the images came from, one line.

    Raises:
        UserError: if the data set is not there.
        ValueError: if the settings do not fit it.
    """
    if config.is_core50:
        dataset, index = data.load("core50", data_dir), data.load_index("core50", data_dir)
        choice = config.stream, config.core50_run, config.core50_level, config.core50_reduced_test
        return core50_experiences(dataset, index, *choice, config.num_train), dataset.spec.source
    (dataset,) = data.load_domains(config.dataset, data_dir, say)
    return domain_incremental_experiences(config, dataset), dataset.spec.source


def domain_incremental_experiences(config, dataset):
    """Returns the permuted or rotated experiences of a data set, or of its training images alone for validation."""
    if config.validation:
        train, held_out = hold_out(dataset.train)
        dataset = dataclasses.replace(dataset, train=train, test=held_out)
    sizes = {"num_train": config.num_train, "num_test": config.num_test}
    if config.stream == "permuted":
        return permuted_experiences(dataset, config.num_experiences, config.stream_seed, **sizes)
    return rotated_experiences(dataset, config.num_experiences, **sizes)
