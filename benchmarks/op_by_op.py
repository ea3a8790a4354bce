"""The yardstick of models whose step is one graph: the same step, each operation dispatched from Python."""

import contextlib
import warnings

import tensorflow as tf
from measuring import Part


def op_by_op(parts):
    """Returns the parts such that no graph is made of what they run."""

    def eager(run):
        def run_eagerly():
            with _eagerly():
                return run()

        return run_eagerly

    return [Part(eager(part.run), part.weight) for part in parts]


@contextlib.contextmanager
def _eagerly():
    # Pipelines of tf.data stay graphs, as they should.
    warnings.filterwarnings("ignore", message=".*does not apply to tf.data functions.*")
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(False)
