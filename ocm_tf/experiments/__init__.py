"""Runs as files: settings, run directories and what scripts share. Names are imported when first used."""

from ocm_tf.lazy import lazy_attributes

_MODULES = {
    "Arguments": "settings",
    "MetricsTable": "metrics_table",
    "RunDirectory": "run_directory",
    "parse_arguments": "settings",
    "read_metrics": "metrics_table",
    "run_script": "script",
    "setting": "settings",
}

__all__ = list(_MODULES)
__getattr__ = lazy_attributes(__name__, _MODULES)
