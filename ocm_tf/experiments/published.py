"""Which tables the papers have, so that a report can say of each row what came out here, or that it was not run."""

import dataclasses

from ocm_tf.experiments import glr_config, mnemonics_config, ocm_classification_config, ocm_config
from ocm_tf.experiments.ocm_studies import STUDIES

OCM = "OCM: Ye and Bors, ECCV 2022"
GLR = "GLR: Armstrong, Thakur and Clifton, 2022"
DEMC = "DEMC: Ye and Bors, AAAI 2024 (no table of the paper could be read)"
TFDSVIT = "TFDSViT: Ye and Bors, AAAI 2024 (no table of the paper could be read)"
MNEMONICS = "Mnemonics: Liu et al., CVPR 2020"


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
    return [*_ocm_density(), *_ocm_classification(), _ocm_studies(), *_glr(), *_demc(), *_tfdsvit(), *_mnemonics()]


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


def _ocm_studies():
    rows = {}
    for study in STUDIES.values():
        grows = study.base["dynamic"]
        for point in study.points:
            stored, components = (None, point.upper) if grows else (point.upper, 1)
            rows[study.label(point.x)] = {"nll": point.nll, "memory_samples": stored, "num_components": components}
    return PublishedTable(OCM, "figures of the supplement, measured", "ocm_ablations", "mnist", rows)


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


def _demc():
    names = {"mnist": "Split MNIST", "fashion_mnist": "Split Fashion", "svhn_cropped": "Split SVHN",
             "cifar10": "Split CIFAR10"}  # fmt: skip
    for dataset, title in names.items():
        script = f"demc_{title.lower().replace(' ', '_')}"
        yield PublishedTable(DEMC, title, script, dataset, {"demc": {"sse": None}})


def _tfdsvit():
    for dataset in ("mnist", "cifar10", "cifar100"):
        rows = {"tfdsvit": {"average_accuracy": None}}
        yield PublishedTable(TFDSVIT, f"Split {dataset.upper()}", f"tfdsvit_split_{dataset}", dataset, rows)


def _mnemonics():
    rows = {}
    for (_, transfer), phases in mnemonics_config.PUBLISHED.items():
        for number, (head, nearest_mean) in phases.items():
            values = {"average_accuracy_fc": head[0], "forgetting_fc": head[1]}
            values |= {"average_accuracy_nme": nearest_mean[0], "forgetting_nme": nearest_mean[1]}
            rows[f"kd{'-ours' if transfer else ''}-{number}-phases"] = values
    yield PublishedTable(MNEMONICS, "the authors' repository, CIFAR-100", "mnemonics_cifar100", "cifar100", rows)
