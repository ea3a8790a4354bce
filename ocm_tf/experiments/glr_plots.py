"""The figures that a run on generative latent replay has, drawn from its run directory alone."""

import numpy as np

from ocm_tf.experiments import plots
from ocm_tf.experiments.plots import INK

# Older experiences darker; the one at hand stands out.
_MAP = "viridis"


@plots.styled
def plot_stream_images(run):
    """Draws the same test images as each of the first experiences shows them."""
    images = run.observations.get("stream_images")
    if images is None:
        return None
    names = run.observations["experience_names"]
    figure = plots.new_figure("What the experiences look like", run.subtitle, 8, 1.2 + 0.95 * len(images))
    axes = figure.subplots(len(images), 1, squeeze=False)[:, 0]
    for axis, name, row in zip(axes, names, images, strict=False):
        axis.imshow(plots.tile(row, len(row), len(row)), interpolation="nearest")
        axis.set_ylabel(str(name).rpartition("/")[2].replace(" ", "\n"), rotation=0, ha="right", va="center")
        axis.set_xticks([])
        axis.set_yticks([])
        axis.spines[:].set_visible(False)
    return figure


@plots.styled
def plot_accuracy_over_time(run):
    """Draws the accuracy on each experience after each, and the mean over those learned so far."""
    matrix = run.observations.get("accuracy_matrix")
    if matrix is None:
        return None
    figure = plots.new_figure("Accuracy on the test stream after each experience", run.subtitle, 8, 4.8)
    axis = figure.subplots()
    learned = np.arange(1, len(matrix) + 1)
    colours = plots.sequence(matrix.shape[1], _MAP)
    if matrix.shape[1] > 1:
        for task, colour in enumerate(colours):
            since = learned[task:]
            label = f"experience {task + 1}" if matrix.shape[1] <= 12 else None
            axis.plot(since, 100 * matrix[task:, task], "o-", color=colour, markersize=4, label=label)
        so_far = [100 * row[: index + 1].mean() for index, row in enumerate(matrix)]
        axis.plot(learned, so_far, "D--", color=INK, linewidth=1.8, label="mean of those learned")
    else:
        axis.plot(learned, 100 * matrix[:, 0], "o-", color=INK, label="the test set of all experiences")
    axis.set_ylim(0, 102)
    axis.set_ylabel("accuracy (%)")
    axis.set_xlabel("experiences learned")
    axis.xaxis.set_major_locator(plots.whole_ticks())
    axis.grid(axis="y", color="#e6e6e6")
    axis.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


@plots.styled
def plot_accuracy_matrix(run):
    """Draws the accuracy on every experience after every one."""
    matrix = run.observations.get("accuracy_matrix")
    if matrix is None or matrix.shape[1] < 2:
        return None
    size = np.clip(2.4 + 0.75 * len(matrix), 5, 12)
    figure = plots.new_figure("Accuracy matrix", run.subtitle, size + 1.2, size)
    axis = figure.subplots()
    mesh = axis.imshow(100 * matrix, cmap="viridis", vmin=0, vmax=100)
    figure.colorbar(mesh, ax=axis, label="accuracy on its test images (%)", pad=0.02)
    ticks = np.arange(0, len(matrix), -(-len(matrix) // 20))
    axis.set_xticks(ticks, ticks + 1)
    axis.set_yticks(ticks, ticks + 1)
    axis.set_xlabel("experience measured")
    axis.set_ylabel("after learning experience")
    if len(matrix) <= 12:
        for (row, column), value in np.ndenumerate(matrix):
            colour = "white" if value < 0.6 else INK
            axis.text(column, row, f"{100 * value:.0f}", ha="center", va="center", color=colour)
    return figure


@plots.styled
def plot_replay_shares(run):
    """Draws of what minibatches consist: the experience at hand, and real or generated samples of each earlier one."""
    from matplotlib.patches import Patch

    shares = run.observations.get("minibatch_shares")
    if shares is None or len(shares) < 2:
        return None
    is_generated = run.config["settings"].get("method") == "generative_latent_replay"
    figure = plots.new_figure("What a minibatch consists of", run.subtitle, max(7, 0.9 * len(shares) + 3), 4.8)
    axis = figure.subplots()
    learned = np.arange(1, len(shares) + 1)
    bottom = np.zeros(len(shares))
    for index, colour in enumerate(plots.sequence(len(shares), _MAP)):
        own = np.where(learned == index + 1, shares[:, index], 0)
        replayed = shares[:, index] - own
        look = {"hatch": "///"} if is_generated else {"alpha": 0.75}
        bars = {"color": colour, "edgecolor": "white", "width": 0.72}
        axis.bar(learned, 100 * own, bottom=100 * bottom, **bars)
        axis.bar(learned, 100 * replayed, bottom=100 * (bottom + own), **(bars | look))
        bottom += shares[:, index]
    axis.set_xticks(learned if len(learned) <= 20 else learned[:: -(-len(learned) // 20)])
    axis.set_xlabel("experience at hand (each has a colour)")
    axis.set_ylabel("share of the minibatch (%)")
    kind = "generated latents" if is_generated else "stored samples"
    handles = [
        Patch(facecolor="#999999", edgecolor="white", label="real, of the experience at hand"),
        Patch(facecolor="#999999", edgecolor="white", label=f"{kind} of earlier ones", **look),
    ]
    axis.legend(handles=handles, loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.2)
    return figure


@plots.styled
def plot_latents(run):
    """Draws real latents of the first experience beside those that its generator draws, in the plane of t-SNE."""
    from matplotlib.patches import Patch

    points, labels = run.observations.get("embedded_latents"), run.observations.get("embedded_labels")
    if points is None:
        return None
    half = len(points) // 2
    figure = plots.new_figure("Latents of the first experience, in one plane of t-SNE", run.subtitle, 10, 5.4)
    colours = plots.sequence(labels.max() + 1, "tab10" if labels.max() < 10 else "turbo")
    parts = (("real, of test images", slice(0, half)), ("drawn from the generator", slice(half, None)))
    for axis, (title, part) in zip(figure.subplots(1, 2, sharex=True, sharey=True), parts, strict=True):
        others = points[half:] if part.start == 0 else points[:half]
        axis.scatter(*others.T, s=6, color="#dddddd")
        axis.scatter(*points[part].T, s=12, color=[colours[label] for label in labels[part]])
        axis.set_title(f"{title} (grey: the others)", loc="left")
        axis.set_xticks([])
        axis.set_yticks([])
    if labels.max() < 20:
        handles = [Patch(color=colours[label], label=run.class_label(label)) for label in np.unique(labels)]
        figure.legend(handles=handles, loc="outside right center")
    return figure


FIGURES = {
    "stream_images": plot_stream_images,
    "accuracy_over_time": plot_accuracy_over_time,
    "accuracy_matrix": plot_accuracy_matrix,
    "replay_shares": plot_replay_shares,
    "replayed_latents": plot_latents,
}
