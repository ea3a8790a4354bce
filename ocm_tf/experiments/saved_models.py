"""What can be done with a saved model of any kind: draw images, reconstruct images, measure it on a data set."""

import numpy as np

from ocm_tf.errors import UserError
from ocm_tf.experiments.plots import draw_grids, new_figure, save_figure
from ocm_tf.files import save_arrays

_TOGETHER = 500
_SHOWN = 64


def abilities(model):
    """Names what a model can do, a list of `"generate"`, `"reconstruct"`, `"log_likelihood"` and `"classify"`."""
    return [name for name in ("generate", "reconstruct", "log_likelihood", "classify") if hasattr(model, name)]


def require(model, ability, path):
    """Refuses a model that cannot do what is asked.

    Raises:
        UserError: naming what it can do.
    """
    if ability not in abilities(model):
        able = ", ".join(abilities(model)) or "nothing of the kind"
        raise UserError(f"{path} holds a {type(model).__name__}, which cannot {ability}; it can: {able}")


def require_shape(model, images, path):
    """Refuses images of another shape than the model learned.

    Raises:
        UserError: naming both shapes.
    """
    shape = tuple(getattr(model, "image_shape", None) or model.input_shape[1:])
    if images.shape[1:] != shape:
        raise UserError(f"{path} takes images of shape {shape}, the data set has {images.shape[1:]}")


def generate(model, num_images, seed, output, title):
    """Draws images from a model and writes them: all to an `.npz`, or the first 64 as a grid to a `.png`.

    Args:
        model: model that can `generate`.
        num_images: how many.
        seed: int.
        output: path of the file.
        title: line under the figure's heading.

    Raises:
        UserError: if the file is of another kind, or cannot be written.
    """
    images = np.asarray(model.generate(num_images, seed=seed))
    _write(output, {"images": images}, "Generated images", title)


def reconstruct(model, images, output, title):
    """Reconstructs images and writes them beside the originals, to an `.npz` or as grids to a `.png`.

    Args:
        model: model that can `reconstruct`.
        images: uint8 array `(n, *image_shape)`.
        output, title: as for `generate`.
    """
    _write(output, {"images": images, "reconstructions": _reconstructed(model, images)}, "Reconstructions", title)


def _reconstructed(model, images):
    parts = [np.asarray(model.reconstruct(images[i : i + _TOGETHER])) for i in range(0, len(images), _TOGETHER)]
    return np.concatenate(parts)


def _write(output, arrays, heading, title):
    if output.suffix == ".npz":
        save_arrays(output, arrays)
    elif output.suffix == ".png":
        figure = new_figure(heading, title, 5.2 * len(arrays), 6)
        draw_grids(figure, [(name, images[:_SHOWN]) for name, images in arrays.items()])
        save_figure(figure, output)
    else:
        raise UserError(f"{output}: the output ends in .png or .npz")


def predict_labels(model, images):
    """Names the class of each image as a classifier numbers classes, an int array `(n,)`."""
    if hasattr(model, "predicted_classes"):
        return model.predicted_classes(images, ("fc",))["fc"]
    return np.asarray(model.classify(images)).argmax(axis=1)


def evaluate(model, split, num_samples, seed):
    """Measures all that a model can do on the images of a data set.

    Args:
        model: a loaded model.
        split: `Split` of images and labels.
        num_samples: latent draws K of the importance-weighted bound.
        seed: int, of all draws.

    Returns:
        `{metric: number}`: `nll` in nats per image, `mse`, `psnr` in decibels and `ssim` of reconstructions, `accuracy`
        and `accuracy_class_C` in percent, as far as the model can.

    Raises:
        UserError: if the model numbers classes in its own way.
    """
    if getattr(model, "has_own_labels", False):
        raise UserError(
            f"a {type(model).__name__} numbers classes by the order of their arrival, which its file does not hold; "
            "results.json of its run has its accuracies"
        )
    images, labels = split.images, split.labels
    metrics = {}
    if hasattr(model, "log_likelihood"):
        inputs = np.asarray(model.binarised(images, seed))
        metrics["nll"] = -float(np.mean(model.log_likelihood(inputs, num_samples, seed=seed)))
    if hasattr(model, "reconstruct"):
        metrics |= _image_quality(images, _reconstructed(model, images))
    if hasattr(model, "classify"):
        correct = np.asarray(model.classify(images)).argmax(axis=1) == labels
        metrics["accuracy"] = 100 * float(correct.mean())
        for label in np.unique(labels):
            metrics[f"accuracy_class_{label}"] = 100 * float(correct[labels == label].mean())
    return metrics


def _image_quality(images, reconstructions):
    from ocm_tf.metrics import mse, psnr, ssim

    originals = images.astype(np.float32) / 255
    measures = {"mse": mse, "psnr": psnr}
    if min(images.shape[1:3]) >= 11:  # the window of SSIM
        measures["ssim"] = ssim
    rows = range(0, len(images), _TOGETHER)
    values = {
        name: [np.asarray(measure(originals[i : i + _TOGETHER], reconstructions[i : i + _TOGETHER])) for i in rows]
        for name, measure in measures.items()
    }
    return {name: float(np.concatenate(parts).mean()) for name, parts in values.items()}
