"""Measures kernels in worker processes, turn and turn about, by the CPU time they take."""

import contextlib
import importlib
import multiprocessing
import os
import platform
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from ocm_tf.quiet import import_tensorflow

_RELEVANT_FLAGS = ("avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16")

WARM_UP = 4
"""Components added before memory is measured."""


class Part(NamedTuple):
    """A piece of work and the factor from its cost to that of one unit (a step, an image, a round).

    Attributes:
        run: function without arguments that does the work and waits for its result.
        weight: 1 / n for n units of work, above 1 for a sub-sample that is scaled up.
    """

    run: Callable
    weight: float


class Cost(NamedTuple):
    """What one unit took: milliseconds in the process, in the system on its behalf and on the clock, and memory.

    Attributes:
        user, system, wall: milliseconds.
        peak_mb: most resident memory during the work beyond that before the kernel was built, in MB of 2**20 bytes;
            None where the system does not tell.
    """

    user: float
    system: float
    wall: float
    peak_mb: float | None = None

    @property
    def cpu(self):
        """CPU time of all threads: user and system."""
        return self.user + self.system


def measure(parts, held_mb=0.0):
    """Runs all parts once and returns their weighted `Cost`; `held_mb` is the memory that is not theirs."""
    total = (0.0, 0.0, 0.0)
    _forget_peak()
    for part in parts:
        before, start = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
        part.run()
        wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF)
        spent = (after.ru_utime - before.ru_utime, after.ru_stime - before.ru_stime, wall)
        total = [sum_ + 1e3 * part.weight * time_ for sum_, time_ in zip(total, spent, strict=True)]
    peak = _peak_mb()
    # What was held before may have been given back since.
    return Cost(*total, None if peak is None else max(0.0, peak - held_mb))


def median_cost(costs):
    """Returns the median `Cost`, each of its figures by itself."""
    return Cost(*(None if None in figures else statistics.median(figures) for figures in zip(*costs, strict=True)))


class Worker:
    """A process that measures kernels of modules; so contenders share no thread and no memory pool.

    Use it as a context manager. A module offers `KERNELS`, functions by name of whether sizes are to be the smallest,
    each of which returns a list of `Part`.

    Args:
        framework: `"tensorflow"` or `"torch"`, whose threads are set before anything else.
        threads: CPU threads of one operation.
        quick: whether kernels are built in their smallest size.
    """

    def __init__(self, framework="tensorflow", threads=1, quick=False):
        context = multiprocessing.get_context("spawn")
        self.connection, self.far_end = context.Pipe()
        self.process = context.Process(target=_serve, args=(self.far_end, framework, threads, quick), daemon=True)

    def __enter__(self):
        self.process.start()
        # Held open here, it would keep `recv` waiting for a process that has died.
        self.far_end.close()
        return self

    def __exit__(self, *error):
        with contextlib.suppress(OSError):
            self.connection.send(None)
        self.process.join()

    def call(self, module, function, *arguments):
        """Calls a function of a module in the process and returns its result.

        Raises:
            RuntimeError: if the process has died, or the call fails there.
        """
        try:
            self.connection.send((module, function, arguments))
            result, error = self.connection.recv()
        except (OSError, EOFError) as broken:
            raise RuntimeError(f"The process that was to run {module}.{function} has ended.") from broken
        if error is not None:
            raise RuntimeError(f"{module}.{function}{arguments} failed: {error}")
        return result

    def measure(self, kernel):
        """Returns the `Cost` of a kernel, `"module.name"`; the first time it is built and run once to warm up."""
        return Cost(*self.call("measuring", "_measure_kernel", kernel))

    def forget(self, kernel):
        """Gives up what a kernel holds."""
        self.call("measuring", "_forget_kernel", kernel)


def _serve(connection, framework, threads, quick):
    if framework == "torch":
        import torch

        torch.set_num_threads(threads)
    else:
        import_tensorflow(threads)
    kernels = {}

    def measure_kernel(path):
        if path not in kernels:
            module, name = path.split(".")
            module, held = importlib.import_module(module), resident_mb()
            kernels[path] = module.KERNELS[name](quick), held
            measure(kernels[path][0])
        return tuple(measure(*kernels[path]))

    own = {"_measure_kernel": measure_kernel, "_forget_kernel": lambda path: kernels.pop(path, None) and None}
    while (request := connection.recv()) is not None:
        module, function, arguments = request
        try:
            call = own.get(function) or getattr(importlib.import_module(module), function)
            connection.send((call(*arguments), None))
        except Exception as error:  # told to the parent, which raises it
            connection.send((None, repr(error)))


def import_error(module):
    """Returns what a module, or one that it needs, answers to its import instead of being there; None if it is."""
    try:
        importlib.import_module(module)
    except ImportError as error:
        return str(error)
    return None


def resident_mb():
    """Returns the resident memory of this process in MB of 2**20 bytes, with all freed memory given back; Linux."""
    import ctypes
    import gc

    gc.collect()
    with contextlib.suppress(AttributeError):  # not glibc
        ctypes.CDLL(None).malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _forget_peak():
    """Makes the system count the peak of the resident memory from now on, where it can (Linux)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak_mb():
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 2**10
    return None


def describe_machine():
    """Returns CPU model, cores, relevant instruction sets and load of this machine, as a dict for JSON."""
    fields = {}
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        fields = dict([part.strip() for part in line.split(":", 1)] for line in reversed(lines) if ":" in line)
    flags = fields.get("flags", "").split()
    return {
        "cpu": fields.get("model name", platform.processor()),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "flags": [flag for flag in _RELEVANT_FLAGS if flag in flags],
        "cpu_has_bfloat16": any(flag in flags for flag in ("avx512_bf16", "amx_bf16")),
        "load_average": os.getloadavg(),
    }
