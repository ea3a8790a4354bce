"""Configurations that hold Keras objects."""

import keras


def deserialize_parts(config, custom_objects=None):
    """Returns a configuration in which Keras objects, which a file passes as dicts, are objects again."""
    return {
        name: keras.saving.deserialize_keras_object(value, custom_objects=custom_objects)
        if isinstance(value, dict) and "class_name" in value
        else value
        for name, value in config.items()
    }
