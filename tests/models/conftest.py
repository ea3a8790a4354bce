"""Settings that the tests of models share."""

import pytest
import tensorflow as tf


@pytest.fixture
def eagerly():
    """Runs compiled functions op by op, as tracing one takes longer than the few steps of a test."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture
def in_graphs(eagerly):
    """Takes `eagerly` back for a test about graphs, or one of many steps."""
    tf.config.run_functions_eagerly(False)
