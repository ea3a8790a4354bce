"""All that a training run consists of, in one file: variables, optimizers, random states, callbacks."""

import hashlib
import json
import random
import re
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras.src.random.seed_generator import global_seed_generator

from ocm_tf.errors import UserError
from ocm_tf.files import DamagedFileError, load_arrays, save_arrays
from ocm_tf.types import PathLike

FORMAT = 1
KERAS_OWNERS = (keras.layers.Layer, keras.initializers.Initializer, keras.metrics.Metric)
LIBRARIES = {"builtins", "functools", "collections", "keras", "tensorflow", "numpy", "threading"}


def state_variables(model: keras.Model, stateful: Sequence[Any] = ()) -> list[keras.Variable]:
    """Finds every variable that training changes.

    `model.variables` has the weights and the seed generators that layers hold in attributes, lists, tuples
    and dicts. It lacks the optimizers, the metrics, plain `tf.Variable`s and `tf.random.Generator`s, the seed
    generators of initializers and of helper objects that are no layers, and the generator that draws without
    a seed fall back on.

    Args:
        model: a built and compiled `keras.Model`.
        stateful: objects, such as callbacks, of which those with a list `variables` have their own.

    Returns:
        list of variables, each once, in an order that depends only on how the model was made.
    """
    found = [
        *model.variables,
        *model.metrics_variables,
        global_seed_generator().state,
        *_reachable_variables(model),
        *(variable for item in stateful for variable in getattr(item, "variables", ())),
    ]
    return list({id(variable): variable for variable in found}.values())


def _reachable_variables(root):
    """Walks through attributes and containers, but not into the insides of other libraries' objects."""
    seen, pending, found = set(), [root], []
    while pending:
        owner = pending.pop()
        if id(owner) in seen:
            continue
        seen.add(id(owner))
        if isinstance(owner, keras.Variable | tf.Variable):
            found.append(owner)
        elif isinstance(owner, keras.random.SeedGenerator | tf.random.Generator):
            found.append(owner.state)
        elif isinstance(owner, keras.optimizers.Optimizer):
            found.extend(owner.variables)
        elif isinstance(owner, dict):
            pending.extend(reversed(owner.values()))
        elif isinstance(owner, list | tuple):
            pending.extend(reversed(owner))
        elif hasattr(owner, "__dict__") and (isinstance(owner, KERAS_OWNERS) or _is_foreign(owner)):
            pending.extend(reversed(vars(owner).values()))
    return found


def _is_foreign(owner):
    return type(owner).__module__.partition(".")[0] not in LIBRARIES


def save_state(path: PathLike, model: keras.Model, stateful: Sequence[Any] = (), extra: Any = None) -> None:
    """Writes the whole state of a training run to one `.npz` file, atomically.

    Args:
        path: the file.
        model: a built and compiled `keras.Model`.
        stateful: objects, such as callbacks, of which those with `get_state() -> dict` are saved; the dict
            must be fit for JSON, arrays belong into a list `variables`.
        extra: more values fit for JSON, which `restore_state` returns.

    Raises:
        UserError: if the file cannot be written; an older one stays as it was.
    """
    variables = state_variables(model, stateful)
    arrays = {str(index): variable.numpy() for index, variable in enumerate(variables)}
    manifest = {
        "format": FORMAT,
        "versions": {"tensorflow": tf.__version__, "keras": keras.__version__},
        "variables": [_describe(variable) for variable in variables],
        "states": [[_kind(item), item.get_state()] for item in _with_state(stateful)],
        # Keras draws the default seeds of initializers from Python's generator, also when a model grows.
        "random": _random_state(),
        "extra": {} if extra is None else extra,
    }
    text = np.frombuffer(json.dumps(manifest).encode(), np.uint8)
    save_arrays(path, {"manifest": text, "digest": _digest(text, arrays), **arrays})


