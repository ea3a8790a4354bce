"""Predicts what larger runs cost, from measured kernels and stated assumptions; puts the tables into PLANNING.md."""

import argparse
import json
import sys
from pathlib import Path
from typing import NamedTuple

from readme import replaced_between

from ocm_tf.experiments.ocm_config import PRESETS, OCMConfig
from ocm_tf.experiments.ocm_schedule import scheduled_long_term_size, scheduled_updates
from ocm_tf.experiments.script import run_script
from ocm_tf.files import write_atomically

BEGIN, END = "<!-- planning: begin -->", "<!-- planning: end -->"

# Assumptions, none of them measured here.
GPU_GFLOP_PER_SECOND = 4000.0  # a third of the fp32 peak of a card of 12 TFLOP/s
GPU_LAUNCH_MS = 1.0  # of an update: some 150 operations that take 5 to 10 microseconds to launch
START_UP_SECONDS = 20.0  # import, tracing, figures
BASE_MB = 800.0  # a process with TensorFlow and one data set


class Workload(NamedTuple):
    """A run to predict.

    Attributes:
        label: what the table calls it.
        config: `OCMConfig`.
        num_images: images of the stream.
        num_test: test images.
        pixels: values of an image.
        num_components: components during tests and evaluation; taken, not predicted.
    """

    label: str
    config: OCMConfig
    num_images: int
    num_test: int
    pixels: int
    num_components: int


WORKLOADS = (
    Workload("preset `small`", PRESETS["small"], 2000, 1000, 784, 4),
    Workload("preset `stream`", PRESETS["stream"], 60_000, 10_000, 784, 4),
    Workload("preset `paper`", PRESETS["paper"], 60_000, 10_000, 784, 5),
    Workload("`stream` on 1,000,000 images of 64 x 64 x 3", PRESETS["stream"], 1_000_000, 10_000, 12_288, 5),
)


def update_gflop(pixels, num_samples, batch_size=64, hidden=200, latent_dim=50):
    """Computes the matrix products of an update: three times those of the forward pass, 2 for each multiplication."""
    encoder = pixels * hidden + hidden * hidden + 2 * hidden * latent_dim
    decoder = latent_dim * hidden + hidden * hidden + hidden * pixels
    return 6e-9 * batch_size * (encoder + num_samples * decoder)


def bound_gflop(pixels, num_samples, hidden=200, latent_dim=50):
    """Computes the matrix products of an image's bound under one component, those of its posterior left out."""
    return 2e-9 * num_samples * (latent_dim * hidden + hidden * hidden + hidden * pixels)


def predict(workload, lines):
    """Predicts a run.

    Args:
        workload: `Workload`.
        lines: `{name: figures of a line}` as `run.py` writes them.

    Returns:
        dict: number of updates; hours on one core and on one GPU for training, tests for expansion and evaluation;
        resident memory in MB.
    """
    config, pixels = workload.config, workload.pixels
    num_batches = workload.num_images // config.batch_size
    updates = scheduled_updates(config, num_batches)
    stored = scheduled_long_term_size(config, num_batches)
    rounds = workload.num_images // config.short_term_capacity
    step = lines["step_50" if config.num_samples > 1 else "step_1"]
    training = updates * update_gflop(pixels, config.num_samples, config.batch_size)
    routing = config.routing_samples or config.eval_samples
    # Half of what is stored in the end, on the average over rounds.
    tests = rounds * (config.short_term_capacity + stored / 2) * workload.num_components
    tests *= bound_gflop(pixels, config.expansion_samples)
    evaluation = workload.num_test * bound_gflop(pixels, config.eval_samples + workload.num_components * routing)
    bounds_rate = lines["evaluation_1"]["gflop_per_cpu_second"]
    core = START_UP_SECONDS + training / step["gflop_per_cpu_second"] + (tests + evaluation) / bounds_rate
    gpu = START_UP_SECONDS + max(training / GPU_GFLOP_PER_SECOND, 1e-3 * GPU_LAUNCH_MS * updates)
    gpu += (tests + evaluation) / GPU_GFLOP_PER_SECOND
    return {
        "updates": updates,
        "core_hours": core / 3600,
        "gpu_hours": gpu / 3600,
        # The stream holds its images once as an array and once as a tensor; the step's tensors grow with the pixels.
        "resident_mb": BASE_MB + 2 * workload.num_images * pixels / 2**20 + step["ours"]["peak_mb"] * pixels / 784,
    }


def tables(lines):
    """Returns the tables in Markdown."""
    rows = ["| run | updates | hours, one core | hours, one GPU | memory, MB |", "|---|---:|---:|---:|---:|"]
    predicted = {workload.label: predict(workload, lines) for workload in WORKLOADS}
    for label, cost in predicted.items():
        rows.append(
            f"| {label} | {cost['updates']:,} | {cost['core_hours']:,.2f} | {cost['gpu_hours']:,.2f} | "
            f"{cost['resident_mb']:,.0f} |"
        )
    rows += ["", "| 100 runs of | hours on two cores, two at a time | hours on one GPU |", "|---|---:|---:|"]
    for label, cost in predicted.items():
        rows.append(f"| {label} | {50 * cost['core_hours']:,.1f} | {100 * cost['gpu_hours']:,.1f} |")
    constants = [
        f"{lines[name]['gflop_per_cpu_second']:.0f} GFLOP/s of a core in {what}"
        for name, what in (
            ("step_50", "a step of 50 draws"),
            ("step_1", "a step of one draw"),
            ("evaluation_1", "a bound"),
        )
    ]
    peaks = f"{lines['step_50']['ours']['peak_mb']:.0f} and {lines['step_1']['ours']['peak_mb']:.0f} MB"
    return "\n".join([*rows, "", f"Measured: {'; '.join(constants)}; the steps take {peaks} beyond the model."])


def main(argv=None):
    """Runs the script."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path, metavar="FILE.json", help="what run.py wrote, with its VAE lines")
    path = Path(__file__).with_name("PLANNING.md")
    parser.add_argument("--document", type=Path, default=path, help="default: benchmarks/PLANNING.md")
    arguments = parser.parse_args(argv)
    results = json.loads(arguments.results.read_text(encoding="utf-8"))
    lines = {line["name"]: line for line in results["lines"]}
    text = replaced_between(arguments.document.read_text(encoding="utf-8"), BEGIN, END, tables(lines))
    write_atomically(arguments.document, lambda path: path.write_text(text, encoding="utf-8"))


if __name__ == "__main__":
    sys.exit(run_script(main))
