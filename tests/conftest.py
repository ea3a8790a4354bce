"""Settings that all tests share."""

import os

from hypothesis import settings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

# The first example of a test may compile a graph, which takes longer than any deadline.
settings.register_profile("tensorflow", deadline=None, max_examples=40)
settings.load_profile("tensorflow")
