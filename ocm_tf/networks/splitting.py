"""Cutting a classifier into the part that freezes and the part that goes on learning."""

import keras


def split_at(model: keras.Model, layer_name: str, flatten: bool = False) -> tuple[keras.Model, keras.Model]:
    """Cuts a functional model behind a layer; both parts share the model's weights.

    Args:
        model: functional `keras.Model` of one input and one output.
        layer_name: name of the last layer of the backbone, through whose output alone the rest sees the input.
        flatten: whether a cut inside a map of features is wanted: the backbone then ends in a flat latent and the
            head begins by giving it its shape back.

    Returns:
        backbone: functional model, inputs -> latents of shape `(batch, latent_dim)`.
        head: functional model, latents -> outputs of `model`.

    Raises:
        ValueError: if there is no such layer, nothing would be left of a part, a connection skips the cut, or the
            output of the layer is no vector and `flatten` is false.
    """
    names = [layer.name for layer in model.layers]
    if layer_name not in names:
        raise ValueError(f"layer_name must be one of {names}, got {layer_name!r}.")
    latents = model.get_layer(layer_name).output
    if latents is model.output or latents is model.input:
        raise ValueError(f"layer_name must leave layers on both sides of the cut, got {layer_name!r}.")
    try:
        head = keras.Model(latents, model.output, name="head")
    except ValueError as error:
        raise ValueError(
            f"a connection skips {layer_name!r}, so what follows is no function of its output alone: cut where all "
            f"branches have joined."
        ) from error
    if len(latents.shape) == 2:
        return keras.Model(model.input, latents, name="backbone"), head
    if not flatten:
        raise ValueError(
            f"{layer_name!r} gives maps of shape {tuple(latents.shape[1:])}, latents must be vectors: cut at a "
            f"flattening or global pooling layer behind it, or pass flatten=True."
        )
    flat = keras.layers.Flatten(name="flat_latents")(latents)
    inputs = keras.Input(flat.shape[1:], name="latents")
    shaped = keras.layers.Reshape(latents.shape[1:], name="shaped_latents")(inputs)
    return keras.Model(model.input, flat, name="backbone"), keras.Model(inputs, head(shaped), name="head")
