"""What is measured of each domain of a stream that has several; nothing of one that has a single domain."""

import numpy as np

_MOST_CLASSES = 30


def class_groups(truth):
    """Groups the classes for series and figures: each by itself, but all of a domain that has very many together.

    Args:
        truth: `StreamTruth`.

    Returns:
        `(groups, names)`: int array of shape `(num_classes,)`, the group of each class, and a list of their names.
    """
    groups, names = [], []
    domain_sizes = np.bincount(truth.class_domains, minlength=len(truth.domain_names))
    for label, domain in enumerate(truth.class_domains):
        together = len(truth.domain_names) > 1 and domain_sizes[domain] > _MOST_CLASSES
        if not (together and label and truth.class_domains[label - 1] == domain):
            many = f"{truth.domain_names[domain]} ({domain_sizes[domain]} classes)"
            names.append(many if together else truth.class_names[label])
        groups.append(len(names) - 1)
    return np.array(groups), names


def nll_by_domain(nlls, labels, truth):
    """Averages the negative log-likelihood of the test images of each domain.

    Args:
        nlls: float array of shape `(n,)`, in nats.
        labels: int array of shape `(n,)`.
        truth: `StreamTruth`.

    Returns:
        dict: `nll_<domain>` in nats per image and `num_test_<domain>`, the number of its images.
    """
    metrics = {}
    for name, rows in _rows_by_domain(labels, truth):
        metrics |= {f"nll_{name}": float(nlls[rows].mean()), f"num_test_{name}": int(rows.sum())}
    return metrics


def routed_by_domain(routes, labels, num_components, truth):
    """Computes which share of the test images of each domain is routed to each component.

    Args:
        routes: int array of shape `(n,)`, the component of each image.
        labels: int array of shape `(n,)`.
        num_components: number of components.
        truth: `StreamTruth`.

    Returns:
        dict: `routed_<domain>_component_<k>`, which add up to 1 for each domain.
    """
    return {
        f"routed_{name}_component_{component}": float(np.mean(routes[rows] == component))
        for name, rows in _rows_by_domain(labels, truth)
        for component in range(num_components)
    }


def stored_by_domain(positions, truth):
    """Counts what of each domain is stored.

    Args:
        positions: int array, positions in the stream of the samples in memory.
        truth: `StreamTruth`.

    Returns:
        dict: `stored_<domain>`, samples, and `stored_classes_<domain>`, classes that have at least one.
    """
    labels, metrics = truth.labels[positions], {}
    for name, rows in _rows_by_domain(labels, truth):
        metrics |= {f"stored_{name}": int(rows.sum()), f"stored_classes_{name}": len(np.unique(labels[rows]))}
    return metrics


def _rows_by_domain(labels, truth):
    """Yields the name of each domain and a bool array that marks its rows."""
    if len(truth.domain_names) > 1:
        domains = truth.class_domains[labels]
        for number, name in enumerate(truth.domain_names):
            yield name, domains == number
