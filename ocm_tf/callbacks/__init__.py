"""What happens between training steps. Names are imported when first used, most of them with TensorFlow."""

import importlib

_MODULES = {
    "Checkpoint": "checkpoint",
    "DivergenceGuard": "divergence_guard",
    "Expansion": "expansion",
    "Interrupted": "interruption",
    "MemoryTransfer": "memory_transfer",
    "Progress": "progress",
    "ReservoirTransfer": "reservoir_transfer",
    "restore_state": "training_state",
    "save_state": "training_state",
}

__all__ = list(_MODULES)


def __getattr__(name):
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
