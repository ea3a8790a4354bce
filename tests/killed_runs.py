"""Short runs of the scripts in processes of their own, stopped at random and compared with runs never stopped."""

import dataclasses
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import h5py
import numpy as np

ROOT = Path(__file__).parents[1]
# What a busy machine may take for a process to start, or a run to end.
PATIENCE_SECONDS = 900
# A run may end before the signal reaches it. Outside of training SIGTERM ends a process as the system does.
STATUSES = {
    signal.SIGKILL: (-signal.SIGKILL, 0),
    signal.SIGTERM: (143, -signal.SIGTERM, 0),
    signal.SIGINT: (130, 0),
}


@dataclasses.dataclass(frozen=True)
class ScriptRun:
    """A short run of a script.

    Attributes:
        script: name of the script.
        settings: values for `--set`.
        preset: its preset.
        directory: where the script is, from the root of the repository.
    """

    script: str
    settings: tuple[str, ...]
    preset: str = "tiny"
    directory: str = "scripts"

    def command(self, output, *flags):
        """Returns the command that makes the run in the directory `output`."""
        script = ROOT / self.directory / f"{self.script}.py"
        shared = ["--preset", self.preset, "--quiet", "--threads", "1", "--output", output]
        return [sys.executable, *map(str, (script, *shared, *flags, "--set", *self.settings))]


# The settings make each of them a matter of seconds, and yet let all that has a state happen.
OCM = ("train_per_class=40", "test_per_class=10", "epochs_per_batch=1", "hidden_units=12", "latent_dim=2",
       "eval_samples=5", "expansion_samples=5", "expansion_threshold=1.5")  # fmt: skip
CLASSIFICATION = ("train_per_class=20", "test_per_class=10", "steps_per_batch=1", "hidden_units=8", "latent_dim=2",
                  "classifier_units=8", "eval_samples=2", "expansion_samples=2", "expansion_threshold=0.5",
                  "short_term_capacity=20", "memory_budget=60", "max_components=3")  # fmt: skip
DEMC = ("train_per_class=20", "test_per_class=10", "steps_per_batch=1", "width=0.1", "latent_dim=2", "batch_size=8",
        "minibatch_size=8", "temporary_capacity=24", "cluster_size=6", "max_clusters=4",
        "calibration=auto")  # fmt: skip
TFDSVIT = ("train_per_class=20", "test_per_class=10", "steps_per_batch=1", "embed_dim=4", "head_dim=3", "head_units=6",
           "vae_units=6", "latent_dim=2", "memory_capacity=16", "block_size=8", "threshold_scale=0.57")  # fmt: skip
GLR = ("num_experiences=3", "num_train=120", "num_test=50", "epochs=10", "margin=0", "buffer_size=40", "batch_size=16",
       "patience=10", "learning_rate=0.1")  # fmt: skip
MNEMONICS = ("train_per_class=6", "test_per_class=4", "epochs=3", "milestones=2", "outer_steps=2", "inner_steps=2",
             "batch_size=16", "base_classes=4", "classes_per_phase=6", "minibatches_per_step=1")  # fmt: skip

RUNS = {
    "ocm, single": ScriptRun("ocm_split_mnist", (*OCM, "dynamic=false")),
    "ocm, dynamic": ScriptRun("ocm_split_mnist", OCM),
    "ocm classification": ScriptRun("ocm_classification", CLASSIFICATION),
    "demc": ScriptRun("demc_split_mnist", DEMC),
    "tfdsvit": ScriptRun("tfdsvit_split_mnist", TFDSVIT),
    "glr, drawn in every step": ScriptRun("glr_rotated_mnist", (*GLR, "sampling=per_batch")),
    "glr, latent replay": ScriptRun("glr_rotated_mnist", (*GLR, "method=latent_replay", "collect=first_epoch")),
    "glr, replay": ScriptRun("glr_rotated_mnist", (*GLR, "method=replay")),
    "glr, ewc": ScriptRun("glr_rotated_mnist", (*GLR, "method=ewc")),
    "mnemonics, trained exemplars": ScriptRun("mnemonics_cifar100", (*MNEMONICS, "exemplars=mnemonics")),
    "mnemonics, lucir": ScriptRun("mnemonics_cifar100", (*MNEMONICS, "exemplars=herding", "method=lucir")),
    "mnemonics, bic": ScriptRun("mnemonics_cifar100", (*MNEMONICS, "exemplars=herding", "method=bic")),
}


