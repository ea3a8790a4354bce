"""What DEMC is measured by: reconstructions per task, samples, latents, and what the clusters hold.

None of it is seen by the model, which knows neither labels nor tasks.
"""

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from ocm_tf.experiments.image_metrics import image_errors
from ocm_tf.metrics import frechet_distance

CLASSES_PER_TASK = 2
_COVERED_SHARE = 0.01
_NEIGHBOURS = 5


def task_errors(model, test):
    """Measures the reconstructions of each task's test images, from their posterior means.

    Args:
        model: a `TwoPathVAE`, or another model with `reconstruct`.
        test: object with `images` and `labels`.

    Returns:
        dict of float arrays of shape `(num_tasks,)`, means over a task's images: `sse`, the squared error summed over
        pixels, `mse`, `psnr` in decibels and `ssim`.
    """
    images, tasks = test.images / np.float32(255), test.labels // CLASSES_PER_TASK
    errors = image_errors(images, model.reconstruct(test.images))
    errors = {"sse": errors["mse"] * images[0].size, **errors}
    return {
        name: np.array([values[tasks == task].mean() for task in np.unique(tasks)]) for name, values in errors.items()
    }


def summarise_errors(errors, errors_when_learnt):
    """Averages the errors of the tasks and tells how much of each task was forgotten.

    forgetting = sse after the stream - sse right after the task

    Args:
        errors: as `task_errors` returns them, after the stream.
        errors_when_learnt: float array of shape `(num_tasks,)`, each task's `sse` right after it.

    Returns:
        dict: `sse`, `mse`, `psnr`, `ssim`, means over tasks of equal weight; `old_sse` and `forgetting`, means over all
        tasks but the last; `<name>_task_<i>` and `forgetting_task_<i>`, tasks counted from 1.
    """
    forgetting = errors["sse"] - errors_when_learnt
    metrics = {name: float(values.mean()) for name, values in errors.items()}
    metrics["old_sse"], metrics["forgetting"] = float(errors["sse"][:-1].mean()), float(forgetting[:-1].mean())
    for name, values in {**errors, "forgetting": forgetting}.items():
        metrics |= {f"{name}_task_{task + 1}": float(value) for task, value in enumerate(values)}
    return metrics


def balanced_subset(labels, seed):
    """Chooses equally many samples of each class, shuffled: all of the smallest class.

    Args:
        labels: int array.
        seed: int.

    Returns:
        int array of rows.
    """
    rng = np.random.default_rng(seed)
    rows = [rng.permutation(np.flatnonzero(labels == label)) for label in np.unique(labels)]
    size = min(map(len, rows))
    return rng.permutation(np.concatenate([of_class[:size] for of_class in rows]))


def generation_metrics(model, test, classifier, seed):
    """Measures samples and reconstructions by the features of an offline classifier.

    Args:
        model: a `TwoPathVAE`, or another model with `generate` and `reconstruct`.
        test: object with `images` and `labels`.
        classifier: a `ClassifierFeatures` of all classes.
        seed: int, of the samples and the class-balanced subset of test images they are held against.

    Returns:
        dict: `classifier_frechet_distance` of as many samples as images in the subset,
        `reconstruction_classifier_frechet_distance`, `class_coverage` (classes that make up a hundredth of the samples
        or more), `class_entropy` of the samples in nats, and `classifier_accuracy` on the subset.
    """
    rows = balanced_subset(test.labels, seed)
    features, probabilities = classifier(test.images[rows] / np.float32(255))
    sample_features, sample_probabilities = classifier(model.generate(len(rows), seed))
    reconstruction_features, _ = classifier(model.reconstruct(test.images[rows]))
    counts = np.bincount(sample_probabilities.argmax(axis=1), minlength=sample_probabilities.shape[1])
    return {
        "classifier_frechet_distance": frechet_distance(sample_features, features),
        "reconstruction_classifier_frechet_distance": frechet_distance(reconstruction_features, features),
        **class_spread(counts),
        "classifier_accuracy": float((probabilities.argmax(axis=1) == test.labels[rows]).mean()),
    }


def class_spread(counts):
    """Computes how many classes samples are of, and how evenly.

    Args:
        counts: int array, samples of each class.

    Returns:
        dict: `class_coverage`, classes with a share of a hundredth or more, and `class_entropy` in nats.
    """
    shares = counts / counts.sum()
    present = shares[shares > 0]
    return {
        "class_coverage": int((shares >= _COVERED_SHARE).sum()),
        "class_entropy": float(-(present * np.log(present)).sum()),
    }


def latent_metrics(model, train, test):
    """Measures how well simple classifiers tell the classes by the posterior means.

    Args:
        model: a `TwoPathVAE`, or another model with `features`.
        train: object with `images` and `labels` that the classifiers learn.
        test: object with `images` and `labels` that they are tested on.

    Returns:
        dict, in percent: `probe_accuracy` of multinomial logistic regression and `knn_accuracy` of 5 neighbours.
    """
    latents, test_latents = model.features(train.images), model.features(test.images)
    # The scale of the latents is the model's own affair; the regression's penalty would depend on it.
    scaler = StandardScaler().fit(latents)
    probe = LogisticRegression(max_iter=1000).fit(scaler.transform(latents), train.labels)
    neighbours = KNeighborsClassifier(_NEIGHBOURS).fit(latents, train.labels)
    return {
        "probe_accuracy": 100 * float(probe.score(scaler.transform(test_latents), test.labels)),
        "knn_accuracy": 100 * float(neighbours.score(test_latents, test.labels)),
    }


def cluster_metrics(cluster_labels, num_classes):
    """Counts what the clusters hold.

    Args:
        cluster_labels: int array of shape `(num_clusters, cluster_size)`.
        num_classes: number of classes.

    Returns:
        dict: `num_clusters`, `cluster_classes` (distinct ones over all clusters) and `cluster_<k>_class_<c>`, samples
        of class c in cluster k; both counted from 0, classes that a cluster lacks left out.
    """
    counts = np.array([np.bincount(labels, minlength=num_classes) for labels in cluster_labels])
    counts = counts.reshape(len(cluster_labels), num_classes)
    metrics = {"num_clusters": len(counts), "cluster_classes": int((counts.sum(axis=0) > 0).sum())}
    return metrics | {f"cluster_{k}_class_{c}": int(count) for (k, c), count in np.ndenumerate(counts) if count > 0}
