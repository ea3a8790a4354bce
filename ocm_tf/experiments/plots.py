"""What every figure shares: reading a run directory, drawing its common marks and saving a file.

Figures are bare `Figure` objects, never made through pyplot: none opens a window, none is kept alive. Matplotlib takes
half a second to import, so it is imported when something is drawn: scripts that may draw in the end start without it.
"""

import dataclasses
import functools
import pathlib
import textwrap

import numpy as np

from ocm_tf.experiments.metrics_table import read_metrics
from ocm_tf.experiments.run_records import read_config, read_results
from ocm_tf.files import load_arrays, write_atomically

# Okabe and Ito's colours, which colour-blind readers tell apart.
BLUE, ORANGE, GREEN, VERMILION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
INK, GREY = "#222222", "#777777"

STYLE = {
    "font.size": 11,
    "axes.titlesize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "figure.constrained_layout.h_pad": 0.08,
    "figure.constrained_layout.w_pad": 0.08,
}


def styled(draw):
    """Decorates a plotting function: some settings are read when an artist is made, so they must hold throughout."""

    @functools.wraps(draw)
    def draw_styled(*args, **kwargs):
        import matplotlib

        with matplotlib.rc_context(STYLE):
            return draw(*args, **kwargs)

    return draw_styled


@dataclasses.dataclass(frozen=True)
class RunFiles:
    """Reads the files of one run directory, each when it is first asked for.

    Args:
        path: the run directory.

    Raises:
        UserError: on reading a file that is missing or corrupt.
    """

    path: pathlib.Path

    @functools.cached_property
    def config(self):
        """The content of `config.json`."""
        return read_config(self.path / "config.json")

    @functools.cached_property
    def results(self):
        """The content of `results.json`."""
        return read_results(self.path / "results.json")

    @functools.cached_property
    def metrics(self):
        """The content of `metrics.csv`: `{(stage, metric): [(step, value), ...]}`."""
        table, metrics = read_metrics(self.path / "metrics.csv"), {}
        rows = [table[column].tolist() for column in ("step", "stage", "metric", "value")]
        for step, stage, metric, value in zip(*rows, strict=True):
            metrics.setdefault((stage, metric), []).append((step, value))
        return metrics

    @functools.cached_property
    def observations(self):
        """The arrays of `observations.npz`, by name."""
        return load_arrays(self.path / "observations.npz")

    def series(self, stage, metric):
        """Returns the steps and the values of a metric as two arrays, both empty if it was not recorded."""
        points = self.metrics.get((stage, metric), [])
        return np.array([step for step, _ in points], int), np.array([value for _, value in points], float)

    def class_series(self, stage, prefix):
        """Returns `{class: (steps, values)}` of the metrics named `<prefix><class>`."""
        names = [metric for where, metric in self.metrics if where == stage]
        return {c: self.series(stage, f"{prefix}{c}") for c in class_numbers(names, prefix)}

    def class_label(self, class_number):
        """Returns the name of a class, its number where the run stored no name."""
        names = self.observations.get("class_names", ())
        return str(names[class_number]) if class_number < len(names) else str(class_number)

    @property
    def last_step(self):
        """The number of batches seen in the whole run, as far as it was recorded."""
        return max((step for points in self.metrics.values() for step, _ in points), default=0)

    @property
    def subtitle(self):
        """One line that says which run this is."""
        config = self.config
        parts = [config.get("script"), config.get("dataset"), f"preset {config.get('preset')}"]
        parts += [f"seed {config.get('seed')}"]
        parts += [f"{name}={value}" for name, value in (config.get("changes") or {}).items()]
        return " · ".join(str(part) for part in parts if part)


def class_numbers(names, prefix):
    """Returns the sorted class numbers among names such as `<prefix>3`."""
    endings = {name.removeprefix(prefix) for name in names if name.startswith(prefix)}
    return sorted(int(ending) for ending in endings if ending.isdigit())


def new_figure(title, subtitle, width, height):
    """Makes a figure with a bold title and a grey line under it, both at the left."""
    from matplotlib.figure import Figure
    from matplotlib.text import Annotation

    figure = Figure(figsize=(width, height), layout="constrained")
    # The empty second line makes the layout leave room for the subtitle, which is anchored to it.
    heading = figure.suptitle(f"{title}\n", x=0.1 / width, ha="left", size=14, weight="bold", color=INK)
    subtitle = textwrap.shorten(subtitle, int(11 * width), placeholder=" …")  # an inch holds 11 wide letters
    figure.add_artist(Annotation(subtitle, (0, 0), xycoords=heading, va="bottom", fontsize=10.5, color=GREY))
    return figure


def sequence(number, name):
    """Returns colours of a Matplotlib colour map: those of a list in order, of a scale at equal distances."""
    import matplotlib

    colour_map = matplotlib.colormaps[name]
    if hasattr(colour_map, "colors") and colour_map.N <= 20:
        return [colour_map(index % colour_map.N) for index in range(number)]
    return [colour_map(place) for place in np.linspace(0, 0.9, number)]