def start(command, **options):
    """Starts a process that finds this package and writes what it says to pipes."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, env=environment, **pipes, **options)


def finish(command, **options):
    """Runs a process to its end; returns its exit status and what it wrote to standard error."""
    process = start(command, **options)
    _, errors = process.communicate(timeout=PATIENCE_SECONDS)
    return process.returncode, errors


def newest_change(directory):
    """Returns the time of the newest change among the files of a directory, in nanoseconds; 0 if there are none."""
    times = [0]
    for path in Path(directory).glob("*"):
        try:
            times.append(path.stat().st_mtime_ns)
        except FileNotFoundError:  # renamed meanwhile
            continue
    return max(times)


def wait_until(condition, process):
    """Waits until a condition holds or the process has ended."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition() and process.poll() is None:
        assert time.monotonic() < deadline, f"{process.args} does not go on"
        time.sleep(0.005)


def stop_at_random(run, output, number, rng, most_changes, every_seconds):
    """Starts a run, or resumes it, and sends it a signal at a random moment.

    The moment is counted in what the run has written, as a machine may be of any speed: behind some changes of its
    checkpoints, or of its directory before the first of them, and then up to a fifth of a second.

    Args:
        run: `ScriptRun`.
        output: its run directory.
        number: the signal.
        rng: `random.Random`.
        most_changes: most changes of the checkpoints to wait for.
        every_seconds: time between two checkpoints.

    Returns:
        Whether the signal came before the end of the run.
    """
    num_changes, delay = rng.randint(0, most_changes), rng.uniform(0, 0.2)
    watched = output / "checkpoint" if num_changes else output
    process = start(run.command(output, "--checkpoint-seconds", every_seconds, "--resume"))
    for _ in range(max(num_changes, 1)):
        before = newest_change(watched)
        wait_until(lambda before=before: newest_change(watched) > before, process)
    time.sleep(delay)
    process.send_signal(number)
    _, errors = process.communicate(timeout=PATIENCE_SECONDS)
    name = signal.Signals(number).name
    print(f"{name} {delay:.2f} s after change {num_changes} of the checkpoints: status {process.returncode}")
    assert process.returncode in STATUSES[number], errors
    if process.returncode in (130, 143):
        assert errors.splitlines()[-1].startswith("interrupted") and errors.endswith(" --resume\n"), errors
    assert "Traceback" not in errors, errors
    return not (output / "results.json").exists()


def run_through_stops(run, output, numbers, every_seconds=0):
    """Makes a run that each of some signals stops at a random moment; prints what repeats the moments.

    Args:
        run: `ScriptRun`.
        output: its run directory.
        numbers: the signals, one for each stop; None stands for SIGTERM or SIGINT.
        every_seconds: time between two checkpoints.
    """
    seed = int(os.environ.get("OCM_TF_FAULT_SEED", random.SystemRandom().randrange(2**32)))
    print(f"OCM_TF_FAULT_SEED={seed}")
    rng, most_changes = random.Random(seed), 4
    chosen = [number or rng.choice([signal.SIGTERM, signal.SIGINT]) for number in numbers]
    while not all(stop_at_random(run, output, number, rng, most_changes, every_seconds) for number in chosen):
        print("a signal came too late: all of them again, and sooner")
        shutil.rmtree(output)
        most_changes //= 2


def assert_same_run(output, expected):
    """Checks that two run directories hold the same numbers, weights and observations, bit for bit, but for times."""
    ours, theirs = (json.loads((path / "results.json").read_text(encoding="utf-8")) for path in (output, expected))
    for results in (ours, theirs):
        del results["wall_seconds"]
        results["metrics"] = {name: value for name, value in results["metrics"].items() if "seconds" not in name}
    assert ours == theirs
    ours, theirs = ((path / "metrics.csv").read_text(encoding="utf-8").splitlines() for path in (output, expected))
    assert [row for row in ours if "seconds" not in row] == [row for row in theirs if "seconds" not in row]
    for arrays_of in (weights_of, observations_of):
        ours, theirs = arrays_of(output), arrays_of(expected)
        assert ours.keys() == theirs.keys()
        for name, array in theirs.items():
            np.testing.assert_array_equal(ours[name], array, err_msg=name)


def weights_of(output):
    """Returns all arrays of a saved model by their path: weights, memories, states of the optimizers."""
    arrays = {}

    def take(name, item):
        if isinstance(item, h5py.Dataset):
            arrays[name] = item[()]

    with zipfile.ZipFile(output / "model.keras") as archive:
        content = io.BytesIO(archive.read("model.weights.h5"))
    with h5py.File(content) as file:
        file.visititems(take)
    assert arrays
    return arrays


def observations_of(output):
    """Returns the arrays of `observations.npz`, where a run leaves such a file."""
    path = output / "observations.npz"
    if not path.exists():
        return {}
    with np.load(path) as stored:
        return {name: stored[name] for name in stored.files if "seconds" not in name}
