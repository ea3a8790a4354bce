"""The figures of a run with exemplars, drawn from the files of its run directory alone; see `ocm_plots`."""

import re

import numpy as np

from ocm_tf.experiments import plots
from ocm_tf.experiments.plots import BLUE, GREEN, GREY, INK, ORANGE, VERMILION

CLASSIFIERS = {"fc": "head", "nme": "nearest class mean", "fine_tuned": "fine-tuned means"}
_COLOURS = (BLUE, ORANGE, GREEN, VERMILION, "#CC79A7")
_SHOWN_IMAGES = 8


@plots.styled
def plot_phase_accuracy(run):
    """Draws the accuracy over all classes seen after each phase, and over the classes of the first one."""
    _, seen = run.series("evaluate", "num_seen")
    if not len(seen):
        return None
    figure = plots.new_figure("Accuracy after each phase", run.subtitle, 9, 4.4)
    panels = figure.subplots(1, 2, sharey=True)
    for axis, prefix, title in zip(
        panels, ("", "base_"), ("all classes seen", "classes of the first phase"), strict=True
    ):
        for (classifier, name), colour in zip(CLASSIFIERS.items(), _COLOURS, strict=False):
            _, values = run.series("evaluate", f"{prefix}accuracy_{classifier}")
            if len(values):
                axis.plot(seen, values, "o-", color=colour, label=name)
        axis.set_title(title, loc="left")
        axis.set_xlabel("classes seen")
        axis.set_xticks(seen if len(seen) <= 12 else seen[:: len(seen) // 6])
    panels[0].set_ylabel("accuracy (%)")
    panels[0].legend(loc="lower left")
    return figure


def recorded_phases(run):
    """Returns the numbers of the phases whose exemplars were recorded, sorted."""
    found = (re.fullmatch(r"phase_(\d+)_features", name) for name in run.observations)
    return sorted(int(match[1]) for match in found if match)


@plots.styled
def plot_exemplar_map(run):
    """Draws images and exemplars of the first classes in the plane, in the first and in the last phase."""
    phases = recorded_phases(run)
    if not phases:
        return None
    chosen = sorted({phases[0], phases[-1]})
    figure = plots.new_figure("Exemplars among the images of their classes", run.subtitle, 5.2 * len(chosen), 5.4)
    axes = np.atleast_1d(figure.subplots(1, len(chosen)))
    for axis, phase in zip(axes, chosen, strict=True):
        draw_map(axis, run, phase)
    explain_map(figure)
    return figure


def draw_map(axis, run, phase, label=None):
    """Draws one phase of a run by t-SNE of the directions of features, with the mean margin of the exemplars."""
    # It takes a second to import, which other figures and the command line need not wait for.
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    features, labels, exemplars, exemplar_labels, margins = (
        run.observations[f"phase_{phase}_{name}"]
        for name in ("features", "labels", "exemplar_features", "exemplar_labels", "exemplar_margins")
    )
    shown = np.isin(exemplar_labels, labels)
    # One exemplar stands for each other class.
    others = [np.flatnonzero(exemplar_labels == other)[0] for other in np.unique(exemplar_labels[~shown])]
    points = np.concatenate([features, exemplars[shown], exemplars[others]])
    points = points / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-12)
    # On a busy machine several threads would mostly wait for each other.
    with threadpool_limits(1):
        places = TSNE(perplexity=min(30, len(points) / 4), init="pca", random_state=0).fit_transform(points)
    images, chosen, rest = np.split(places, [len(features), len(features) + shown.sum()])
    for known, colour in zip(np.unique(labels), _COLOURS, strict=False):
        axis.scatter(*images[labels == known].T, s=9, color=colour, alpha=0.3, linewidths=0)
        mark = {"s": 60, "color": colour, "edgecolors": INK, "linewidths": 1.2, "zorder": 3}
        axis.scatter(*chosen[exemplar_labels[shown] == known].T, **mark)
    axis.scatter(*rest.T, marker="x", color=GREY, s=36)
    axis.set_xticks([])
    axis.set_yticks([])
    heading = f"phase {phase}, mean margin {margins[shown].mean():.2f}"
    axis.set_title(heading if label is None else f"{label}\n{heading}", loc="left")


def explain_map(figure):
    """Adds a legend of the marks below all panels."""
    axis = figure.axes[0]
    axis.scatter([], [], s=9, color=GREY, label="image")
    axis.scatter([], [], s=60, color=GREY, edgecolors=INK, label="exemplar")
    axis.scatter([], [], marker="x", color=GREY, label="other class")
    figure.legend(loc="outside lower left", ncols=3)


@plots.styled
def plot_exemplar_images(run):
    """Draws exemplars of the first phase before and after training, and the difference, scaled to the full range."""
    before, after = run.observations.get("exemplars_before"), run.observations.get("exemplars_after")
    if before is None or after is None:
        return None
    before, after = (images[:_SHOWN_IMAGES].astype(np.float32) / 255 for images in (before, after))
    difference = after - before
    largest = max(np.abs(difference).max(), 1e-6)
    figure = plots.new_figure("Exemplars before and after training", run.subtitle, 1.2 * len(before) + 2.4, 5.2)
    rows = (
        ("before", before),
        ("after", after),
        (f"difference, times {0.5 / largest:.1f}", 0.5 + 0.5 * difference / largest),
    )
    for axis, (title, images) in zip(figure.subplots(3, 1), rows, strict=True):
        axis.imshow(plots.tile(images, len(images), len(images)), interpolation="nearest")
        axis.set_title(title, loc="left")
        axis.set_axis_off()
    return figure


FIGURES = {
    "phase_accuracy": plot_phase_accuracy,
    "exemplar_map": plot_exemplar_map,
    "exemplar_images": plot_exemplar_images,
}
