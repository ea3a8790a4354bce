"""What every public class keeps to: configurations and files that bring it back, evaluation that does not depend on
the size of batches, errors that say what is wrong. A class that is missing from the table fails."""

import functools
import importlib
import inspect
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import ocm_tf
from tests import tiny
from tests.contract_examples import (
    BESIDE,
    CALLBACKS,
    GENERATORS,
    LABELS,
    LATENTS,
    LAYERS,
    MEMORY_LAYERS,
    MODELS,
    TABLES,
    others_of_model,
)
from tests.models.tiny_experiences import EXPERIENCES
from tests.models.tiny_phases import PHASES

ABSTRACT = ("OnlineModel", "ContinualClassifier")
CONCRETE = [name for name in MODELS if name not in ABSTRACT]
PHASED = ("IncrementalClassifier", "Mnemonics")


@functools.cache
def made(name):
    """Returns the example of a class, for tests that leave it as it is."""
    return TABLES[package_of(name)][name].make()


def example_class(name):
    return getattr(importlib.import_module(f"ocm_tf.{package_of(name)}"), name)


def package_of(name):
    return next(package for package, table in TABLES.items() if name in table)


@pytest.mark.parametrize("package", TABLES)
def test_every_public_class_is_in_the_table(package):
    module = importlib.import_module(f"ocm_tf.{package}")
    public = {name for name in module.__all__ if inspect.isclass(getattr(module, name))}
    assert public == set(TABLES[package]) | BESIDE[package]


# Configurations -------------------------------------------------------------------------------------------------------


def plain(config):
    """Returns a configuration as it comes back from a file."""
    return json.loads(json.dumps(keras.saving.serialize_keras_object(config)))


@pytest.mark.parametrize("name", [*LAYERS, *MEMORY_LAYERS, *GENERATORS, *CONCRETE])
def test_a_configuration_makes_the_same_again(name):
    example = made(name)
    serialized = json.loads(json.dumps(keras.saving.serialize_keras_object(example)))
    assert serialized["registered_name"] == f"ocm_tf>{name}"
    copy = keras.saving.deserialize_keras_object(serialized)
    assert type(copy) is type(example)
    assert plain(copy.get_config()) == plain(example.get_config())


@pytest.mark.parametrize("name", [*LAYERS, *MEMORY_LAYERS, *GENERATORS, *CONCRETE])
def test_a_configuration_holds_every_argument_and_the_example_departs_from_the_defaults(name):
    example = made(name)
    config = example.get_config()
    arguments = {
        parameter.name: parameter.default
        for kind in type(example).__mro__
        if kind.__module__.startswith("ocm_tf") and "__init__" in vars(kind)
        for parameter in list(inspect.signature(kind.__init__).parameters.values())[1:]
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    }
    # Subclasses may fix an argument of the class above them.
    own = inspect.signature(type(example).__init__).parameters
    takes_more = any(parameter.kind is parameter.VAR_KEYWORD for parameter in own.values())
    wanted = {name for name in arguments if takes_more or name in own}
    assert wanted - FIXED_BY.get(name, set()) <= set(config)
    with_default = [name for name in wanted if arguments[name] is not inspect.Parameter.empty]
    assert not with_default or any(config.get(name) != arguments[name] for name in with_default)


# Arguments of a class above that a class below gives itself.
FIXED_BY = {
    "LatentReplay": {"input_dtype"},
    "GenerativeLatentReplay": {"input_dtype"},
    "IncrementalClassifier": {"head", "weight_decay"},
    "Mnemonics": {"head", "weight_decay"},
    "Replay": {"input_dtype"},
    "ExemplarMemory": {"spare_rows"},
    "ShortTermMemory": {"spare_rows"},
    "SlidingMemory": {"spare_rows", "sample_dtype"},
    "TemporaryMemory": {"spare_rows"},
}


# Files ----------------------------------------------------------------------------------------------------------------