def tile(images, num_tiles=64, columns=8):
    """Tiles images into one RGB picture, padding with light grey where there are too few.

    Args:
        images: array `[n, height, width, channels]`, uint8 or float in [0, 1], 1 or 3 channels.
        num_tiles: int, places in the picture; images beyond it are left out.
        columns: int, places in a row.

    Returns:
        picture: float array `[rows, columns, 3]` of pixels in [0, 1].
    """
    images = np.asarray(images)[:num_tiles]
    scale = 255 if images.dtype == np.uint8 else 1
    images = np.clip(np.nan_to_num(images.astype(np.float32) / scale), 0, 1)
    # Small images are enlarged so that the lines between them look equally thin for all sizes.
    zoom = max(1, round(28 / images.shape[1]))
    images = images.repeat(zoom, axis=1).repeat(zoom, axis=2)
    height, width = images.shape[1:3]
    gap, rows = max(1, height // 14), -(-num_tiles // columns)
    cells = np.full((rows * columns, height + gap, width + gap, 3), 1, np.float32)
    cells[:, :height, :width] = 0.92
    cells[: len(images), :height, :width] = images  # one channel is copied to all three
    picture = cells.reshape(rows, columns, height + gap, width + gap, 3).swapaxes(1, 2)
    return picture.reshape(rows * (height + gap), columns * (width + gap), 3)[:-gap, :-gap]


def draw_grids(figure, grids):
    """Draws one tiled picture per `(title, images)` pair, side by side."""
    for axis, (title, images) in zip(np.atleast_1d(figure.subplots(1, len(grids))), grids, strict=True):
        axis.imshow(tile(images), interpolation="nearest")
        axis.set_title(title, loc="left")
        axis.set_axis_off()


def whole_ticks(most="auto"):
    """Places ticks at whole numbers only, at most so many intervals; a Matplotlib locator."""
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(most, integer=True)


def draw_counts(figure, axis, steps, edges, counts, label):
    """Draws counts as a heat map: white where there is nothing, grey where nothing was recorded.

    Args:
        figure: Matplotlib figure, which gets a colour bar.
        axis: Matplotlib axis.
        steps: array `[columns + 1]`, the batches between which a column lies.
        edges: array `[rows + 1]`, likewise for the rows.
        counts: int array `[rows, columns]`.
        label: str, for the colour bar.
    """
    import matplotlib

    colours = matplotlib.colormaps["viridis_r"].with_extremes(bad="white")
    axis.set_facecolor("#ebebeb")
    mesh = axis.pcolormesh(steps, edges, np.ma.masked_equal(counts, 0), cmap=colours, vmin=1)
    figure.colorbar(mesh, ax=axis, label=label, pad=0.02, aspect=24, ticks=whole_ticks(6))


def draw_stream(axes, run):
    """Sets the batch axis of stacked panels, and marks with thin lines where a phase or domain of the stream begins."""
    starts, domain_starts = (
        [start for start in run.observations.get(name, ()) if start > 0] for name in ("phase_starts", "domain_starts")
    )
    alpha = 0.7 if len(starts) <= 30 else 0.3
    for axis in axes:
        for start in starts:
            look = {"color": GREY, "linewidth": 0.8, "linestyle": (0, (2, 2)), "alpha": alpha}
            if start in domain_starts:
                look = {"color": INK, "linewidth": 1.2}
            # Between the last batch of one phase and the first of the next, as steps count batches seen.
            axis.axvline(start + 0.5, zorder=1.5, **look)
        axis.set_xlim(0, run.last_step + 1)
    axes[-1].xaxis.set_major_locator(whole_ticks())
    meanings = ["dotted lines: a new phase begins"] if len(starts) > len(domain_starts) else []
    meanings += ["black lines: a new domain"] if domain_starts else []
    axes[-1].set_xlabel("stream batch" + (f" ({', '.join(meanings)})" if meanings else ""))


def draw_expansions(axis, run):
    """Marks above an axis the rounds at which the model grew, and explains the marks."""
    steps, expanded = run.series("round", "expanded")
    steps = steps[expanded > 0]
    if not len(steps):
        return
    from matplotlib.transforms import ScaledTranslation

    # Five points above the axis, whatever its height, and below the text.
    above = axis.get_xaxis_transform() + ScaledTranslation(0, 5 / 72, axis.figure.dpi_scale_trans)
    axis.plot(steps, np.ones(len(steps)), "v", color=VERMILION, clip_on=False, transform=above)
    axis.set_title("triangles: a component is added", loc="right", color=VERMILION, pad=13)


def draw_nll_lines(axis, run):
    """Marks across an axis of NLLs the one of all test images, and the paper's where it has one."""
    nll, paper = ((run.results.get(part) or {}).get("nll") for part in ("metrics", "paper"))
    if nll is not None:
        axis.axvline(nll, color=INK, linewidth=1.6, label=f"all test images: {nll:.2f}")
    if paper is not None:
        axis.axvline(paper, color=VERMILION, linewidth=1.6, linestyle="--", label=f"paper, full scale: {paper:.2f}")
    if axis.get_legend_handles_labels()[0]:
        axis.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.2)


def save_figure(figure, path):
    """Writes a figure as a PNG file, whole or not at all."""
    write_atomically(path, lambda temporary: figure.savefig(temporary, dpi=120))
