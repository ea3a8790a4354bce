"""The figure of the gallery: what each shipped model draws, reconstructs or answers."""

import numpy as np

from ocm_tf.experiments.gallery import PER_CLASS, exhibits
from ocm_tf.experiments.plots import GREY, VERMILION, new_figure, save_figure, styled, tile
from ocm_tf.experiments.saved_models import predict_labels

_SEED = 0
_NOTE = """A column is a class, but for samples.

Under an image stands the class that the model names,
in red where it is another.

GLR saw the digits at one angle after the other.
Mnemonics met a few classes at a time, in the order of
the columns; of each it kept exemplars as shown here."""


@styled
def draw_gallery(directory, output):
    """Draws one figure of all models of a gallery, from its files alone.

    Of a generative model: images, their reconstructions, samples. Of a classifier: images with the class that it names
    under each, in red where it is wrong. Of exemplars: those of each class.

    Args:
        directory: that of the gallery.
        output: path of the PNG file.

    Raises:
        UserError: if a file is missing or corrupt.
    """
    subtitle = "Small models of this repository and test images; 8×8 digits came one class or task after the other"
    figure = new_figure("What the methods have learned", subtitle, 13, 9.4)
    axes = iter(figure.subplots(5, 3, height_ratios=(5, 5, 5, 6.5, 6.5)).ravel())
    for exhibit in exhibits(directory):
        model, shown = exhibit.load(), exhibit.images()
        # A model that classifies may draw as well.
        if not hasattr(model, "classify"):
            _draw_images(next(axes), exhibit.caption, shown["images"])
            _draw_images(next(axes), "reconstructions", model.reconstruct(shown["images"]))
            _draw_images(next(axes), "samples", model.generate(len(shown["images"]), seed=_SEED))
            continue
        _draw_answers(next(axes), exhibit.caption, predict_labels(model, shown["images"]), **shown)
        if len(getattr(model, "memory", None) or ()):
            _draw_exemplars(next(axes), model.memory.read(), shown["class_names"])
    note = next(axes)
    note.text(0, 1, _NOTE, va="top", color=GREY, fontsize=10.5, linespacing=1.4, transform=note.transAxes)
    note.set_axis_off()
    save_figure(figure, output)


def _draw_images(axis, title, images):
    axis.imshow(tile(images, len(images), len(images) // PER_CLASS), interpolation="nearest")
    axis.set_title(title, loc="left")
    axis.set_axis_off()


def _draw_answers(axis, title, predicted, images, labels, class_names):
    """Draws images apart from each other, and under each the class that was named, in red where it is another."""
    height, width = images.shape[1:3]
    num_columns, step_x, step_y = len(images) // PER_CLASS, 1.3 * width, 1.75 * height
    for place, label in enumerate(predicted):
        left, top = place % num_columns * step_x, place // num_columns * step_y
        axis.imshow(tile(images[place : place + 1], 1, 1), extent=(left, left + width, top + height, top))
        look = {"color": GREY} if label == labels[place] else {"color": VERMILION, "weight": "bold"}
        middle, below = left + width / 2, top + height + 0.5
        axis.text(middle, below, class_names[label], ha="center", va="top", fontsize=9, **look)
    axis.set(xlim=(0, num_columns * step_x), ylim=(PER_CLASS * step_y, 0), aspect="equal")
    axis.set_title(title, loc="left")
    axis.set_axis_off()


def _draw_exemplars(axis, exemplars, class_names):
    classes = [np.flatnonzero(exemplars.labels == label) for label in range(len(class_names))]
    rows = np.stack([np.resize(rows, PER_CLASS) for rows in classes], axis=1).ravel()
    _draw_images(axis, "its exemplars, after their training", np.clip(exemplars.images[rows] / 255, 0, 1))
