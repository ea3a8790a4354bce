"""Checks the measures of each domain against values worked by hand."""

import numpy as np
import pytest

from ocm_tf.experiments.domain_metrics import class_groups, nll_by_domain, routed_by_domain, stored_by_domain
from ocm_tf.streams import Stream


def make_truth(domain_sizes, labels=(0,)):
    """Makes the truth of a stream whose domains "d0", "d1", ... have as many classes as given."""
    domains = np.repeat(np.arange(len(domain_sizes)), domain_sizes)
    names = [f"d{domain} {label}" for label, domain in enumerate(domains)]
    images = np.zeros((len(labels), 1, 1, 1), np.uint8)
    domain_names = [f"d{number}" for number in range(len(domain_sizes))]
    return Stream(images, labels, [0], names, "stream", None, domain_names, domains).truth


# Labels 0 and 1 are of domain d0, label 2 is of d1.
TWO = make_truth([2, 1], labels=[0, 0, 1, 2, 2, 2])
ONE = make_truth([3], labels=[0, 1, 2])


def test_each_domain_has_its_own_mean():
    nlls, labels = np.array([1.0, 2.0, 6.0, 10.0]), np.array([0, 1, 0, 2])
    assert nll_by_domain(nlls, labels, TWO) == {"nll_d0": 3.0, "num_test_d0": 3, "nll_d1": 10.0, "num_test_d1": 1}


def test_domains_weigh_by_their_images_in_the_mean_of_all():
    nlls, labels = np.random.default_rng(0).random(20), np.arange(20) % 3
    metrics = nll_by_domain(nlls, labels, TWO)
    weighted = sum(metrics[f"nll_{name}"] * metrics[f"num_test_{name}"] for name in ("d0", "d1")) / 20
    assert weighted == pytest.approx(nlls.mean())


def test_shares_of_the_components_add_up_to_one():
    routes, labels = np.array([0, 1, 1, 1, 2]), np.array([0, 0, 1, 1, 2])
    shares = routed_by_domain(routes, labels, 3, TWO)
    assert shares == {
        "routed_d0_component_0": 0.25, "routed_d0_component_1": 0.75, "routed_d0_component_2": 0.0,
        "routed_d1_component_0": 0.0, "routed_d1_component_1": 0.0, "routed_d1_component_2": 1.0,
    }  # fmt: skip


def test_what_is_stored_is_told_by_positions_in_the_stream():
    stored = stored_by_domain(np.array([0, 1, 5]), TWO)
    assert stored == {"stored_d0": 2, "stored_classes_d0": 1, "stored_d1": 1, "stored_classes_d1": 1}
    nothing = stored_by_domain(np.array([], int), TWO)
    assert nothing.keys() == stored.keys() and set(nothing.values()) == {0}


def test_a_single_domain_is_not_measured_twice():
    labels = np.array([0, 1])
    assert nll_by_domain(np.ones(2), labels, ONE) == routed_by_domain(labels, labels, 2, ONE) == {}
    assert stored_by_domain(labels, ONE) == {}


def test_classes_are_grouped_only_where_a_domain_of_several_has_very_many():
    groups, names = class_groups(make_truth([2, 31, 30]))
    assert groups.tolist() == [0, 1, *[2] * 31, *range(3, 33)]
    assert names[:4] == ["d0 0", "d0 1", "d1 (31 classes)", "d2 33"] and len(names) == 33
    groups, names = class_groups(make_truth([100]))
    assert groups.tolist() == list(range(100)) and names[99] == "d0 99"
    groups, names = class_groups(make_truth([40, 50]))
    assert groups.tolist() == [0] * 40 + [1] * 50 and names == ["d0 (40 classes)", "d1 (50 classes)"]
