"""The figure of the gallery: what each shipped model draws, reconstructs or answers."""

import itertools

import numpy as np

from ocm_tf.experiments.gallery import exhibits
from ocm_tf.experiments.plots import GREY, VERMILION, new_figure, save_figure, styled, tile
from ocm_tf.experiments.saved_models import predict_labels

_COLUMNS, _ROWS = 10, 3
_SEED = 0


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
    subtitle = (
        "models of the preset tiny: 8×8 digits that came one class or task after the other, seen here in test images"
    )
    figure = new_figure("What the methods have learned", subtitle, 13, 11.6)
    axes = iter(figure.subplots(5, 3).ravel())
    for exhibit in exhibits(directory):
        model, shown = exhibit.load(), exhibit.images()
        # A model that classifies may draw as well.
        if not hasattr(model, "classify"):
            inputs = (
                np.asarray(model.binarised(shown["images"], _SEED)) if hasattr(model, "binarised") else shown["images"]
            )
            _draw_images(next(axes), exhibit.caption, shown["images"])
            _draw_images(next(axes), "reconstructions", model.reconstruct(inputs))
            _draw_images(next(axes), "samples", model.generate(_ROWS * _COLUMNS, seed=_SEED))
            continue
        _draw_answers(next(axes), exhibit.caption, predict_labels(model, shown["images"]), **shown)
        if len(getattr(model, "memory", None) or ()):
            _draw_exemplars(next(axes), model.memory.read(), shown["class_names"])
    for axis in axes:
        axis.set_axis_off()
    save_figure(figure, output)


def _draw_images(axis, title, images):
    picture = tile(images, _ROWS * _COLUMNS, _COLUMNS)
    axis.imshow(picture, interpolation="nearest")
    axis.set_title(title, loc="left")
    axis.set_axis_off()


def _draw_answers(axis, title, predicted, images, labels, class_names):
    """Draws images apart from each other, and under each the class that was named, in red where it is another."""
    height, width = images.shape[1:3]
    step_x, step_y = 1.3 * width, 1.75 * height
    for place, (row, column) in enumerate(itertools.product(range(_ROWS), range(_COLUMNS))):
        left, top = column * step_x, row * step_y
        axis.imshow(tile(images[place : place + 1], 1, 1), extent=(left, left + width, top + height, top))
        wrong = predicted[place] != labels[place]
        look = {"color": VERMILION, "weight": "bold"} if wrong else {"color": GREY}
        name = class_names[predicted[place]]
        axis.text(left + width / 2, top + height + 0.5, name, ha="center", va="top", fontsize=9, **look)
    axis.set(xlim=(0, _COLUMNS * step_x), ylim=(_ROWS * step_y, 0), aspect="equal")
    axis.set_title(title, loc="left")
    axis.set_axis_off()


def _draw_exemplars(axis, exemplars, class_names):
    classes = [np.flatnonzero(exemplars.labels == label)[:_ROWS] for label in range(len(class_names))]
    # A column is a class.
    rows = np.stack([np.resize(rows, _ROWS) for rows in classes], axis=1).ravel()
    _draw_images(axis, "its exemplars, one column a class", np.clip(exemplars.images[rows] / 255, 0, 1))
