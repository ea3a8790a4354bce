"""Measures how the cost of a stream grows with its length, its memory and the model, and draws it.

It fails if the step is traced more than once or the resident memory grows along the stream.
"""

import argparse
import json
import sys
from pathlib import Path

from measuring import describe_machine

from ocm_tf.experiments import plots, run_script
from ocm_tf.files import write_json
from ocm_tf.quiet import import_tensorflow

MARKS = (1000, 2000, 5000, 10000, 20000, 40000, 60000)
SIZES = (100, 500, 1000, 2000, 5000, 10000)
COUNTS = (1, 2, 5, 10, 20, 30)
QUICK = {"marks": (100, 200, 500), "sizes": (100, 200), "counts": (1, 2)}
# Beyond what the allocator's own rounding does; a copy of each image would take 45 MB over the stream.
MOST_GROWTH_MB = 16


def measure(marks=MARKS, sizes=SIZES, counts=COUNTS):
    """Measures all three; returns a dict for JSON."""
    import_tensorflow(threads=1)
    import growth

    from ocm_tf.experiments.environment import describe_environment

    return {
        "machine": {**describe_machine(), **describe_environment()},
        "stream": growth.along_stream(marks),
        "memory": growth.along_memory(sizes),
        "components": growth.along_components(counts),
    }


def complaints(results):
    """Returns what should not be so, a list of texts."""
    found = [
        f"{name}: the step was traced {results[name]['traces']} times"
        for name in ("stream", "memory", "components")
        if results[name]["traces"] != 1
    ]
    resident = results["stream"]["resident_mb"]
    if resident[-1] - resident[0] > MOST_GROWTH_MB:
        found.append(f"stream: the resident memory grew from {resident[0]:.0f} to {resident[-1]:.0f} MB")
    return found


@plots.styled
def draw(results):
    """Draws CPU time above resident memory for each of the three, a Matplotlib figure."""
    cpu = results["machine"]["cpu"]
    figure = plots.new_figure("How the cost grows", f"A network of 32 units on one thread; {cpu}", 13, 6.4)
    upper, lower = figure.subplots(2, 3, sharex="col")
    parts = (
        ("stream", "images", {"cpu_ms": "an image"}, "images of the stream"),
        ("memory", "samples", {"batch_ms": "an arriving batch", "round_ms": "a round of selection"},
         "samples in the long-term memory"),
        ("components", "components", {"step_ms": "an update", "bound_ms": "an image's routed bound, K=100"},
         "components"),
    )  # fmt: skip
    for above, below, (name, where, times, label) in zip(upper, lower, parts, strict=True):
        part = results[name]
        for colour, (series, meaning) in zip((plots.BLUE, plots.VERMILION), times.items(), strict=False):
            above.plot(part[where], part[series], "o-", color=colour, label=meaning)
        below.plot(part[where], part["resident_mb"], "o-", color=plots.GREEN)
        for axis in (above, below):
            axis.set_ylim(0, 1.06 * axis.dataLim.ymax)
        above.legend(loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.2)
        below.set_xlabel(label)
    upper[0].set_ylabel("CPU time (ms)")
    lower[0].set_ylabel("resident memory (MB)")
    return figure


def parse(argv=None):
    """Parses the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--output", type=Path, default=Path("results/benchmarks/scaling.json"), metavar="FILE.json",
        help="all figures (default: results/benchmarks/scaling.json)")  # fmt: skip
    add("--figure", type=Path, default=Path("figures/scaling.png"), metavar="FILE.png",
        help="default: figures/scaling.png")  # fmt: skip
    add("--redraw", action="store_true", help="draw what --output holds, without measuring")
    add("--quick", action="store_true", help="smallest sizes: shows that all runs, measures nothing of worth")
    return parser.parse_args(argv)


def main(argv=None):
    """Measures or reads, draws, and returns the exit status: 1 if something grows that should not."""
    arguments = parse(argv)
    if arguments.redraw:
        results = json.loads(arguments.output.read_text(encoding="utf-8"))
    else:
        results = measure(**(QUICK if arguments.quick else {}))
        write_json(arguments.output, results)
    plots.save_figure(draw(results), arguments.figure)
    print(f"{arguments.output}\n{arguments.figure}")
    found = complaints(results)
    for text in found:
        print(text, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(run_script(main))
