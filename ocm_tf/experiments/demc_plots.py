"""The figures that a DEMC run has beyond those of `ocm_plots`, drawn from its run directory alone."""

import numpy as np

from ocm_tf.experiments import plots
from ocm_tf.experiments.plots import BLUE, GREEN, VERMILION

_SHOWN_OF_CLUSTER = 16
_MOST_CLUSTERS = 12


@plots.styled
def plot_task_images(run):
    """Draws the same test images' reconstructions, and samples from the same latents, after every task."""
    steps = run.observations.get("task_steps")
    if steps is None:
        return None
    images = run.observations["task_images"]
    figure = plots.new_figure("Reconstructions and samples after every task", run.subtitle, 2.1 * (len(steps) + 1), 6.2)
    grids = [("test images", images)]
    grids += [(f"batch {step:,}", run.observations["task_reconstructions"][i]) for i, step in enumerate(steps)]
    samples = [(f"batch {step:,}", run.observations["task_samples"][i]) for i, step in enumerate(steps)]
    # Test images of one task stand in a line.
    columns = len(images) // len(steps)
    for row, kind in zip(figure.subplots(2, len(grids)), (grids, [None, *samples]), strict=True):
        for axis, grid in zip(row, kind, strict=True):
            axis.set_axis_off()
            if grid is not None:
                axis.imshow(plots.tile(grid[1], len(images), columns), interpolation="nearest")
                axis.set_title(grid[0], loc="left")
    figure.axes[len(grids)].text(0, 0.5, "samples:", fontsize=11, transform=figure.axes[len(grids)].transAxes)
    return figure


@plots.styled
def plot_clusters(run):
    """Draws what the clusters hold, one line each, with the batch at whose end it was made."""
    images, steps = run.observations.get("cluster_images"), run.observations.get("cluster_steps")
    if images is None or not len(images):
        return None
    shown = np.unique(np.linspace(0, len(images) - 1, _MOST_CLUSTERS).astype(int))
    number = min(_SHOWN_OF_CLUSTER, images.shape[1])
    title = "Contents of the clusters" if len(shown) == len(images) else f"{len(shown)} of {len(images)} clusters"
    figure = plots.new_figure(title, run.subtitle, 10, 1.4 + 0.62 * len(shown))
    axes = figure.subplots(len(shown), 1, squeeze=False)[:, 0]
    for axis, index in zip(axes, shown, strict=True):
        axis.imshow(plots.tile(images[index][:number], number, number), interpolation="nearest")
        axis.set_ylabel(f"{index + 1}, batch {steps[index]:,}", rotation=0, ha="right", va="center")
        axis.set_xticks([])
        axis.set_yticks([])
        axis.spines[:].set_visible(False)
    return figure


@plots.styled
def plot_novelty(run):
    """Draws the distance from the clusters at each check, its threshold, and where a cluster was made."""
    steps, novelty = run.series("check", "novelty")
    if not len(steps):
        return None
    made = run.series("check", "cluster_made")[1] > 0
    figure = plots.new_figure("Novelty of what has come lately", run.subtitle, 10, 5.4)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    upper.plot(steps, novelty, ".-", color=BLUE, linewidth=1, label="distance from the clusters")
    upper.plot(*run.series("check", "threshold"), color=VERMILION, linestyle="--", label="threshold")
    upper.plot(steps[made], novelty[made], "v", color=VERMILION, markersize=8, label="a cluster is made")
    # The first cluster is made whatever the distance.
    for step in steps[made & ~np.isfinite(novelty)]:
        upper.axvline(step, color=VERMILION, linewidth=1)
    finite = np.concatenate([novelty, run.series("check", "threshold")[1]])
    if (finite[np.isfinite(finite)] > 0).any():
        upper.set_yscale("log")
    upper.set_ylabel("nats per latent dimension")
    upper.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, borderaxespad=0.2)
    lower.step(*run.series("train", "num_clusters"), where="post", color=GREEN)
    lower.set_ylim(bottom=0)
    lower.yaxis.set_major_locator(plots.whole_ticks(4))
    lower.set_ylabel("clusters")
    plots.draw_stream([upper, lower], run)
    figure.align_ylabels()
    return figure


@plots.styled
def plot_latents(run):
    """Draws the latents of test images in two dimensions, coloured by class."""
    import matplotlib

    plane, labels = run.observations.get("latent_plane"), run.observations.get("latent_labels")
    if plane is None or labels is None:
        return None
    figure = plots.new_figure("Latents of test images (t-SNE of the posterior means)", run.subtitle, 7.6, 6.4)
    axis = figure.subplots()
    classes = np.unique(labels)
    colours = matplotlib.colormaps["tab10" if len(classes) <= 10 else "nipy_spectral"](
        np.linspace(0, 1, len(classes)) if len(classes) > 10 else np.arange(len(classes))
    )
    for label, colour in zip(classes, colours, strict=True):
        axis.scatter(*plane[labels == label].T, s=14, color=colour, label=run.class_label(label))
    axis.set_axis_off()
    axis.legend(loc="center left", bbox_to_anchor=(1, 0.5), title="class")
    return figure


@plots.styled
def plot_task_errors(run):
    """Draws the error on each task's test images after every task."""
    errors = run.observations.get("task_sse")
    if errors is None:
        return None
    figure = plots.new_figure("Reconstruction error of each task after every task", run.subtitle, 7.5, 5.2)
    axis = figure.subplots()
    mesh = axis.imshow(errors, cmap="YlOrBr", aspect="auto")
    figure.colorbar(mesh, ax=axis, label="squared error per image", pad=0.02)
    for (row, column), value in np.ndenumerate(errors):
        dark = value > errors.min() + 0.6 * np.ptp(errors)
        axis.text(column, row, f"{value:.1f}", ha="center", va="center", color="white" if dark else "black")
    names = [str(task + 1) for task in range(len(errors))]
    axis.set_xticks(range(errors.shape[1]), names[: errors.shape[1]])
    axis.set_yticks(range(len(errors)), names)
    axis.set_xlabel("test images of task")
    axis.set_ylabel("after task")
    return figure


FIGURES = {
    "task_images": plot_task_images,
    "task_errors": plot_task_errors,
    "clusters": plot_clusters,
    "novelty": plot_novelty,
    "latents": plot_latents,
}
