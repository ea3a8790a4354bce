"""Settings that the tests of models share."""

import pytest
import tensorflow as tf


@pytest.fixture
def in_graphs(eagerly):
    """Takes `eagerly` back for a test about graphs, or one of many steps."""
    tf.config.run_functions_eagerly(False)
