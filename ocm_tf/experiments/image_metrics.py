"""Image metrics of a run: the networks that judge images, and what is measured with them."""

import hashlib
import re

import numpy as np

from ocm_tf.data.tfds_access import find_data_dir
from ocm_tf.errors import UserError
from ocm_tf.files import write_atomically
from ocm_tf.metrics import ClassifierFeatures, InceptionFeatures, frechet_distance, inception_score, mse, psnr, ssim
from ocm_tf.metrics.classifier_features import RECIPE_VERSION

FOLDER = "ocm_tf_classifiers"
_NUM_SPLITS = 10
_MEASURED_TOGETHER = 500


def load_feature_networks(dataset, data_dir=None, inception_weights=None, say=print):
    """Loads the networks whose features image distances are made of.

    Args:
        dataset: `Dataset` whose images are judged.
        data_dir: TFDS data directory, in which the classifier is kept.
        inception_weights: path of the weights of InceptionV3, or None to do without.
        say: called with one line of text now and then.

    Returns:
        dict from the name of the distance, `classifier_frechet_distance` or `fid`, to its network.

    Raises:
        UserError: if a file of weights is missing or damaged.
    """
    networks = {}
    if inception_weights is not None:
        networks["fid"] = InceptionFeatures(inception_weights, dataset.spec.image_shape)
    networks["classifier_frechet_distance"] = load_classifier(dataset, data_dir, say)
    return networks


def load_classifier(dataset, data_dir=None, say=print):
    """Loads the classifier of a data set, or trains it and keeps it beside the data sets for all runs to share.

    Args:
        dataset: `Dataset`; the classifier learns all of its training images.
        data_dir: TFDS data directory.
        say: called with one line of text now and then.

    Returns:
        `ClassifierFeatures`.

    Raises:
        UserError: if the file that was kept is damaged.
    """
    train = dataset.train
    # By content: the user's own data may change under one name.
    digest = hashlib.sha256(np.ascontiguousarray(train.images))
    digest.update(np.ascontiguousarray(train.labels))
    name = f"{re.sub(r'[^a-z0-9]+', '_', dataset.spec.name.lower())[-40:]}-{digest.hexdigest()[:12]}-v{RECIPE_VERSION}"
    path = find_data_dir(data_dir) / FOLDER / f"{name}.keras"
    if path.exists():
        try:
            return ClassifierFeatures.load(path)
        except Exception as error:  # Altered bytes make zipfile, h5py and Keras raise almost anything.
            raise UserError(f"{path} is damaged: delete it, the next run trains it anew") from error
    say("training the classifier behind classifier_frechet_distance, once for this data set")
    classifier = ClassifierFeatures.train(train.images, train.labels, dataset.spec.num_classes)
    try:
        write_atomically(path, classifier.save)
    except UserError as error:
        say(f"{error}; the next run trains the classifier anew")
    return classifier


def measure_images(model, test, networks, num_generated, seed):
    """Measures reconstructions of the test images, and generated samples against all of them.

    Args:
        model: a `VAE`.
        test: object with `images` and `labels`.
        networks: as `load_feature_networks` returns them.
        num_generated: number of generated samples; None takes as many as there are test images.
        seed: int, of the samples and of what reconstruction draws.

    Returns:
        dict: `mse`, `psnr` and `ssim`, means over the reconstructions; for each network its distance of the samples
        and, beginning with `reconstruction_`, of the reconstructions; `classifier_accuracy` on the test images, of the
        network itself; with Inception `inception_score` of the samples and `inception_score_std`, over ten parts.
    """
    images = test.images / np.float32(255)
    reconstructions = model.reconstruct(np.asarray(model.binarised(test.images, seed)), seed=seed)
    generated = model.generate(num_generated or len(images), seed)
    metrics = {name: float(values.mean()) for name, values in image_errors(images, reconstructions).items()}
    for name, network in networks.items():
        features, probabilities = network(images)
        generated_features, generated_probabilities = network(generated)
        metrics[name] = frechet_distance(generated_features, features)
        metrics[f"reconstruction_{name}"] = frechet_distance(network(reconstructions)[0], features)
        if name == "fid":
            score, deviation = inception_score(generated_probabilities, min(_NUM_SPLITS, len(generated)))
            metrics |= {"inception_score": score, "inception_score_std": deviation}
        else:
            metrics["classifier_accuracy"] = float((probabilities.argmax(axis=1) == test.labels).mean())
    return metrics


def image_errors(images, reconstructions):
    """Measures how near each reconstruction is to its image.

    Args:
        images: float array of shape `(n, height, width, channels)`, in [0, 1].
        reconstructions: float array of the same shape.

    Returns:
        dict of float64 arrays of shape `(n,)`: `mse`, `psnr` in decibels and `ssim`.
    """
    values = {"mse": [], "psnr": [], "ssim": []}
    for start in range(0, len(images), _MEASURED_TOGETHER):
        pair = [array[start : start + _MEASURED_TOGETHER] for array in (images, reconstructions)]
        for measure in (mse, psnr, ssim):
            values[measure.__name__].append(np.asarray(measure(*pair)))
    return {name: np.concatenate(parts).astype(np.float64) for name, parts in values.items()}
