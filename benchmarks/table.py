"""The figures of a benchmark as a table: computed from costs, formatted for a terminal and for Markdown."""

import statistics
from dataclasses import asdict

from measuring import median_cost

COLUMNS = (
    "kernel",
    "ours, CPU ms",
    "wall ms",
    "peak MB",
    "yardstick, CPU ms",
    "x yardstick",
    "x peer",
    "GFLOP/s",
    "share of peak",
    "target",
    "met",
)


def evaluate(line, costs):
    """Turns the costs of all rounds into the figures of one line.

    Args:
        line: a `Line`.
        costs: `{contender: list of Cost}` with the contenders `"ours"`, `"yardstick"`, `"matmul"` and the names of the
            line's peers, as far as they were measured; or for a peer a text that says why it was not.

    Returns:
        dict for JSON: medians over rounds of times in milliseconds and of the peak memory; medians of the ratios of a
        contender's CPU time to ours; GFLOP per CPU second and its share of the peak; whether the targets are met, None
        without any.
    """
    measured = {name: values for name, values in costs.items() if not isinstance(values, str)}
    # Round by round, since within a round the machine is alike for all.
    ratios = {name: _median_ratio(values, costs["ours"]) for name, values in measured.items() if name != "ours"}
    result = {
        **asdict(line),
        **{name: {**median._asdict(), "cpu": median.cpu} for name, median in _medians(measured).items()},
        "absent": {name: reason for name, reason in costs.items() if isinstance(reason, str)},
        "ratio": ratios.get("yardstick"),
        "peer_ratios": {name: ratios[name] for name in line.peers if name in ratios},
        "rounds": {name: [cost.cpu for cost in values] for name, values in measured.items()},
    }
    if line.gflop is not None:
        result["gflop_per_cpu_second"] = 1e3 * line.gflop / result["ours"]["cpu"]
        result["peak_gflop_per_cpu_second"] = 1e3 / result["matmul"]["cpu"]
        result["share"] = line.gflop * ratios["matmul"]
    peer_targets = [] if line.min_peer is None else [(ratio, line.min_peer) for ratio in result["peer_ratios"].values()]
    targets = [(result["ratio"], line.min_ratio), (result.get("share"), line.min_share), *peer_targets]
    met = [value >= target for value, target in targets if target is not None and value is not None]
    return {**result, "met": all(met) if met else None}


def _medians(measured):
    return {name: median_cost(values) for name, values in measured.items()}


def _median_ratio(theirs, ours):
    return statistics.median(their.cpu / our.cpu for their, our in zip(theirs, ours, strict=True))


def cells(result):
    """Formats the figures of one line as texts, in the order of `COLUMNS`."""
    ours, yardstick = result["ours"], result.get("yardstick")
    has_yardstick, has_share = isinstance(yardstick, dict), "share" in result
    peers = [f"{_ratio(ratio)} {name}" for name, ratio in result["peer_ratios"].items()]
    peers += [f"{name} {reason}" for name, reason in result["absent"].items()]
    targets = [] if result["min_ratio"] is None else [f"{result['min_ratio']:g} x"]
    targets += [] if result["min_peer"] is None else [f"{result['min_peer']:g} x peer"]
    targets += [] if result["min_share"] is None else [f"{result['min_share']:.0%}"]
    return [
        result["label"],
        _milliseconds(ours["cpu"]),
        _milliseconds(ours["wall"]),
        "–" if ours["peak_mb"] is None else f"{ours['peak_mb']:,.0f}",
        _milliseconds(yardstick["cpu"]) if has_yardstick else "–",
        _ratio(result["ratio"]) if has_yardstick else "–",
        ", ".join(peers) or "–",
        f"{result['gflop_per_cpu_second']:.0f}" if has_share else "–",
        f"{result['share']:.0%}" if has_share else "–",
        ", ".join(targets) or "–",
        {True: "yes", False: "no", None: "–"}[result["met"]],
    ]


def _milliseconds(value):
    return f"{value:,.1f}" if value >= 1 else f"{value:.3f}"


def _ratio(value):
    return f"{value:.2f}" if value < 10 else f"{value:,.0f}"


def markdown(results):
    """Formats the figures of many lines as a table in Markdown."""
    rows = [COLUMNS, ("---", *("---:",) * (len(COLUMNS) - 3), "---", "---"), *map(cells, results)]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def component_line(result):
    """Says in a sentence what an added component costs."""
    ours, yardstick = result["ours"], result["yardstick"]
    return (
        f"An added component: {ours['beyond_weights_mb']:.2f} MB of resident memory beyond its own weights and "
        f"{ours['traces']} new traces (target at most {result['at_most_mb']} MB and none: "
        f"{'met' if result['met'] else 'not met'}); the model allocates {ours['bank_mb']:.0f} MB for all components at "
        f"the start. Yardstick: {yardstick['beyond_weights_mb']:.1f} MB and {yardstick['traces']} traces."
    )
