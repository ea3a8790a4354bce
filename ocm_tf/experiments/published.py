"""Which tables the papers have, so that a report can say of each row what came out here, or that it was not run."""

import dataclasses

from ocm_tf.experiments import glr_config, ocm_classification_config, ocm_config

OCM = "OCM: Ye and Bors, ECCV 2022"
GLR = "GLR: Armstrong, Thakur and Clifton, 2022"


@dataclasses.dataclass(frozen=True)
class PublishedTable:
    """A table of a paper, as far as its methods are ported.

    Attributes:
        paper: the paper.
        title: what the table is called and what it is of.
        script: the script that makes its runs.
        dataset: the data set of the table's runs; other data sets are reported without it.
        rows: `{method: {metric: value}}`; the values are those of the paper's own scale, None where the value was not
            found.
    """

    paper: str
    title: str
    script: str
    dataset: str
    rows: dict


def published_tables():
    """Returns all `PublishedTable`s, in the order of a report."""
    return [*_ocm_density(), *_ocm_classification(), *_glr()]


def _ocm_density():
    of = {
        "mnist": ("Table 1, Split MNIST", "ocm_split_mnist"),
        "fashion_mnist": ("Table 1, Split Fashion", "ocm_split_fashion"),
        "mnist+fashion_mnist": ("Table 1, Split MNIST-Fashion", "ocm_mnist_to_fashion"),
        "mnist+fashion_mnist+omniglot": ("Table 3, cross domain", "ocm_cross_domain"),
    }
    for dataset, (title, script) in of.items():
        rows = {
            variant: {"nll": -log_likelihood, "memory_samples": memory, "num_components": components}
            for (data, variant), (log_likelihood, memory, components) in ocm_config.TABLES.items()
            if data == dataset
        }
        yield PublishedTable(OCM, title, script, dataset, rows)
    names = ("inception_score", "fid", "memory_samples", "num_components")
    rows = {variant: dict(zip(names, row, strict=True)) for (_, variant), row in ocm_config.TABLE_2.items()}
    yield PublishedTable(OCM, "Table 2, Split CIFAR10", "ocm_split_cifar10", "cifar10", rows)


def _ocm_classification():
    own = ocm_classification_config
    for title, script, table in (
        ("Table 5", "ocm_classification", own.TABLE_5),
        ("Figure 4 of the supplement, imbalanced", "ocm_imbalanced", own.FIGURE_4),
    ):
        for dataset, accuracies in table.items():
            rows = {variant: {"average_accuracy": value} for variant, value in accuracies.items()}
            yield PublishedTable(OCM, f"{title}, {dataset}", script, dataset, rows)


def _glr():
    for stream in ("permuted", "rotated"):
        rows = {}
        for label, changes in glr_config.COMPARED.items():
            config = dataclasses.replace(glr_config.GLRConfig(stream=stream), **changes)
            # The paper describes one form of each method; ours beside it have no row.
            if label in glr_config.PUBLISHED_LABELS:
                rows[label] = glr_config.paper_values(config, num_train=60_000)
        title = f"Table III and released results, {stream.capitalize()} MNIST"
        yield PublishedTable(GLR, title, f"glr_{stream}_mnist", "mnist", rows)
