"""Checks DEMC's measures against values worked by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocm_tf.data import Split
from ocm_tf.experiments.demc_metrics import (
    balanced_subset,
    class_spread,
    cluster_metrics,
    generation_metrics,
    latent_metrics,
    summarise_errors,
    task_errors,
)


class Shifted:
    """Adds 0.1 times the class, which the first pixel tells, to all pixels; two pixels are its latents."""

    def reconstruct(self, images):
        grey = images / np.float32(255)
        return grey + 0.1 * (images[:, :1, :1] // 10).astype(np.float32)

    def generate(self, num_images, seed):
        return np.random.default_rng(seed).random((num_images, 4, 3, 1)).astype(np.float32)

    def features(self, images):
        return images[:, 0, :2, 0] * np.float32([20, 1])


def make_test(labels):
    labels = np.asarray(labels)
    images = np.random.default_rng(0).integers(0, 30, (len(labels), 4, 3, 1)).astype(np.uint8)
    images[:, 0, 0, 0] = 10 * labels + 5
    return Split(images, labels.astype(np.int64))


def test_errors_are_means_over_each_task_alone():
    errors = task_errors(Shifted(), make_test([0, 1, 1, 1, 2, 3, 3]))
    np.testing.assert_allclose(errors["sse"], [12 * 0.01 * 3 / 4, 12 * 0.01 * (4 + 9 + 9) / 3], rtol=1e-5)
    np.testing.assert_allclose(errors["mse"], errors["sse"] / 12, rtol=1e-6)
    psnr = [-10 * np.log10(mse) for mse in (0.04, 0.09, 0.09)]
    assert errors["psnr"][1] == pytest.approx(np.mean(psnr), rel=1e-4)


def test_the_order_of_the_test_images_changes_nothing():
    test = make_test(np.arange(40) % 10)
    order = np.random.default_rng(1).permutation(40)
    shuffled = Split(test.images[order], test.labels[order])
    for name, values in task_errors(Shifted(), test).items():
        np.testing.assert_allclose(task_errors(Shifted(), shuffled)[name], values, rtol=1e-6)


def test_forgetting_is_what_was_added_to_the_error_since_a_task_was_learnt():
    errors = {"sse": np.array([4.0, 3.0, 2.0]), "mse": np.array([0.4, 0.3, 0.2])}
    metrics = summarise_errors(errors, np.array([1.0, 2.5, 2.0]))
    assert metrics == pytest.approx(
        {
            "sse": 3.0, "mse": 0.3, "old_sse": 3.5, "forgetting": 1.75,
            "sse_task_1": 4.0, "sse_task_2": 3.0, "sse_task_3": 2.0,
            "mse_task_1": 0.4, "mse_task_2": 0.3, "mse_task_3": 0.2,
            "forgetting_task_1": 3.0, "forgetting_task_2": 0.5, "forgetting_task_3": 0.0,
        }
    )  # fmt: skip


@given(st.lists(st.integers(0, 3), min_size=4, max_size=30), st.integers(0, 5))
def test_a_balanced_subset_has_as_many_of_each_class_as_there_are_of_the_rarest(labels, seed):
    labels = np.array(labels)
    rows = balanced_subset(labels, seed)
    _, counts = np.unique(labels, return_counts=True)
    _, chosen = np.unique(labels[rows], return_counts=True)
    assert len(set(rows.tolist())) == len(rows) and chosen.tolist() == [counts.min()] * len(counts)


def test_spread_of_classes():
    assert class_spread(np.array([50, 50, 0, 0])) == {"class_coverage": 2, "class_entropy": pytest.approx(np.log(2))}
    # 1 of 200 is below a hundredth.
    assert class_spread(np.array([197, 1, 2]))["class_coverage"] == 2


def test_samples_and_reconstructions_are_held_against_equally_many_balanced_images():
    test, seen = make_test([0] * 6 + [1] * 5), []

    def classifier(images):
        seen.append(images)
        # The class is told by the first pixel, as in the images; features are all pixels.
        return images.reshape(len(images), -1), np.eye(2)[(images[:, 0, 0, 0] > 0.04).astype(int)]

    metrics = generation_metrics(Shifted(), test, classifier, seed=3)
    assert [len(images) for images in seen] == [10, 10, 10]
    assert metrics["classifier_accuracy"] == 1.0
    # Reconstructions of class 1 lie 0.1 off, the samples much farther.
    near, far = metrics["reconstruction_classifier_frechet_distance"], metrics["classifier_frechet_distance"]
    assert 12 * 0.05**2 <= near < far


def test_latents_that_tell_the_classes_apart_are_told_apart():
    train, test = make_test(np.arange(60) % 4), make_test(np.arange(20) % 4)
    assert latent_metrics(Shifted(), train, test) == {"probe_accuracy": 100.0, "knn_accuracy": 100.0}
    shuffled = Split(test.images, np.roll(test.labels, 1))
    assert latent_metrics(Shifted(), train, shuffled)["probe_accuracy"] == 0.0


def test_contents_of_clusters_are_counted():
    metrics = cluster_metrics(np.array([[0, 0, 2], [2, 2, 2]]), 4)
    assert metrics == {
        "num_clusters": 2, "cluster_classes": 2, "cluster_0_class_0": 2, "cluster_0_class_2": 1, "cluster_1_class_2": 3,
    }  # fmt: skip
    assert cluster_metrics(np.zeros((0, 3), int), 4) == {"num_clusters": 0, "cluster_classes": 0}
