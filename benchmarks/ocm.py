"""Compares OCM's kernels with a direct implementation: `python benchmarks/ocm.py [--rounds N] [--output FILE.json]`.

Contenders run in processes of their own, turn and turn about. CPU time decides, since on a busy machine it repeats
where time on the clock does not. The direct implementation is `direct_ocm.py`.
"""

import argparse
import json
import os
import statistics
from dataclasses import asdict, dataclass
from pathlib import Path

from measuring import Worker, describe_machine, median_cost

# Target for the resident memory of an added component beyond its own weights, and how many are added to measure it.
_AT_MOST_MB, _NUM_ADDED = 1.5, 24


@dataclass(frozen=True)
class Comparison:
    """One line of the table.

    Attributes:
        label: what is measured, with its unit of work.
        kernel: key in `library_ocm.KERNELS`.
        yardstick: key in `direct_ocm.KERNELS`.
        matmul: the matrix product whose speed is the peak.
        gflop: work of one unit in matrix products; None where these do not dominate.
        min_ratio: target for the yardstick's CPU time over ours, or None.
        min_share: target for the share of the peak, or None.
    """

    label: str
    kernel: str
    yardstick: str
    matmul: str = "matmul_float32"
    gflop: float | None = None
    min_ratio: float | None = None
    min_share: float | None = None


_STEP, _BOUND, _BF16 = 4.03, 0.414, "matmul_bfloat16"

COMPARISONS = (
    Comparison("train step, K=50, fp32", "step_50", "step_50", gflop=_STEP, min_ratio=1.5, min_share=0.65),
    Comparison("train step, K=50, bf16 products", "step_50_bf16", "step_50", _BF16, _STEP, 2.0, 0.45),
    Comparison("train step, K=1, fp32", "step_1", "step_1", gflop=0.163),
    Comparison("IWAE-1000 an image, fp32", "evaluation_1", "evaluation_1", "matmul_float32", _BOUND, 3.8, 0.55),
    Comparison("IWAE-1000 an image, bf16 products", "evaluation_1_bf16", "evaluation_1", _BF16, _BOUND, 5.0, 0.38),
    # Five bounds to choose a component, one of the chosen drawn anew.
    Comparison("IWAE-1000, 5 components, fp32", "evaluation_5", "evaluation_5", gflop=6 * _BOUND, min_ratio=2.5),
    Comparison("IWAE-1000, 5 components, bf16 products", "evaluation_5_bf16", "evaluation_5", _BF16, 6 * _BOUND, 3.4),
    Comparison("scores, STM 576 x LTM 64 (a)", "selection_64", "selection_64", min_ratio=45),
    Comparison("scores, STM 576 x LTM 500 (a)", "selection_500", "selection_500", min_ratio=100),
    Comparison("scores, STM 576 x LTM 1500 (a)", "selection_1500", "selection_1500", min_ratio=150),
    Comparison("expansion test, 640 x 1000 draws (b)", "expansion_1000", "expansion_1000", gflop=640 * _BOUND),
    Comparison("expansion test, 640 x 100 draws (b)", "expansion_100", "expansion_100", gflop=64 * _BOUND),
)

NOTES = (
    "(a) features and kernel. Yardstick: all features, 8 of 576 rows of pairs, scaled up linearly.",
    "(b) yardstick on 64 (1000 draws) or 160 images (100 draws), scaled up linearly.",
    "The yardstick computes in fp32 throughout. Share: of the matrix product's speed measured between the same rounds.",
)


def compare(comparison, library, direct, rounds):
    """Measures one line.

    Args:
        comparison: a `Comparison`.
        library, direct: a `Worker` each.
        rounds: number of rounds.

    Returns:
        dict for JSON: medians over rounds of times in milliseconds, of the ratio, of GFLOP per CPU-second and of its
        share of the peak; whether the targets are met, None without any.
    """
    contenders = [([], library, comparison.kernel), ([], direct, comparison.yardstick)]
    if comparison.gflop is not None:
        contenders.append(([], library, comparison.matmul))
    for turn in range(rounds):
        for costs, worker, kernel in contenders if turn % 2 == 0 else reversed(contenders):
            costs.append(worker.measure(kernel))
    return evaluate(comparison, *(costs for costs, _, _ in contenders))


