"""Checks the level of the exemplars: its gradient, what it may touch, halves, rates, the released form, errors."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import ocm_tf
from ocm_tf.memory import Samples, class_means
from ocm_tf.models import Mnemonics
from ocm_tf.models.unrolling import adam_step, unrolled_sgd
from ocm_tf.networks import TransferConv2D
from tests.models.tiny_phases import (
    ALL_IMAGES,
    ALL_LABELS,
    PHASES,
    dense_backbone,
    learn_phases,
    make_incremental,
    residual_backbone,
)
from tests.tiny import assert_equal_samples, assert_same_values, values_of

QUICK = {"inner_steps": 2, "inner_learning_rate": 0.5, "outer_steps": 3, "outer_batch_size": 6}

pytestmark = pytest.mark.usefixtures("eagerly")


def make_mnemonics(**settings):
    return make_incremental(Mnemonics, **{"initial_scale": 3.0, **QUICK, **settings})


def make_level(num_seen=3, **settings):
    """Makes a classifier that has met some classes, and what its exemplar level is computed from."""
    model = make_mnemonics(**settings)
    model.num_seen.assign(num_seen)
    dtype = keras.config.floatx()
    rng = np.random.default_rng(0)
    exemplars = tf.constant(rng.normal(size=(2 * num_seen, 8, 8, 1)), dtype)
    labels, ranks = np.repeat(np.arange(num_seen), 2).astype(np.int32), np.tile([0, 1], num_seen).astype(np.int32)
    inputs, targets = tf.constant(rng.normal(size=(5, 8, 8, 1)), dtype), rng.integers(0, num_seen, 5).astype(np.int32)

    def loss_and_gradient(exemplars=exemplars):
        return model.exemplar_gradient(exemplars, labels, ranks, inputs, targets, model.theta())

    return model, exemplars, loss_and_gradient


# The gradient ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def float64():
    for dtype in ("float64", "float32"):
        keras.config.set_floatx(dtype)
        keras.config.set_dtype_policy(dtype)
        if dtype == "float64":
            yield


def smooth_transfer_backbone():
    """Scales as in a network with weight transfer, and no kink."""
    inputs = keras.Input((8, 8, 1))
    hidden = keras.layers.Activation("softplus")(TransferConv2D(3, 3, 2, scaled=True)(inputs))
    hidden = keras.layers.BatchNormalization()(hidden)
    return keras.Model(inputs, keras.layers.Dense(4)(keras.layers.GlobalAveragePooling2D()(hidden)))


@pytest.mark.parametrize("inner_steps", [1, 3])
@pytest.mark.parametrize("parameters", ["head", pytest.param("scales", marks=pytest.mark.slow), "all"])
def test_the_gradient_equals_central_differences(float64, parameters, inner_steps):
    _, exemplars, loss_and_gradient = make_level(
        backbone=smooth_transfer_backbone, inner_parameters=parameters, inner_steps=inner_steps
    )
    _, gradient = loss_and_gradient()
    rng, width = np.random.default_rng(1), 1e-4
    for _ in range(2):
        direction = rng.normal(size=exemplars.shape)
        above, below = (loss_and_gradient(exemplars + sign * width * direction)[0] for sign in (1, -1))
        numeric = float(above - below) / (2 * width)
        assert float(tf.reduce_sum(gradient * direction)) == pytest.approx(numeric, rel=1e-6)


@pytest.mark.parametrize("parameters", ["head", "all"])
def test_a_gradient_passes_through_relus(parameters):
    _, _, loss_and_gradient = make_level(backbone=residual_backbone, inner_parameters=parameters)
    gradient = loss_and_gradient()[1].numpy()
    assert np.isfinite(gradient).all()
    # Every exemplar has its share.
    assert np.abs(gradient).reshape(6, -1).max(axis=1).min() > 0


def test_without_its_second_order_part_nothing_is_left():
    exemplar, start = tf.Variable([2.0]), tf.constant([0.5])

    def gradient_through(step):
        with tf.GradientTape() as tape:
            theta = step(start)
            loss = tf.reduce_sum(theta**2)
        return tape.gradient(loss, exemplar)

    def loss_of(theta, _):
        return tf.reduce_sum((theta[0] - exemplar) ** 2)

    def first_order(theta):
        with tf.GradientTape() as tape:
            tape.watch(theta)
            loss = loss_of([theta], 0)
        return theta - 0.1 * tf.stop_gradient(tape.gradient(loss, theta))

    def assigned(theta):
        variable = tf.Variable(theta)
        variable.assign_sub(0.1 * 2 * (variable - exemplar))
        return variable

    # theta' = 0.5 + 0.2 * (2 - 0.5) = 0.8; d theta'**2 / d exemplar = 2 * 0.8 * 0.2
    unrolled = gradient_through(lambda theta: unrolled_sgd([theta], [1.0], loss_of, 1, 0.1)[0])
    np.testing.assert_allclose(unrolled, [0.32], rtol=1e-6)
    assert gradient_through(first_order) is None
    assert gradient_through(assigned) is None
    assert gradient_through(lambda theta: unrolled_sgd([theta], [1.0], loss_of, 0, 0.1)[0]) is None


@pytest.mark.parametrize("batch", ["all", "one_per_class"])
def test_the_short_way_for_the_head_equals_the_general_one(batch):
    model, _, loss_and_gradient = make_level(inner_batch=batch, inner_steps=3)
    short = loss_and_gradient()
    model._head_loss = model._unrolled_loss
    general = loss_and_gradient()
    np.testing.assert_allclose(short[0], general[0], rtol=1e-5)
    np.testing.assert_allclose(short[1], general[1], rtol=1e-3, atol=1e-7)


def test_an_inner_step_may_take_one_exemplar_of_each_class():
    model, _, _ = make_level(inner_batch="one_per_class")
    images, ranks, labels = tf.range(6), tf.constant([0, 1, 0, 1, 0, 1]), tf.constant([0, 0, 1, 1, 2, 2])
    for step in range(4):
        rows, classes = model._inner_minibatch(step, ranks, images, labels)
        np.testing.assert_array_equal(rows, np.array([0, 2, 4]) + step % 2)
        np.testing.assert_array_equal(classes, [0, 1, 2])


def test_frozen_kernels_do_not_move_in_the_inner_steps():
    model, _, _ = make_level(backbone=residual_backbone, inner_parameters="all")
    for num_old, kernel, scale in ((0, 1.0, 0.0), (2, 0.0, 1.0)):
        model.num_old.assign(num_old)
        factors = dict(zip(model._moving()[0], model._moving()[1], strict=True))
        by_name = {(name, float(factors[place])) for place, name in enumerate(model._names)}
        assert by_name == {("kernel", kernel), ("transfer_scale", scale), ("gamma", 1.0), ("beta", 1.0)}
    model, _, _ = make_level(backbone=residual_backbone, inner_parameters="scales")
    moving = {model._names[place] if place < len(model._names) else "head" for place in model._moving()[0]}
    assert moving == {"transfer_scale", "gamma", "beta", "head"}


def test_adam_is_that_of_keras():
    value, gradients = np.array([1.0, -2.0], np.float32), np.array([[0.3, -4.0], [0.1, 2.0]], np.float32)
    variable = keras.Variable(value)
    optimizer = keras.optimizers.Adam(0.01, beta_1=0.5, epsilon=1e-8)
    moments = np.zeros(2, np.float32), np.zeros(2, np.float32)
    for step, gradient in enumerate(gradients):
        optimizer.apply([tf.constant(gradient)], [variable])
        direction, *moments = adam_step(tf.constant(gradient), *moments, step)
        value = value - 0.01 * direction
        np.testing.assert_allclose(value, variable, rtol=1e-5)


# The level ------------------------------------------------------------------------------------------------------------


def test_exemplars_move_and_nothing_else_does():
    model = learn_phases(make_mnemonics(inner_parameters="all", outer_steps=0), 0)
    exemplars, before = model.memory.read(), values_of(model.variables)
    optimizer = values_of(model.optimizer.variables)
    model.outer_steps = 4
    images, labels = PHASES[0].train.images, PHASES[0].train.labels
    trained, losses = model.train_exemplars(exemplars, images, labels, np.random.default_rng(0))
    assert_same_values(model.variables, before)
    assert_same_values(model.optimizer.variables, optimizer)
    assert trained.images.shape == exemplars.images.shape and len(losses) == 4
    np.testing.assert_array_equal(trained.labels, exemplars.labels)
    np.testing.assert_array_equal(trained.positions, exemplars.positions)
    assert trained.images.min() >= -1e-3 and trained.images.max() <= 255 + 1e-3
    moved = np.abs(trained.images - exemplars.images).reshape(len(exemplars.labels), -1).mean(axis=1)
    assert (moved > 0.05).all()


def test_pixels_stay_in_their_range():
    model = learn_phases(make_mnemonics(outer_steps=0), 0, epochs=1)
    model.outer_steps, model.exemplar_learning_rate = 2, 50.0
    exemplars = model.memory.read()
    trained, _ = model.train_exemplars(
        exemplars, PHASES[0].train.images, PHASES[0].train.labels, np.random.default_rng()
    )
    np.testing.assert_allclose([trained.images.min(), trained.images.max()], [0, 255], atol=1e-3)


def test_a_small_step_lowers_the_loss_on_the_same_images():
    model = learn_phases(make_mnemonics(outer_steps=0), 0, epochs=2)
    model.outer_steps, model.outer_batch_size, model.exemplar_learning_rate = 6, 18, 0.003
    images, labels = PHASES[0].train.images, PHASES[0].train.labels
    _, losses = model.train_exemplars(model.memory.read(), images, labels, np.random.default_rng(0))
    assert (np.diff(losses) < 0).all()


def test_halves_train_each_other_with_the_new_first_half():
    model = learn_phases(make_mnemonics(), 0, epochs=1)
    old, calls = model.memory.read(), []

    class Noting(Mnemonics):
        def train_exemplars(self, exemplars, images, labels, rng, others=None):
            trained, losses = Mnemonics.train_exemplars(self, exemplars, images, labels, rng, others)
            calls.append((exemplars, images, labels, trained))
            return trained, losses

    model.__class__ = Noting
    model.fit_experience(PHASES[1], epochs=1)
    new, first, second = calls
    assert set(new[0].labels) == {3} and len(new[1]) == 6
    assert_equal_samples(Samples(*first[1:3], second[0].positions), second[0])
    # The second half is measured on what the first has become.
    np.testing.assert_array_equal(second[1], first[3].images)
    assert (first[3].images != first[0].images).any()
    for half in (first, second):
        assert sorted(half[0].labels) == [0, 1, 2]
    held = model.memory.read()
    assert_equal_samples(held.take(slice(6))._replace(images=0), old._replace(images=0))
    assert list(model.exemplar_losses) == ["new", "half_a", "half_b"]


@pytest.mark.parametrize("settings", [{"adjust_old": False}, {"exemplar_learning_rate": 0.0}])
def test_old_exemplars_may_stay(settings):
    model = learn_phases(make_mnemonics(exemplar_dtype="uint8", **settings), 0, epochs=1)
    old = model.memory.read()
    model.fit_experience(PHASES[1], epochs=1)
    assert_equal_samples(model.memory.read().take(slice(6)), old)


def test_the_temporary_model_may_begin_with_the_weights_of_the_phase_before():
    model = learn_phases(make_mnemonics(theta_start="previous", outer_steps=1), 0, epochs=1)
    num = len(model.backbone.variables)
    # In the first phase there are none.
    model.num_old.assign(0)
    for theirs, ours in zip(model.theta(), model.copied_values(), strict=True):
        np.testing.assert_array_equal(theirs, ours)
    before = [value.numpy() for value in model.copied_values()]
    model.fit_experience(PHASES[1], epochs=1)
    theta = [value.numpy() for value in model.theta()]
    for theirs, old in zip(theta[:num], before[:num], strict=True):
        np.testing.assert_array_equal(theirs, old)
    np.testing.assert_array_equal(theta[num], model.cosine_head.rows)
    assert (theta[0] != model.copied_values()[0].numpy()).any()


def test_rates_are_halved_at_equal_distances():
    model = make_mnemonics(exemplar_learning_rate=0.8, num_halvings=2)
    np.testing.assert_allclose(model.exemplar_rates(6), [0.8, 0.8, 0.4, 0.4, 0.2, 0.2])


def test_outer_steps_pass_over_all_images():
    model = make_mnemonics(outer_steps=None, outer_epochs=2, outer_batch_size=4)
    rows = model._outer_rows(8, np.random.default_rng(0))
    assert rows.shape == (4, 4)
    assert sorted(rows[:2].ravel()) == sorted(rows[2:].ravel()) == list(range(8))


def test_long_loops_are_cut_without_a_change(monkeypatch):
    whole = learn_phases(make_mnemonics(outer_steps=5), 0, epochs=1)
    monkeypatch.setattr("ocm_tf.models.mnemonics._TOGETHER_BYTES", 2 * 64 * 4 * 6)
    parts = learn_phases(make_mnemonics(outer_steps=5), 0, epochs=1)
    np.testing.assert_allclose(parts.memory.read().images, whole.memory.read().images, atol=1e-3)
    np.testing.assert_allclose(parts.exemplar_losses["new"], whole.exemplar_losses["new"], rtol=1e-5)


def test_all_phases_share_the_trace_of_the_level(in_graphs):
    model = learn_phases(make_mnemonics(), 0, 1, 2, epochs=1)
    assert model._outer_steps.experimental_get_tracing_count() == 1
    assert model._features.experimental_get_tracing_count() == 1


def test_the_released_form_pulls_prototypes():
    model = make_mnemonics(exemplar_loss="proto", validation="all", exemplar_learning_rate=0.01, outer_batch_size=24)
    learn_phases(model, 0, 1, epochs=1)
    assert list(model.exemplar_losses) == ["new"] and len(model.exemplar_losses["new"]) == 3
    old = model.memory.read().take(slice(6))
    anchors = model._anchors(old)
    np.testing.assert_array_equal(anchors[3:], np.zeros((3, 5)))
    means = class_means(model.features_of(old.images), old.labels, 3)
    np.testing.assert_allclose(anchors[:3] / np.linalg.norm(anchors[:3], axis=1, keepdims=True), means, atol=1e-5)
    # By hand, with the exemplars of class 3 and anchors for the others.
    new, images, labels = model.memory.read().take([6, 7]), ALL_IMAGES[:24], ALL_LABELS[:24].astype(np.int32)
    prototypes = np.concatenate([means, class_means(model.features_of(new.images), np.zeros(2, int), 1)])
    cosines = model.features_of(images) @ prototypes.T / np.linalg.norm(model.features_of(images), axis=1)[:, None]
    expected = np.mean(np.log(np.exp(cosines).sum(axis=1)) - cosines[np.arange(24), labels])
    normalized = model.normalized(new.images), model.normalized(images)
    loss, gradient = model.exemplar_gradient(
        normalized[0], np.array([3, 3]), np.array([0, 1]), normalized[1], labels, model.theta(), anchors
    )
    assert float(loss) == pytest.approx(expected, rel=1e-4)
    assert np.abs(gradient).max() > 0


def test_a_file_holds_all_that_is_needed_to_go_on(tmp_path):
    settings = {"theta_start": "previous", "inner_parameters": "scales", "inner_batch": "one_per_class"}
    model = learn_phases(make_mnemonics(backbone=dense_backbone, unit_scale=True, **settings), 0, epochs=1)
    model.save(tmp_path / "model.keras")
    loaded = ocm_tf.load_model(tmp_path / "model.keras")
    assert loaded._own_config == model._own_config
    for either in (model, loaded):
        either.fit_experience(PHASES[1], epochs=1)
    assert_same_values(loaded.weights, values_of(model.weights))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"inner_parameters": "body"}, "inner_parameters must be one of"),
        ({"theta_start": "next"}, "theta_start must be one of"),
        ({"inner_steps": 0}, "inner_steps must be at least 1"),
        ({"exemplars_per_class": 1}, "adjust_old takes halves of at least 2"),
        ({"total_exemplars": 6}, "adjust_old takes halves of at least 2"),
    ],
)
def test_wrong_arguments_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        make_mnemonics(**settings)
