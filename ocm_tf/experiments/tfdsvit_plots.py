"""The figures that a TFDSViT run has beyond those of classification, drawn from its run directory alone."""

import numpy as np

from ocm_tf.experiments import plots
from ocm_tf.experiments.plots import BLUE, INK, VERMILION

_MOST_COLUMNS = 200


@plots.styled
def plot_experts(run):
    """Draws the number of experts and components over the stream, above the classes that arrive."""
    steps, experts = run.series("train", "num_experts")
    labels = run.observations.get("stream_labels")
    if not len(steps) or labels is None:
        return None
    names = [run.class_label(c) for c in range(int(labels.max()) + 1)]
    height = np.clip(4.6 + 0.2 * len(names), 5.4, 9)
    figure = plots.new_figure("Experts and the classes of the stream", run.subtitle, 10, height)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[1, 1.3])
    upper.step(*run.series("train", "num_components"), where="post", color=BLUE, linewidth=1.6, label="components")
    upper.step(steps, experts, where="post", color=INK, linewidth=2.2, label="experts (trunks)")
    upper.set_ylim(bottom=0)
    upper.yaxis.set_major_locator(plots.whole_ticks(6))
    upper.set_ylabel("number")
    upper.legend(loc="lower left", bbox_to_anchor=(0, 1.05), ncols=2, borderaxespad=0.2)
    plots.draw_expansions(upper, run)
    arrivals = np.arange(len(labels)) // int(run.observations["batch_size"])
    # Whole batches a column, or neighbouring columns would differ by how many they hold.
    width = -(-(arrivals[-1] + 1) // _MOST_COLUMNS)
    edges = np.arange(0, arrivals[-1] + 1 + width, width)
    rows = np.arange(len(names) + 1) - 0.5
    counts, _, _ = np.histogram2d(labels, arrivals, [rows, edges])
    plots.draw_counts(figure, lower, edges + 0.5, rows, counts, "images")
    ticks = np.arange(0, len(names), -(-len(names) // 20))
    lower.set_yticks(ticks, [names[i] for i in ticks])
    lower.invert_yaxis()
    lower.set_ylabel("class arriving")
    plots.draw_stream([upper, lower], run)
    figure.align_ylabels()
    return figure


@plots.styled
def plot_energy(run):
    """Draws the lowest energy of the earlier components at each test, and the threshold."""
    steps, energy = run.series("round", "energy")
    if not len(steps):
        return None
    figure = plots.new_figure("Energy of the newest images in a full memory", run.subtitle, 10, 4.6)
    axis = figure.subplots()
    axis.plot(
        steps, energy, color=BLUE, marker="o", markersize=3, linewidth=0.8, label="lowest of all earlier components"
    )
    tau = run.series("round", "threshold")[1][-1]
    axis.axhline(tau, color=VERMILION, linewidth=1.6, linestyle="--", label=f"threshold: {tau:.1f}")
    axis.set_ylim(bottom=0)
    axis.set_ylabel("mean squared error\n(sum over pixels)")
    axis.legend(loc="lower left", bbox_to_anchor=(0, 1.05), ncols=2, borderaxespad=0.2)
    plots.draw_expansions(axis, run)
    plots.draw_stream([axis], run)
    return figure


FIGURES = {"experts": plot_experts, "energy": plot_energy}
