"""Layers inside a configuration: made objects again, and built but once."""

from collections.abc import Mapping
from typing import Any

import keras

from ocm_tf.types import Shape


def deserialize_parts(config: dict[str, Any], custom_objects: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Returns a configuration in which Keras objects, which a file passes as dicts, are objects again."""
    return {
        name: keras.saving.deserialize_keras_object(value, custom_objects=custom_objects)
        if isinstance(value, dict) and "class_name" in value
        else value
        for name, value in config.items()
    }


def build_once(layer: keras.layers.Layer, input_shape: Shape) -> None:
    """Builds a layer, unless it came built out of a configuration: a second build raises an error."""
    if not layer.built:
        layer.build(input_shape)
