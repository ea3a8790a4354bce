"""Starting TensorFlow without the lines it writes to the terminal."""

import contextlib
import os
import re
import sys
import tempfile

from ocm_tf.errors import UserError

# Written before any log level takes effect: notices, warnings, and several reports that there is no GPU.
_NOISE = re.compile(r"(WARNING: All log messages before absl|[IW]\d{4} |\d{4}-\d\d-\d\d .*: [IW] |.*\bcuInit\b)")


def import_tensorflow():
    """Imports TensorFlow and finds its devices, passing on only what does not belong to its usual chatter.

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
