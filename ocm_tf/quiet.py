"""Starting TensorFlow without the lines it writes to the terminal."""

import contextlib
import os
import re
import sys
import tempfile

from ocm_tf.errors import UserError

# Written before any log level takes effect: notices, warnings, and several reports that there is no GPU.
_NOISE = re.compile(r"(WARNING: All log messages before absl|[IW]\d{4} |\d{4}-\d\d-\d\d .*: [IW] |.*\bcuInit\b)")


def import_tensorflow(threads=None):
    """Imports TensorFlow and finds its devices, passing on only what does not belong to its usual chatter.

    Args:
        threads: CPU threads that one operation may use; None leaves it to TensorFlow. It takes effect only before the
            first operation of a process.

    Returns:
        The module `tensorflow`.

    Raises:
        UserError: if it cannot be imported.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with contextlib.nullcontext() if "tensorflow" in sys.modules else _without_noise():
        try:
            import tensorflow as tf
        except ImportError as error:
            raise UserError(f"TensorFlow cannot be imported ({error}): pip install -r requirements.txt") from error
        if threads is not None:
            tf.config.threading.set_intra_op_parallelism_threads(threads)
            # Independent operations would otherwise run on further threads.
            tf.config.threading.set_inter_op_parallelism_threads(threads)
        tf.config.list_physical_devices()
    return tf


@contextlib.contextmanager
def _without_noise():
    # Its libraries write to the file descriptor itself, not to Python's `sys.stderr`.
    try:
        original = os.dup(2)
    except OSError:  # no such stream, so nothing to quieten
        yield
        return
    with tempfile.TemporaryFile() as held_back:
        os.dup2(held_back.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(original, 2)
            os.close(original)
            held_back.seek(0)
            for line in held_back.read().decode(errors="replace").splitlines(keepends=True):
                if not _NOISE.match(line):
                    sys.stderr.write(line)
