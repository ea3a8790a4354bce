from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

import ocm_tf
from ocm_tf.experiments.ocm import build_optimizer
from ocm_tf.experiments.ocm_config import TINY
from ocm_tf.optimizers import FusedAdam
from tests.tiny import make_images, make_vae


def variables():
    rng = np.random.default_rng(0)
    shapes = {"kernel": (4, 3), "bias": (3,), "scale": ()}
    return [keras.Variable(rng.standard_normal(shape).astype(np.float32), name=name) for name, shape in shapes.items()]


def train(optimizer, trained, num_steps, start=0):
    """Makes steps on gradients that depend on step and variable alone, in one graph."""

    @tf.function(reduce_retracing=True)
    def step(gradients):
        optimizer.apply(gradients, trained)

    optimizer.build(trained)
    for number in range(start, start + num_steps):
        rng = np.random.default_rng(number)
        step([tf.constant(rng.standard_normal(variable.shape), tf.float32) for variable in trained])


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"learning_rate": 0.1, "beta_1": 0.5, "beta_2": 0.9, "epsilon": 1e-3},
        {"learning_rate": 0.05, "use_ema": True, "ema_momentum": 0.8, "weight_decay": 0.1, "clipnorm": 0.7},
        {"learning_rate": keras.optimizers.schedules.ExponentialDecay(0.1, 3, 0.5)},
    ],
)
def test_steps_and_state_are_those_of_keras(settings):
    fused, plain = FusedAdam(**settings), keras.optimizers.Adam(**settings)
    ours, theirs = variables(), variables()
    train(fused, ours, 20)
    train(plain, theirs, 20)
    for own, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(own, other, rtol=1e-4, atol=1e-5)
    # The first part is the optimizer's own name, which Keras numbers.
    assert [v.path.split("/")[1:] for v in fused.variables] == [v.path.split("/")[1:] for v in plain.variables]
    for own, other in zip(fused.variables, plain.variables, strict=True):
        np.testing.assert_allclose(own, other, rtol=1e-4, atol=1e-5)


def test_the_first_step_is_the_learning_rate_in_the_direction_of_the_sign():
    (variable,) = trained = [keras.Variable([1.0, 2.0, 3.0])]
    optimizer = FusedAdam(0.25, epsilon=0.0)
    optimizer.apply([tf.constant([4.0, -0.5, 100.0])], trained)
    np.testing.assert_allclose(variable, [0.75, 2.25, 2.75], rtol=1e-6)


def test_either_goes_on_with_the_state_of_the_other():
    trained, fused, plain = variables(), FusedAdam(0.01), keras.optimizers.Adam(0.01)
    train(fused, trained, 3)
    expected = variables()
    train(keras.optimizers.Adam(0.01), expected, 6)
    plain.build(trained)
    store = {}
    fused.save_own_variables(store)
    plain.load_own_variables(store)
    train(plain, trained, 3, start=3)
    for own, other in zip(trained, expected, strict=True):
        np.testing.assert_allclose(own, other, rtol=2e-5, atol=1e-6)


def test_a_saved_model_goes_on_as_if_never_saved(tmp_path):
    model = make_vae()
    model.compile(FusedAdam(0.02, beta_1=0.5, beta_2=0.9, epsilon=1e-4))
    images = make_images(8)
    model.train_on_batch(images)
    model.save(tmp_path / "model.keras")
    loaded = ocm_tf.load_model(tmp_path / "model.keras")
    assert type(loaded.optimizer) is FusedAdam
    assert loaded.optimizer.get_config() == model.optimizer.get_config()
    for own, other in zip(model.optimizer.variables, loaded.optimizer.variables, strict=True):
        np.testing.assert_array_equal(own, other)
    # The state of random draws is no part of the file.
    for generator in (model.seed_generator, loaded.seed_generator):
        generator.state.assign([3, 4])
    assert model.train_on_batch(images) == loaded.train_on_batch(images)
    for own, other in zip(model.weights, loaded.weights, strict=True):
        np.testing.assert_array_equal(own, other)


@pytest.mark.parametrize(("fused", "optimizer"), [(False, keras.optimizers.Adam), (True, FusedAdam)])
def test_a_setting_chooses_it(fused, optimizer):
    built = build_optimizer(replace(TINY, fused_optimizer=fused, weight_average=0.9))
    assert type(built) is optimizer
    assert (built.learning_rate, built.beta_1, built.epsilon, built.use_ema) == (TINY.learning_rate, 0.5, 1e-8, True)


def test_amsgrad_is_refused():
    with pytest.raises(ValueError, match="amsgrad must be False"):
        FusedAdam(amsgrad=True)
