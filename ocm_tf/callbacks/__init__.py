"""What happens between training steps. Names are imported when first used, most of them with TensorFlow."""

from ocm_tf.lazy import lazy_attributes

_MODULES = {
    "BestState": "best_state",
    "Checkpoint": "checkpoint",
    "ClusterExpansion": "cluster_expansion",
    "DivergenceGuard": "divergence_guard",
    "EnergyExpansion": "energy_expansion",
    "Expansion": "expansion",
    "ExperienceCheckpoint": "experience_checkpoint",
    "Interrupted": "interruption",
    "IntervalExpansion": "interval_expansion",
    "MemoryTransfer": "memory_transfer",
    "Progress": "progress",
    "ReservoirTransfer": "reservoir_transfer",
    "restore_state": "training_state",
    "save_state": "training_state",
}

__all__ = list(_MODULES)
__getattr__ = lazy_attributes(__name__, _MODULES)
