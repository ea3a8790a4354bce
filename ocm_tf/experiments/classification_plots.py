"""The figures that a classification run has beyond those of `ocm_plots`, drawn from its run directory alone."""

import numpy as np

from ocm_tf.experiments import plots
from ocm_tf.experiments.plots import BLUE, INK, VERMILION


@plots.styled
def plot_task_accuracy(run):
    """Draws the accuracy on each task after the stream, beside the paper's mean over tasks."""
    metrics = run.results.get("metrics", {})
    tasks = plots.class_numbers(metrics, "accuracy_task_")
    if not tasks:
        return None
    values = [metrics[f"accuracy_task_{task}"] for task in tasks]
    figure = plots.new_figure("Accuracy per task after the stream", run.subtitle, max(7, 0.5 * len(tasks) + 2), 4.6)
    axis = figure.subplots()
    bars = axis.bar(tasks, values, color=BLUE, width=0.72)
    # On white, where the line of a mean would strike them through.
    axis.bar_label(
        bars, fmt="%.0f", padding=3, fontsize=10, bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6}
    )
    axis.set_xticks(tasks)
    axis.set_xlabel("task, in the order of arrival")
    axis.set_ylim(0, 105)
    axis.set_ylabel("accuracy (%)")
    mean = metrics["average_accuracy"]
    axis.axhline(mean, color=INK, linewidth=1.6, label=f"mean over tasks: {mean:.1f} %")
    paper = (run.results.get("paper") or {}).get("average_accuracy")
    if paper is not None:
        label = f"paper, full scale: {paper:.1f} %"
        axis.axhline(paper, color=VERMILION, linewidth=1.6, linestyle="--", label=label)
    axis.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.2)
    return figure


@plots.styled
def plot_routing(run):
    """Draws which component answers for the test images of each class."""
    metrics = run.results.get("metrics", {})
    classes = plots.class_numbers(metrics, "accuracy_class_")
    components = plots.class_numbers([name.partition("_class_")[0] for name in metrics], "routing_component_")
    if not classes or len(components) < 2:
        return None
    shares = np.array([[metrics[f"routing_component_{k}_class_{c}"] for c in classes] for k in components])
    width = np.clip(3 + 0.5 * len(classes), 7, 14)
    figure = plots.new_figure(
        "Which component answers for which class", run.subtitle, width, 2.6 + 0.4 * len(components)
    )
    axis = figure.subplots()
    mesh = axis.imshow(shares, aspect="auto", cmap="Blues", vmin=0, vmax=100)
    figure.colorbar(mesh, ax=axis, label="test images of the class (%)", pad=0.02)
    # Long lists of classes would overlap.
    ticks = np.arange(0, len(classes), -(-len(classes) // 20))
    names = [run.class_label(classes[i]) for i in ticks]
    slant = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"} if max(map(len, names)) > 3 else {}
    axis.set_xticks(ticks, names, **slant)
    axis.set_xlabel("class")
    axis.set_yticks(range(len(components)), [str(k + 1) for k in components])
    axis.set_ylabel("component, by age")
    if len(classes) <= 20:
        for (row, column), share in np.ndenumerate(shares):
            if share >= 0.5:
                colour = "white" if share > 60 else INK
                axis.text(column, row, f"{share:.0f}", ha="center", va="center", fontsize=9.5, color=colour)
    return figure


FIGURES = {"task_accuracy": plot_task_accuracy, "routing": plot_routing}
