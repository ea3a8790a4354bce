"""Settings that all tests share."""

import os

from hypothesis import settings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
if "PYTEST_XDIST_WORKER" in os.environ:
    # Processes that share the cores gain nothing from threads of their own.
    for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(name, "1")

# The first example of a test may compile a graph, which takes longer than any deadline.
settings.register_profile("tensorflow", deadline=None, max_examples=40)
settings.load_profile("tensorflow")
