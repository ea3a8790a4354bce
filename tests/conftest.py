"""Settings that all tests share."""

import os

import pytest
from hypothesis import settings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
if "PYTEST_XDIST_WORKER" in os.environ:
    # Processes that share the cores gain nothing from threads of their own.
    for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(name, "1")

# The first example of a test may compile a graph, which takes longer than any deadline.
settings.register_profile("tensorflow", deadline=None, max_examples=40)
settings.load_profile("tensorflow")


def pytest_configure(config):
    path = os.environ.get("OCM_TF_FAULTS")
    if path and not hasattr(config, "workerinput"):
        from tests.fault_table import FaultTable

        config.pluginmanager.register(FaultTable(path))


def pytest_runtest_setup(item):
    # Properties of a test come back from the processes of pytest-xdist, marks do not.
    for mark in item.iter_markers("fault"):
        item.user_properties.append(("fault", [*mark.args, mark.kwargs.get("times", 1)]))


@pytest.fixture
def eagerly():
    """Runs compiled functions op by op, as tracing one takes longer than the few steps of a test."""
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)
