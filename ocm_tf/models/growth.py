"""What models that grow share: one set of layers that train, the templates, and a `WeightBank` of frozen copies."""

from __future__ import annotations

import contextlib
import itertools
import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

import keras
import tensorflow as tf

from ocm_tf.types import Tensor

if TYPE_CHECKING:
    from ocm_tf.memory.weight_bank import WeightBank


def variables_of(layer: keras.layers.Layer) -> list[keras.Variable]:
    """Returns a layer's variables in the order that `stateless_call` takes them."""
    return layer.trainable_variables + layer.non_trainable_variables


def choose_weights(bank: WeightBank, index: Tensor, variables: Sequence[keras.Variable]) -> list[Tensor]:
    """Returns the weights of copy `index` of a bank, or the templates' own if there is no such copy; in a graph.

    Args:
        bank: `WeightBank` allocated for `variables` alone.
        index: int tensor; the bank's count stands for the templates.
        variables: the templates' variables.
    """
    return _choose(bank, index, variables, slice(None))


def apply_template(
    template: keras.layers.Layer,
    templates: Sequence[keras.layers.Layer],
    bank: WeightBank,
    component: Tensor,
    *inputs: Tensor,
) -> Tensor:
    """Runs a component's layer: the template itself if that component still trains, else with banked weights.

    Args:
        template: one of `templates`.
        templates: the layers that each component has of its own, in the order of the bank.
        bank: `WeightBank` allocated for them.
        component: index of the component, an int or an int tensor; None is the one that trains.
        *inputs: inputs of the layer.

    Returns:
        What the layer returns.
    """
    if component is None:
        return template(*inputs)
    variables = variables_of(template)
    before = itertools.takewhile(lambda other: other is not template, templates)
    offset = sum(len(variables_of(other)) for other in before)
    weights = _choose(bank, component, variables, slice(offset, offset + len(variables)))
    num_trainable = len(template.trainable_variables)
    return template.stateless_call(weights[:num_trainable], weights[num_trainable:], *inputs)[0]


def _choose(bank, index, variables, columns):
    return tf.cond(
        index < bank.count.value,
        lambda: bank.read(index)[columns],
        lambda: [tf.convert_to_tensor(variable) for variable in variables],
    )


def initialise_afresh(templates: Sequence[keras.layers.Layer], seed: str | int) -> None:
    """Gives layers new initial weights, seeded so that a resumed run grows the same as one never stopped.

    Args:
        templates: built layers.
        seed: str or int.
    """
    with _seeded_initialisers(seed):
        for template in templates:
            fresh = template.from_config(template.get_config())
            if not fresh.built:
                fresh.build_from_config(template.get_build_config())
            for variable, new in zip(variables_of(template), variables_of(fresh), strict=True):
                variable.assign(new)


def start_afresh(optimizer: keras.optimizers.Optimizer, variables: Sequence[keras.Variable]) -> None:
    """Sets an optimizer, built on `variables`, back to the state of a new one."""
    fresh = optimizer.from_config(optimizer.get_config())
    fresh.build(variables)
    for variable, new in zip(optimizer.variables, fresh.variables, strict=True):
        variable.assign(new)


@contextlib.contextmanager
def _seeded_initialisers(seed):
    # Keras initialisers without a seed of their own draw it from Python's global generator.
    state = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(state)