@keras.saving.register_keras_serializable(package="test_contract")
class Holder(keras.Model):
    """A model that consists of one layer, called with any number of inputs."""

    def __init__(self, part, **kwargs):
        super().__init__(**kwargs)
        self.part = part

    def call(self, inputs):
        return self.part(*inputs) if isinstance(inputs, list | tuple) else self.part(inputs)

    def build(self, input_shape):
        pass

    def get_config(self):
        return {**super().get_config(), "part": keras.saving.serialize_keras_object(self.part)}

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "part": keras.saving.deserialize_keras_object(config["part"])})


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_comes_back_from_its_file(name, tmp_path, eagerly):
    example = LAYERS[name]
    layer, inputs = example.make(), [keras.ops.convert_to_tensor(array) for array in example.inputs]
    holder = Holder(layer)
    first = holder(inputs)
    holder.save(tmp_path / "layer.keras")
    loaded = keras.saving.load_model(tmp_path / "layer.keras")
    # A file keeps the seed, not how far the draws have got.
    expected = first if example.draws else holder(inputs)
    for ours, theirs in zip(tf.nest.flatten(loaded(inputs)), tf.nest.flatten(expected), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    tiny.assert_same_values(loaded.trainable_weights, tiny.values_of(holder.trainable_weights))


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_treats_each_sample_by_itself(name, eagerly):
    example = LAYERS[name]
    if example.draws or name == "HeadGates":
        pytest.skip("draws anew for each sample, or takes none")
    layer = example.make()
    together = tf.nest.flatten(layer(*map(keras.ops.convert_to_tensor, example.inputs)))
    alone = [tf.nest.flatten(layer(*(array[i : i + 1] for array in example.inputs))) for i in range(6)]
    for index, whole in enumerate(together):
        parts = np.concatenate([np.asarray(outputs[index]) for outputs in alone])
        np.testing.assert_allclose(parts, whole, rtol=2e-3 if name == "Dense" else 1e-4, atol=1e-5)


@pytest.mark.parametrize("name", GENERATORS)
def test_a_generator_comes_back_from_its_arrays(name, eagerly):
    generator = GENERATORS[name].make().fit(LATENTS, LABELS, seed=1)
    copy = type(generator).from_config(generator.get_config())
    copy.set_arrays(generator.arrays())
    for ours, theirs in zip(copy.sample(12, seed=2), generator.sample(12, seed=2), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def outputs_of(model, images, batch_size=4):
    """Returns what a model is evaluated by, as a list of arrays.

    Mixtures route images by losses and bounds whose draws depend on the batch, as their docstrings say: without that.
    """
    if isinstance(model, ocm_tf.models.SparseAttentionClassifier):
        routes = [np.full(len(images), component) for component in range(model.num_components)]
        return [model.classify(images, batch_size, routes=route) for route in routes]
    if isinstance(model, ocm_tf.models.OnlineClassifier):
        return [model.classify(images, batch_size=batch_size)]
    if hasattr(model, "features"):
        return [model.features(images), np.asarray(model(images))]
    return [np.asarray(model(images.astype(np.float32)))]


def train_further(name, model):
    """Makes the next step of a model, after setting random states that a file does not keep."""
    if isinstance(model, ocm_tf.models.OnlineModel):
        for layer in model._flatten_layers():
            if hasattr(layer, "seed_generator"):
                layer.seed_generator.state.assign([3, 5])
        return model.train_on_batch(tiny.make_images(4), np.arange(4) % 3)
    data = PHASES[model.experience_index] if name in PHASED else EXPERIENCES[model.experience_index]
    return model.fit_experience(data, epochs=1).history["loss"]


def step_of(name, model):
    """Lets a model learn something, so that memory and optimizer hold what must come back."""
    for _ in range(2 if isinstance(model, ocm_tf.models.OnlineModel) else 1):
        train_further(name, model)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Even though the .*run_functions_eagerly:UserWarning")
@pytest.mark.parametrize("name", CONCRETE)
def test_a_model_comes_back_from_its_file_and_learns_on_alike(name, tmp_path, eagerly):
    images = tiny.make_images(5, seed=9)
    model = MODELS[name].make()
    model.run_eagerly = True
    step_of(name, model)
    model.save(tmp_path / "model.keras")
    loaded = ocm_tf.load_model(tmp_path / "model.keras")
    loaded.run_eagerly = True
    for _ in range(2):
        for ours, theirs in zip(outputs_of(loaded, images), outputs_of(model, images), strict=True):
            np.testing.assert_array_equal(ours, theirs)
        expected = [np.asarray(variable) for variable in model.optimizer.variables]
        tiny.assert_same_values(loaded.optimizer.variables, expected)
        np.testing.assert_array_equal(train_further(name, loaded), train_further(name, model))
        tiny.assert_same_values(loaded.trainable_variables, tiny.values_of(model.trainable_variables))


@pytest.mark.parametrize("name", CONCRETE)
def test_evaluation_does_not_depend_on_what_is_evaluated_together(name, eagerly):
    images = tiny.make_images(5, seed=9)
    model = made(name)
    whole = outputs_of(model, images)
    parts = [outputs_of(model, images[rows], batch_size=2) for rows in (slice(0, 1), slice(1, 5))]
    for index, together in enumerate(whole):
        apart = np.concatenate([part[index] for part in parts])
        np.testing.assert_allclose(apart, together, rtol=1e-4, atol=1e-5)


# States ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CALLBACKS)
def test_a_callback_takes_up_its_state_from_json(name):
    callback, fresh = CALLBACKS[name].make(), CALLBACKS[name].make()
    if hasattr(callback, "rng"):
        callback.rng.random(5)
    state = json.loads(json.dumps(callback.get_state()))
    fresh.set_state(state)
    assert json.loads(json.dumps(fresh.get_state())) == state
    if hasattr(callback, "rng"):
        assert fresh.rng.random() == callback.rng.random()


# Errors ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", [name for table in TABLES.values() for name, example in table.items() if example.bad is not None]
)
def test_an_error_names_the_argument_what_is_expected_and_what_was_received(name):
    kind, example = example_class(name), TABLES[package_of(name)][name]
    others = others_of_model(name) if name in MODELS else example.others
    ((argument, value),) = example.bad.items()
    with pytest.raises(ValueError) as caught:
        kind(**others, **{argument: value})
    message = str(caught.value)
    assert argument in message and "\n" not in message
    assert " must " in message
    received = message.rpartition("got ")[2]
    assert str(value) in received or (not value and "none" in received)
