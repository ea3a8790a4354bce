"""Data sets by name: loading, preparation and what is known of each.

`load("digits")` always works; the others are prepared once by `python -m ocm_tf.data prepare NAME`. `load_domains`
takes several names joined by "+".
"""

from ocm_tf.data.dataset import Dataset
from ocm_tf.data.dataset_spec import DatasetSpec
from ocm_tf.data.domains import describe_sources, domain_names, load_domains
from ocm_tf.data.loading import load, load_index
from ocm_tf.data.preparation import available, is_prepared, prepare
from ocm_tf.data.split import Split
from ocm_tf.data.transforms import shrink

__all__ = [
    "Dataset",
    "DatasetSpec",
    "Split",
    "available",
    "describe_sources",
    "domain_names",
    "is_prepared",
    "load",
    "load_domains",
    "load_index",
    "prepare",
    "shrink",
]
