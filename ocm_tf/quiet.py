"""Starting TensorFlow without the lines it writes to the terminal."""

import os
import tempfile


def import_tensorflow():
    """Imports TensorFlow and finds its devices; what its libraries write on the way is shown only if that fails.

    On a machine without a GPU they report a missing one several times over, before any log level takes effect.

    Returns:
        The module `tensorflow`.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as written:
        os.dup2(written.fileno(), 2)
        try:
            import tensorflow as tf

            tf.config.list_physical_devices()
        except BaseException:
            written.seek(0)
            os.write(terminal, written.read())
            raise
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)
    return tf
