"""Runs as files: settings, run directories and what scripts share. Names are imported when first used."""

import importlib

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


def __getattr__(name):
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
