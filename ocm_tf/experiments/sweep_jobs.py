"""Runs of a grid as jobs of submitit: processes of this machine, or jobs of a Slurm cluster."""

import collections
import contextlib
import datetime
import os
import signal
import subprocess
import sys
import time

from ocm_tf.errors import UserError
from ocm_tf.experiments.sweep import is_finished

_A_YEAR = 60 * 24 * 365
_POLL_SECONDS = 1.0


class ScriptJob:
    """Runs a script in a process of its own; what submitit pickles and, after a time limit, puts in the queue again.

    Args:
        command: the script and its arguments. It is run by the interpreter that runs the sweep.
    """

    def __init__(self, command):
        self.command = [sys.executable, *command]
        self._process = None

    def __call__(self):
        """Runs the script to its end; returns its exit status and the last line it wrote to standard error."""
        if os.environ.get("SUBMITIT_EXECUTOR") == "local":
            # submitit lets SIGTERM pass, which clusters send before the signal to requeue; here it stops the sweep.
            signal.signal(signal.SIGTERM, lambda *_: self._process.terminate())
        self._process = subprocess.Popen(self.command, stderr=subprocess.PIPE, text=True, errors="replace")
        last = ""
        try:
            for line in self._process.stderr:
                sys.stderr.write(line)
                last = line.strip() or last
            return self._process.wait(), last
        except BaseException:
            self._stop()
            raise

    def checkpoint(self):
        """Stops the script, which saves its state, and returns the job to be run again; called by submitit."""
        from submitit.helpers import DelayedSubmission

        self._stop()
        return DelayedSubmission(ScriptJob(self.command[1:]))

    def _stop(self):
        if self._process.poll() is None:
            self._process.terminate()
            self._process.wait()

    def __getstate__(self):
        # A process cannot be pickled.
        return {"command": self.command, "_process": None}


def make_executor(cluster, folder, hours=None, partition=None, memory_gb=None, threads=1, jobs=1):
    """Makes the submitit executor of a sweep.

    Args:
        cluster: `"local"` or `"slurm"`.
        folder: directory for what submitit writes: scripts, logs and results of jobs.
        hours: time limit of a run, after which it is stopped and put in the queue again, to go on from its
            checkpoint; None is a year on this machine, and a day on a cluster.
        partition: Slurm's partition, or None for its default.
        memory_gb: memory of a run on a cluster, or None for its default.
        threads: processors of a run on a cluster.
        jobs: most runs at a time.

    Raises:
        UserError: if submitit is not installed, or there is no Slurm here.
    """
    try:
        import submitit
    except ImportError as error:
        raise UserError("a sweep needs submitit: pip install 'ocm_tf[sweep]'") from error
    try:
        executor = submitit.AutoExecutor(folder, cluster=cluster, slurm_max_num_timeout=100, local_max_num_timeout=100)
    except (RuntimeError, OSError) as error:
        raise UserError(f"cannot use cluster {cluster}: {error}") from None
    minutes = (24 * 60 if cluster == "slurm" else _A_YEAR) if hours is None else max(round(60 * hours), 1)
    executor.update_parameters(timeout_min=minutes, name="ocm_tf")
    if cluster == "slurm":
        executor.update_parameters(cpus_per_task=threads, slurm_array_parallelism=jobs)
        if partition is not None:
            executor.update_parameters(slurm_partition=partition)
        if memory_gb is not None:
            executor.update_parameters(mem_gb=memory_gb)
    return executor


def make_all(runs, executor, jobs, flags, say=print, all_at_once=False):
    """Makes the runs of a grid; skips what is finished and resumes what is not. A run that fails stops no other.

    Args:
        runs: list of `SweepRun`.
        executor: submitit executor, as `make_executor` returns.
        jobs: most runs at a time.
        flags: arguments added to each command, such as `["--threads", "1"]`.
        say: called with one line of text whenever a run ends.
        all_at_once: whether to hand all runs to the queue at the start, as one array; they then go on without this
            process.

    Returns:
        `{name of the run: message}` of the runs that failed.
    """
    failures, waiting = {}, collections.deque()
    for run in runs:
        try:
            if not is_finished(run):
                waiting.append(run)
        except UserError as error:
            failures[run.name] = str(error)
            say(f"{run.name}: failed: {error}")
    if len(waiting) < len(runs):
        say(f"{len(runs) - len(waiting) - len(failures)} of {len(runs)} runs finished before")
    total, began, done, running = len(waiting), time.monotonic(), 0, {}

    def job_of(run):
        return ScriptJob([*run.command, "--output", str(run.output), "--resume", "--quiet", *flags])

    with _terminating(running):
        if all_at_once and waiting:
            with executor.batch():
                submitted = [executor.submit(job_of(run)) for run in waiting]
            running.update(zip(waiting, submitted, strict=True))
            waiting.clear()
            say(f"{len(running)} jobs are in the queue, where Ctrl-C leaves them")
        while waiting or running:
            while waiting and len(running) < jobs:
                run = waiting.popleft()
                running[run] = executor.submit(job_of(run))
            time.sleep(_POLL_SECONDS)
            for run, job in list(running.items()):
                if not job.done():
                    continue
                del running[run]
                done += 1
                message = _failure(run, job)
                left = (time.monotonic() - began) / done * (total - done)
                text = "done" if message is None else f"failed: {message}"
                say(f"[{done}/{total}] {run.name}: {text}" + _eta(left))
                if message is not None:
                    failures[run.name] = message
    return failures


def _eta(seconds):
    return f"  ETA {datetime.timedelta(seconds=round(seconds))}" if seconds > 0 else ""


def _failure(run, job):
    """Returns why an ended job did not leave a finished run, or None if it did."""
    try:
        status, last_line = job.result()
    except Exception as error:
        # A worker that died, was cancelled or ran out of time too often; submitit has many errors for these.
        return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
    if status:
        return last_line or f"exit status {status}"
    return None if is_finished(run) else "ended without results"


@contextlib.contextmanager
def _terminating(running):
    """Stops the jobs of this machine when the sweep is stopped; each saves its state first."""

    def stop(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    except BaseException:
        for job in running.values():
            if type(job).__name__ == "LocalJob" and not job.done():
                # `cancel` would kill the script before it has saved its state. The id is that of the process.
                os.kill(int(job.job_id), signal.SIGTERM)
        raise
    finally:
        signal.signal(signal.SIGTERM, before)
