"""Measures the library's kernels beside direct implementations and peers, in alternating rounds of one run.

Contenders run in processes of their own, turn and turn about. CPU time decides, since on a busy machine it repeats
where time on the clock does not. The yardsticks are short direct implementations, one graph call or one sample at a
time. Peers are packages from PyPI (`pip install -e ".[benchmark]"`); one that is not installed is said to be so.
"""

import argparse
import contextlib
import importlib.util
import os
from pathlib import Path

from lines import LINES, NOTES, PEERS
from measuring import Worker, describe_machine
from rich.console import Console
from rich.table import Table
from table import COLUMNS, cells, component_line, evaluate

from ocm_tf.files import write_json

# Target for the resident memory of an added component beyond its own weights, and how many are added to measure it.
_AT_MOST_MB, _NUM_ADDED = 1.5, 24
COMPONENT = "added_component"


class Contenders:
    """The processes that measure, each started when it is first needed.

    Use it as a context manager.

    Args:
        threads: CPU threads of one operation.
        quick: whether sizes are the smallest; ours and the yardsticks then share a process, which starts sooner.
    """

    def __init__(self, threads, quick):
        self.threads, self.quick = threads, quick
        self.stack, self.workers = contextlib.ExitStack(), {}

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return self.stack.__exit__(*error)

    def worker(self, name):
        """Returns the `Worker` of `"ours"`, `"yardstick"`, or a peer."""
        if PEERS.get(name, "tensorflow") == "tensorflow" and self.quick:
            name = "ours"
        if name not in self.workers:
            worker = Worker(PEERS.get(name, "tensorflow"), self.threads, self.quick)
            self.workers[name] = self.stack.enter_context(worker)
        return self.workers[name]

    def why_absent(self, peer, kernel):
        """Says why a peer cannot be measured, or returns None."""
        if importlib.util.find_spec(peer) is None:
            return "not installed"
        error = self.worker(peer).call("measuring", "import_error", kernel.partition(".")[0])
        return None if error is None else f"cannot be imported: {error}"

    def measure(self, line, rounds):
        """Measures one line and returns its figures, see `table.evaluate`."""
        kernels = {"ours": line.kernel, "yardstick": line.yardstick, **line.peers}
        kernels["matmul"] = None if line.gflop is None else line.matmul
        reasons = {name: self.why_absent(name, kernel) for name, kernel in line.peers.items()}
        absent = {name: reason for name, reason in reasons.items() if reason is not None}
        workers = {
            name: (self.worker("ours" if name == "matmul" else name), kernel)
            for name, kernel in kernels.items()
            if kernel is not None and name not in absent
        }
        costs = {name: [] for name in workers}
        for turn in range(rounds):
            for name in workers if turn % 2 == 0 else reversed(workers):
                worker, kernel = workers[name]
                costs[name].append(worker.measure(kernel))
        for worker, kernel in workers.values():
            worker.forget(kernel)
        return evaluate(line, {**costs, **absent})


def measure_component(threads, num_added):
    """Measures what an added component takes, each contender in a fresh process; returns a dict for JSON."""
    results = {}
    for name, module in (("ours", "vae"), ("yardstick", "direct_vae")):
        with Worker(threads=threads) as worker:
            results[name] = worker.call(module, "added_component", num_added)
    ours = results["ours"]
    met = ours["beyond_weights_mb"] <= _AT_MOST_MB and ours["traces"] == 0
    return {**results, "at_most_mb": _AT_MOST_MB, "met": met}


def parse(argv=None):
    """Parses the command line."""
    names = [line.name for line in LINES]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--only", nargs="+", metavar="NAME", choices=[*names, COMPONENT], default=[*names, COMPONENT],
        help=f"some of: {', '.join(names)}, {COMPONENT}")  # fmt: skip
    add("--rounds", type=int, default=5, help="rounds; medians over them are reported (default: 5)")
    add("--threads", type=int, default=1, help="CPU threads of one operation, for all contenders (default: 1)")
    add("--quick", action="store_true", help="smallest sizes: shows that all runs, measures nothing of worth")
    add("--output", type=Path, metavar="FILE.json", help="file for all figures")
    arguments = parser.parse_args(argv)
    if arguments.rounds < 1 or arguments.threads < 1:
        parser.error("--rounds and --threads must be at least 1")
    return arguments


def show(console, results):
    """Prints the table."""
    table = Table(*COLUMNS)
    for result in results:
        table.add_row(*cells(result))
    console.print(table)


def main(argv=None):
    """Measures, prints and writes everything; returns it as a dict."""
    arguments = parse(argv)
    console = Console(width=None if os.isatty(1) else 180)
    everything = {"machine": describe_machine(), "settings": {**vars(arguments), "output": None}, "lines": []}
    with Contenders(arguments.threads, arguments.quick) as contenders:
        everything["machine"] |= contenders.worker("ours").call("vae", "describe")
        for line in LINES:
            if line.name in arguments.only:
                everything["lines"].append(contenders.measure(line, arguments.rounds))
                console.print("  ".join(cells(everything["lines"][-1])[:2]), style="dim")
    if COMPONENT in arguments.only:
        everything[COMPONENT] = measure_component(arguments.threads, 2 if arguments.quick else _NUM_ADDED)
    everything["machine"]["load_average_at_end"] = os.getloadavg()
    show(console, everything["lines"])
    console.print("\n".join(NOTES))
    if COMPONENT in everything:
        console.print(component_line(everything[COMPONENT]))
    if not everything["machine"]["cpu_has_bfloat16"]:
        console.print("This CPU has no bfloat16 instructions: such products are converted, and their targets are void.")
    if arguments.output is not None:
        write_json(arguments.output, everything)
    return everything


if __name__ == "__main__":
    main()
