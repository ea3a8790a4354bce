"""How much memory is free, asked before much is taken: a process that takes too much is killed without a word."""

from pathlib import Path

from ocm_tf.errors import UserError

_MEMORY_FILE, _GROUP_FILE, _GROUPS = Path("/proc/meminfo"), Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")
# Less is never refused: what the system reports as free wavers by more.
_LEAST_ASKED = 2**26


def require_memory(num_bytes, arithmetic):
    """Refuses what does not fit into the memory that is free now.

    Args:
        num_bytes: bytes to be taken.
        arithmetic: what takes them and how their number comes about, such as "a memory of 5 samples x 64 bytes".

    Raises:
        UserError: if there are fewer; the message states both numbers.
    """
    if num_bytes < _LEAST_ASKED:
        return
    free = free_bytes()
    if free is not None and num_bytes > free:
        raise UserError(
            f"{arithmetic} needs {num_bytes:,} bytes ({num_bytes / 1e9:.1f} GB) of memory, but only {free:,} "
            f"({free / 1e9:.1f} GB) are free: make it smaller, or free some"
        )


def free_bytes():
    """Returns the bytes of memory this process may still take, or None where the system does not say (not Linux)."""
    try:
        fields = dict(line.split(":") for line in _MEMORY_FILE.read_text(encoding="ascii").splitlines())
        of_machine = 1024 * int(fields["MemAvailable"].split()[0])
    except (OSError, ValueError, KeyError):
        return None
    of_group = _free_bytes_of_group()
    return of_machine if of_group is None else min(of_machine, of_group)


def _free_bytes_of_group():
    """Returns what the limit of the process' control group leaves (version 2: containers, Slurm), None without one."""
    try:
        group = _GROUPS / _GROUP_FILE.read_text(encoding="utf-8").strip().rpartition("::/")[2]
        limit, used = (int((group / f"memory.{name}").read_text(encoding="ascii")) for name in ("max", "current"))
        fields = dict(line.split() for line in (group / "memory.stat").read_text(encoding="ascii").splitlines())
    except (OSError, ValueError):  # also where the limit is the word "max"
        return None
    # Cached files count as used, and make room when it is needed.
    return max(limit - used + int(fields.get("inactive_file", 0)), 0)