def restore_state(path: PathLike, model: keras.Model, stateful: Sequence[Any] = ()) -> Any:
    """Puts back what `save_state` wrote; either all of it or, on an error, no variable.

    Args:
        path: the file.
        model: a model made, built and compiled like the one saved. Optimizers besides `model.optimizer` must
            be built if they were.
        stateful: the same kinds of objects in the same order; those with `set_state(dict)` get their state.

    Returns:
        extra: the values given to `save_state`.

    Raises:
        UserError: if the file is missing or was made by another configuration; the message names the first
            difference.
        DamagedFileError: if the file is cut off or altered.
    """
    manifest, arrays = _read(path)
    variables = state_variables(model, stateful)
    if len(variables) < len(manifest["variables"]) and not model.optimizer.built:
        # Left to itself Keras would do so in the first step.
        model.optimizer.build(model.trainable_variables)
        variables = state_variables(model, stateful)
    owners = _with_state(stateful)
    _compare(path, "variable", manifest["variables"], [_describe(variable) for variable in variables])
    _compare(path, "state", [kind for kind, _ in manifest["states"]], [_kind(owner) for owner in owners])
    values = [_value_for(path, variable, arrays.get(str(index))) for index, variable in enumerate(variables)]
    before = _random_state()
    try:
        _set_random_state(manifest["random"])
        for owner, (_, state) in zip(owners, manifest["states"], strict=True):
            owner.set_state(state)
    except UserError:
        _set_random_state(before)
        raise
    except Exception as error:  # Each owner fails in its own way on a state that is none.
        _set_random_state(before)
        raise DamagedFileError(f"{path} holds a state that is none ({type(error).__name__})") from error
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
    return manifest["extra"]


def _value_for(path, variable, array):
    """Returns an array of the file as a value of a variable, whatever else the file may hold."""
    dtype = np.dtype(tf.as_dtype(_dtype(variable)).as_numpy_dtype)
    # NumPy reads bfloat16 back as raw bytes.
    dtypes = (dtype, np.dtype((np.void, dtype.itemsize)))
    # The stacks of some models leave their number of rows open.
    shape = tf.TensorShape(variable.shape)
    if array is None or not shape.is_compatible_with(array.shape) or array.dtype not in dtypes:
        raise DamagedFileError(f"{path} holds no value for {_describe(variable)}")
    return array.view(dtype)


def _read(path):
    arrays = load_arrays(path)
    try:
        text, digest = arrays.pop("manifest"), arrays.pop("digest")
        intact = np.array_equal(digest, _digest(text, arrays))
        manifest = json.loads(text.tobytes())
    except (KeyError, ValueError, RecursionError) as error:
        raise DamagedFileError(f"{path} is no checkpoint ({error})") from None
    if not intact:
        raise DamagedFileError(f"{path} is damaged: its SHA-256 is wrong")
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        found = manifest.get("format") if isinstance(manifest, dict) else None
        raise UserError(f"{path} has checkpoint format {found!r:.40}; this version reads format {FORMAT}")
    kinds = {"variables": list, "states": list, "random": dict, "extra": dict}
    wrong = [name for name, kind in kinds.items() if not isinstance(manifest.get(name), kind)]
    if wrong or not all(isinstance(state, list) and len(state) == 2 for state in manifest["states"]):
        raise DamagedFileError(f"{path} is no checkpoint: its {', '.join(wrong) or 'states'} cannot be read")
    return manifest, arrays


def _digest(text, arrays):
    digest = hashlib.sha256(text)
    for array in arrays.values():
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8))
    return np.frombuffer(digest.digest(), np.uint8)


def _describe(variable):
    # Numbers that Keras appends to names count the objects made in the process, whoever made them.
    name = getattr(variable, "path", variable.name)
    name = re.sub(r"_\d+(?=[_/]|$)", "", name.removesuffix(":0"))
    return f"{name} {_dtype(variable)}{list(variable.shape)}"


def _dtype(variable):
    return keras.backend.standardize_dtype(variable.dtype)


def _compare(path, what, saved, present):
    for index in range(max(len(saved), len(present))):
        before, now = (items[index] if index < len(items) else "nothing" for items in (saved, present))
        if before != now:
            raise UserError(
                f"{path} was made by another configuration: its {what} {index} is {before}, here it is {now}"
            )


def _with_state(objects):
    return [item for item in objects if hasattr(item, "get_state") and hasattr(item, "set_state")]


def _kind(item):
    return type(item).__name__


def _random_state():
    version, numbers, gauss = random.getstate()
    kind, keys, *rest = np.random.get_state()
    return {"python": [version, list(numbers), gauss], "numpy": [kind, keys.tolist(), *rest]}


def _set_random_state(state):
    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers), gauss))
    np.random.set_state(state["numpy"])
