"""Optimizers beyond those of Keras."""

from ocm_tf.optimizers.fused_adam import FusedAdam

__all__ = ["FusedAdam"]