def evaluate(comparison, ours, theirs, peaks=()):
    """Turns the costs of all rounds into the figures of one line, see `compare`."""
    own, yardstick = median_cost(ours), median_cost(theirs)
    # Round by round, since within a round the machine is alike for all.
    ratio = statistics.median(their.cpu / our.cpu for our, their in zip(ours, theirs, strict=True))
    result = {
        **asdict(comparison),
        "library_ms": {**own._asdict(), "cpu": own.cpu},
        "yardstick_ms": {**yardstick._asdict(), "cpu": yardstick.cpu},
        "ratio": ratio,
        "rounds": {"library_ms": [cost.cpu for cost in ours], "yardstick_ms": [cost.cpu for cost in theirs]},
    }
    met = [] if comparison.min_ratio is None else [ratio >= comparison.min_ratio]
    if comparison.gflop is not None:
        share = statistics.median(comparison.gflop * peak.cpu / our.cpu for our, peak in zip(ours, peaks, strict=True))
        result |= {
            "gflop_per_cpu_second": 1e3 * comparison.gflop / own.cpu,
            "peak_gflop_per_cpu_second": 1e3 / median_cost(peaks).cpu,
            "share": share,
        }
        if comparison.min_share is not None:
            met.append(share >= comparison.min_share)
    return {**result, "met": all(met) if met else None}


COLUMNS = (
    "kernel",
    "ours, CPU ms",
    "ours, wall ms",
    "yardstick, CPU ms",
    "ratio",
    "GFLOP/s a core",
    "share of peak",
    "target",
    "met",
)


def table_line(result):
    """Formats one line of the table in Markdown."""
    ours, cells = result["library_ms"], [result["label"]]
    cells += [f"{value:,.1f}" for value in (ours["cpu"], ours["wall"], result["yardstick_ms"]["cpu"])]
    cells.append(f"{result['ratio']:.2f}" if result["ratio"] < 10 else f"{result['ratio']:.0f}")
    has_speed = "share" in result
    cells.append(f"{result['gflop_per_cpu_second']:.0f}" if has_speed else "–")
    cells.append(f"{result['share']:.0%}" if has_speed else "–")
    targets = [] if result["min_ratio"] is None else [f"{result['min_ratio']:g} x"]
    targets += [] if result["min_share"] is None else [f"{result['min_share']:.0%}"]
    cells += [", ".join(targets) or "–", {True: "yes", False: "no", None: "–"}[result["met"]]]
    return "| " + " | ".join(cells) + " |"


def memory_line(result):
    """Says in a sentence what an added component costs."""
    ours, yardstick, met = result["library"], result["yardstick"], "met" if result["met"] else "not met"
    return (
        f"An added component: {ours['beyond_weights_mb']:.2f} MB of resident memory beyond its own weights and "
        f"{ours['traces']} new traces (target at most {_AT_MOST_MB} MB and none: {met}); the model allocates "
        f"{ours['bank_mb']:.0f} MB for all components at the start. Yardstick: "
        f"{yardstick['beyond_weights_mb']:.1f} MB and {yardstick['traces']} traces."
    )


def compare_memory():
    """Measures what an added component takes, each contender in a fresh process; returns a dict for JSON."""
    results = {}
    for name, module in (("library", "library_ocm"), ("yardstick", "direct_ocm")):
        with Worker(module) as worker:
            results[name] = worker.call("added_component", _NUM_ADDED)
    ours = results["library"]
    return {**results, "met": ours["beyond_weights_mb"] <= _AT_MOST_MB and ours["traces"] == 0}


def main():
    """Measures, prints and writes everything."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7, help="rounds; medians over them are reported")
    parser.add_argument("--output", type=Path, help="JSON file for all figures")
    arguments = parser.parse_args()
    if arguments.rounds < 1:
        parser.error("--rounds must be at least 1")
    machine, results = describe_machine(), []
    with Worker("library_ocm") as library, Worker("direct_ocm") as direct:
        machine |= library.call("describe")
        print(f"{machine['cpu']}, {machine['cores']} cores, {', '.join(machine['flags'])}; {machine['images']}")
        print(f"TensorFlow {machine['versions']['tensorflow']}; medians of {arguments.rounds} rounds\n")
        print("| " + " | ".join(COLUMNS) + " |\n" + "|---" * len(COLUMNS) + "|")
        for comparison in COMPARISONS:
            results.append(compare(comparison, library, direct, arguments.rounds))
            print(table_line(results[-1]), flush=True)
    memory = compare_memory()
    print("\n" + "\n".join([*NOTES, memory_line(memory)]))
    if not machine["cpu_has_bfloat16"]:
        print("This CPU has no bfloat16 instructions: bf16 products are converted to fp32, and their targets are void.")
    machine["load_average_at_end"] = os.getloadavg()
    if arguments.output is not None:
        everything = {"machine": machine, "rounds": arguments.rounds, "kernels": results, "added_component": memory}
        arguments.output.write_text(json.dumps(everything, indent=1) + "\n")


if __name__ == "__main__":
    main()
