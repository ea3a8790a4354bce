"""What a reader made of a file: a refusal in one clear line, a reading that is right, or a finding."""

import collections
import contextlib
import dataclasses
import reprlib
import resource
import shutil
import signal
import warnings
from collections.abc import Callable

import numpy as np

from ocm_tf.errors import UserError

REFUSED, ACCEPTED, OTHER = "refused", "accepted", "other"
# No example is larger than a few megabytes, nor takes longer than a second to read.
MOST_BYTES = 2 * 2**30
MOST_SECONDS = 60
LONGEST_MESSAGE = 8000


@dataclasses.dataclass(frozen=True)
class Target:
    """A kind of input with a whole example of it.

    Attributes:
        kind: what the table calls it.
        write: function of a folder that writes the example.
        mutate: function of that folder and a `numpy.random.Generator` that damages it in place, and returns the name
            of what was damaged.
        read: function of the folder that returns what the reader under test makes of it.
        is_right: function of the folder, the reading of the whole example and that of the damaged one, which says
            whether the latter is right.
        errors: the errors that are a refusal.
        names_the_file: whether a refusal must name what was damaged or where it lies.
        cost: how many inputs of the cheapest kind take as long as one of this.
    """

    kind: str
    write: Callable
    mutate: Callable
    read: Callable
    is_right: Callable
    errors: tuple = (UserError,)
    names_the_file: bool = True
    cost: int = 1


def is_same(folder, whole, reading):
    """Says that a reading tells what that of the whole example does, the only right one where there is a checksum."""
    return same(whole, reading)


def same(first, second):
    """Compares readings: arrays by type, shape and content, containers item by item, all else by type and `==`."""
    if type(first) is not type(second):
        return False
    if isinstance(first, np.ndarray):
        return first.dtype == second.dtype and np.array_equal(first, second, equal_nan=first.dtype.kind == "f")
    if isinstance(first, dict):
        return list(first) == list(second) and all(same(first[key], second[key]) for key in first)
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(same, first, second))
    return first == second


def judge(target, folder, whole, seed):
    """Damages the example in a folder and reads it.

    Args:
        target: `Target`, whose example the folder holds.
        folder: `pathlib.Path`.
        whole: the reading of the example as it was.
        seed: int.

    Returns:
        verdict: `REFUSED`, `ACCEPTED` or `OTHER`.
        finding: what is wrong, or "".
    """
    before = set(folder.parent.rglob("*"))
    damage = target.mutate(folder, np.random.default_rng(seed))
    before |= set(folder.rglob("*"))
    try:
        with limited(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            reading = target.read(folder)
    except target.errors as error:
        message = str(error)
        verdict, finding = REFUSED, ""
        if not message.strip() or "\n" in message or len(message) > LONGEST_MESSAGE:
            verdict, finding = OTHER, f"an unclear message: {message!r}"
        elif isinstance(error.__cause__ or error.__context__, MemoryError):
            verdict, finding = OTHER, f"memory asked for beyond the limit: {message}"
        elif target.names_the_file and damage not in message and str(folder) not in message:
            verdict, finding = OTHER, f"a message that names neither {damage} nor its folder: {message!r}"
    except (Exception, SystemExit, TookTooLongError) as error:
        verdict, finding = OTHER, f"{type(error).__name__}: {error}"
    else:
        verdict, finding = (ACCEPTED, "") if _is_right(target, folder, whole, reading) else (OTHER, "a wrong reading: ")
        finding = finding and finding + reprlib.repr(reading)
    strays = set(folder.parent.rglob("*")) - before - set(folder.rglob("*"))
    if strays:
        verdict, finding = OTHER, f"files outside the folder: {sorted(map(str, strays))}"
    return verdict, f"{damage}: {finding}" if finding else ""


def _is_right(target, folder, whole, reading):
    try:
        return target.is_right(folder, whole, reading)
    except (ValueError, KeyError, TypeError, AttributeError):
        # An independent look at the file finds nothing in it that could have been read.
        return False


def survey(target, tmp_path, num_inputs, seed=0):
    """Reads many damaged copies of a target's example.

    Args:
        target: `Target`.
        tmp_path: `pathlib.Path` of an empty folder.
        num_inputs: number of damaged copies.
        seed: int; each input has its own, derived from it.

    Returns:
        counts: `collections.Counter` of the verdicts.
        findings: list of one line for each verdict `OTHER`, with the seed of the input.
    """
    counts, findings = collections.Counter(), []
    example, whole_folder, folder = (tmp_path / name for name in ("example", "whole", "damaged"))
    example.mkdir()
    target.write(example)
    # Of a copy, since some readers change what they read.
    shutil.copytree(example, whole_folder)
    whole = target.read(whole_folder)
    for number in range(num_inputs):
        shutil.copytree(example, folder)
        verdict, finding = judge(target, folder, whole, [seed, number])
        shutil.rmtree(folder)
        counts[verdict] += 1
        if finding:
            findings.append(f"{target.kind}, seed {[seed, number]}, {finding}")
    return counts, findings


class TookTooLongError(BaseException):
    """Is no `Exception`, so that no reader takes it for a damaged file."""


@contextlib.contextmanager
def limited():
    """Makes a hang or an allocation far beyond the size of the examples an error."""

    def stop(*_):
        raise TookTooLongError(f"no answer within {MOST_SECONDS} s")

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/statm", encoding="ascii") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    previous = signal.signal(signal.SIGALRM, stop)
    signal.alarm(MOST_SECONDS)
    resource.setrlimit(resource.RLIMIT_AS, (used + MOST_BYTES, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)
