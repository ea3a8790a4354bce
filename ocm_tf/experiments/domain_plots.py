"""The figures of a run on a stream of several domains, drawn from the files of its run directory alone.

Each `plot_*` takes `RunFiles` and returns a Matplotlib figure, or None if the stream had a single domain.
"""

import numpy as np

from ocm_tf.experiments import plots
from ocm_tf.experiments.plots import BLUE, GREEN, INK, ORANGE, VERMILION

_COLOURS = (BLUE, ORANGE, GREEN, VERMILION)


@plots.styled
def plot_domain_memory(run):
    """Draws how many samples of each domain the long-term memory holds over the stream, and of how many classes."""
    series = {name: run.series("round", f"stored_{name}") for name in _domain_names(run)}
    series = {name: (steps, counts) for name, (steps, counts) in series.items() if len(steps)}
    if not series:
        return None
    figure = plots.new_figure("Domains in the long-term memory", run.subtitle, 10, 5.6)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[2, 1])
    for number, (name, (steps, counts)) in enumerate(series.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        # What a round leaves in the memory stays there until the next round.
        look = {"where": "post", "color": colour, "linewidth": 2}
        # Equal counts would hide each other.
        look["linestyle"] = ("-", (0, (5, 1.5)), (0, (1, 1)))[number % 3]
        ends = np.append(steps, run.last_step + 1)
        upper.step(ends, np.append(counts, counts[-1]), label=f"{name}: {counts[-1]:.0f} at the end", **look)
        _, classes = run.series("round", f"stored_classes_{name}")
        lower.step(ends, np.append(classes, classes[-1]), **look)
    upper.set_ylabel("samples stored")
    lower.set_ylabel("classes stored")
    for axis in (upper, lower):
        axis.set_ylim(bottom=0)
        axis.yaxis.set_major_locator(plots.whole_ticks(5))
    upper.legend(loc="lower left", bbox_to_anchor=(0, 1.08), ncols=len(series), borderaxespad=0.2)
    plots.draw_stream([upper, lower], run)
    plots.draw_expansions(upper, run)
    figure.align_ylabels()
    return figure


@plots.styled
def plot_domain_routing(run):
    """Draws which component answers for which share of the test images of each domain."""
    from matplotlib.ticker import PercentFormatter

    names, metrics = _domain_names(run), run.results.get("metrics", {})
    prefixes = {name: f"routed_{name}_component_" for name in names}
    components = [plots.class_numbers(metrics, prefix) for prefix in prefixes.values()]
    # With a single component there is nothing to choose.
    if not names or len(components[0]) < 2:
        return None
    shares = np.array([[metrics[f"{prefix}{k}"] for k in components[0]] for prefix in prefixes.values()])
    num_components = shares.shape[1]
    width, height = np.clip(4.2 + 0.55 * num_components, 7, 20), 2.6 + 0.6 * len(names)
    figure = plots.new_figure("Component that answers for the test images", run.subtitle, width, height)
    axis = figure.subplots()
    mesh = axis.imshow(shares, aspect="auto", cmap="Blues", vmin=0, vmax=1)
    bar = figure.colorbar(mesh, ax=axis, label="share of the domain", pad=0.02)
    bar.ax.yaxis.set_major_formatter(PercentFormatter(1))
    for (row, column), share in np.ndenumerate(shares):
        if share >= 0.005:
            colour = "white" if share > 0.6 else INK
            axis.text(column, row, f"{100 * share:.0f}%", ha="center", va="center", fontsize=9.5, color=colour)
    axis.set_xticks(range(num_components), [str(k + 1) for k in components[0]])
    axis.set_xlabel("component, in the order in which they were added (blank: under half a percent)")
    axis.set_yticks(range(len(names)), names)
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    return figure


@plots.styled
def plot_domain_nll(run):
    """Draws the negative log-likelihood of each domain after the stream, beside that of all images."""
    metrics = run.results.get("metrics", {})
    names = [name for name in _domain_names(run) if f"nll_{name}" in metrics]
    if not names:
        return None
    values = [metrics[f"nll_{name}"] for name in names]
    counts = [metrics[f"num_test_{name}"] for name in names]
    height = 2.8 + 0.5 * len(names)
    figure = plots.new_figure("Negative log-likelihood per domain after the stream", run.subtitle, 8.5, height)
    axis = figure.subplots()
    bars = axis.barh(np.arange(len(names)), values, color=BLUE, height=0.6)
    axis.bar_label(bars, fmt="%.1f", label_type="center", color="white", fontsize=10)
    labels = [f"{name}\n{count:,} images" for name, count in zip(names, counts, strict=True)]
    axis.set_yticks(np.arange(len(names)), labels)
    axis.invert_yaxis()
    axis.set_xlabel("negative log-likelihood (nats per image, lower is better)")
    plots.draw_nll_lines(axis, run)
    return figure


def _domain_names(run):
    """Returns the names of the domains, none where the stream had only one or the run did not tell."""
    names = [str(name) for name in run.observations.get("domain_names", ())]
    return names if len(names) > 1 else []


FIGURES = {
    "domain_memory": plot_domain_memory,
    "domain_routing": plot_domain_routing,
    "domain_nll": plot_domain_nll,
}
