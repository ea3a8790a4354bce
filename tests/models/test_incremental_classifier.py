"""Checks phases of new classes: one trace, what is frozen, exemplars, the rows that arrive, resuming, files, errors."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

import ocm_tf
from ocm_tf.callbacks import restore_state, save_state
from ocm_tf.errors import UserError
from ocm_tf.memory import class_means
from ocm_tf.models import IncrementalClassifier
from ocm_tf.models.incremental_classifier import corrected
from ocm_tf.models.joined_rows import JoinedRows
from ocm_tf.networks import RandomCropFlip
from tests.models.tiny_phases import (
    ALL_IMAGES,
    ALL_LABELS,
    PHASES,
    learn_phases,
    make_incremental,
    make_phase,
    residual_backbone,
)
from tests.tiny import assert_equal_samples, assert_same_values, optimizer_values, values_of

pytestmark = pytest.mark.usefixtures("eagerly")


class Watched(IncrementalClassifier):
    """Notes how often the update is traced and which rows arrive."""

    def __init__(self, *arguments, **settings):
        super().__init__(*arguments, **settings)
        self.watched = {"traces": 0, "rows": []}

    def minibatch_step(self, *arguments):
        self.watched["traces"] += 1
        return super().minibatch_step(*arguments)

    def _chunks(self, epochs, start=0):
        for chunk in super()._chunks(epochs, start):
            self.watched["rows"].append(chunk["current"][:2])
            yield chunk


# Rows -----------------------------------------------------------------------------------------------------------------


def test_joined_rows_read_like_a_concatenation():
    first, second = np.arange(10, dtype=np.uint8).reshape(5, 2), np.arange(6, dtype=np.float32).reshape(3, 2) + 0.5
    whole = np.concatenate([first, second])
    joined, part = JoinedRows(first, second), JoinedRows(first, second, np.array([7, 0, 4]))
    np.testing.assert_array_equal(joined[np.array([6, 1, 5, 1])], whole[[6, 1, 5, 1]])
    np.testing.assert_array_equal(joined[:], whole)
    np.testing.assert_array_equal(part[:], whole[[7, 0, 4]])
    assert joined.shape == (8, 2) and part.shape == (3, 2) and len(part) == 3 and joined.dtype == np.float32


def test_a_phase_brings_its_images_and_the_exemplars_and_nothing_else():
    model = make_incremental(Watched)
    learn_phases(model, 0, 1, epochs=1)
    held = model.memory.read()
    model.watched["rows"].clear()
    model.fit_experience(PHASES[2], epochs=2)
    images, labels = (np.concatenate(column) for column in zip(*model.watched["rows"], strict=True))
    wanted = np.concatenate([PHASES[2].train.images, held.images]), [*PHASES[2].train.labels, *held.labels]
    assert len(held.labels) == 4 * 2
    for epoch in np.split(np.arange(len(labels)), 2):
        pairs = {(label, image.tobytes()) for image, label in zip(images[epoch], labels[epoch], strict=True)}
        assert pairs == {(label, image.astype(np.float32).tobytes()) for image, label in zip(*wanted, strict=True)}
        assert len(epoch) == len(pairs)


# Training -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings", [{"method": "kd", "balanced_epochs": 1}, pytest.param({"method": "lucir"}, marks=pytest.mark.slow)]
)
def test_all_phases_share_a_trace(in_graphs, settings):
    model = learn_phases(make_incremental(Watched, run_eagerly=False, **settings), 0, 1, 2, epochs=1)
    # A while loop is traced once; later phases differ in numbers of classes and images.
    assert model.watched["traces"] == 1


def test_old_rows_are_bitwise_frozen_and_rows_to_come_too():
    model = learn_phases(make_incremental(weight_decay=0.1), 0)
    rows, scale = model.cosine_head.rows.numpy(), model.cosine_head.scale.numpy()
    model.fit_experience(PHASES[1], epochs=2)
    trained = model.cosine_head.rows.numpy()
    np.testing.assert_array_equal(trained[:3], rows[:3])
    np.testing.assert_array_equal(trained[4:], rows[4:])
    assert (trained[3] != rows[3]).all() and model.cosine_head.scale.numpy() != scale
    free = learn_phases(make_incremental(freeze_old_rows=False), 0)
    rows = free.cosine_head.rows.numpy()
    free.fit_experience(PHASES[1], epochs=1)
    assert (free.cosine_head.rows.numpy()[:3] != rows[:3]).all()


def values_by_name(model):
    values = {}
    for variable in model.backbone.trainable_variables:
        values.setdefault(variable.name, []).append(variable.numpy())
    return values


def test_from_the_second_phase_on_scales_train_instead_of_kernels():
    model = make_incremental(backbone=residual_backbone, weight_decay=0.01)
    phases = [values_by_name(learn_phases(model, index, epochs=2)) for index in range(3)]
    for scale in phases[0]["transfer_scale"]:
        np.testing.assert_array_equal(scale, np.ones_like(scale))
    for before, after in itertools.pairwise(phases):
        for old, new in zip(before["kernel"], after["kernel"], strict=True):
            np.testing.assert_array_equal(old, new)
        for name in ("transfer_scale", "gamma"):
            assert all((old != new).any() for old, new in zip(before[name], after[name], strict=True))


def prepared(model, phase):
    """Begins a phase without training on it."""
    model.prepare_weights(phase.train.images, phase.train.labels)
    return model


def test_the_begin_of_a_phase_leaves_what_is_known_of_old_classes():
    model = learn_phases(make_incremental(backbone=residual_backbone), 0)
    before = model.predict(ALL_IMAGES, verbose=0)
    assert (before[:, 3:] == -1e9).all()
    scale = abs(float(model.cosine_head.scale.numpy()))
    assert np.abs(before[:, :3]).max() <= scale + 1e-5
    prepared(model, PHASES[1])
    after = model.predict(ALL_IMAGES, verbose=0)
    np.testing.assert_array_equal(after[:, :3], before[:, :3])
    assert np.abs(after[:, 3]).max() <= scale + 1e-5 and (after[:, 4:] == -1e9).all()
    # The teacher is the model of the phase before.
    _, _, logits = model.outputs_of(model.teacher.read(0), model.normalized(ALL_IMAGES), model.num_old)
    np.testing.assert_allclose(logits[:, :3], before[:, :3], rtol=1e-5, atol=1e-6)


def test_new_rows_are_imprinted():
    model = learn_phases(make_incremental(), 0)
    features = model.features_of(PHASES[1].train.images)
    norm = np.linalg.norm(model.cosine_head.rows.numpy()[:3], axis=1).mean()
    prepared(model, PHASES[1])
    mean = class_means(features, np.zeros(len(features), int), 1)[0]
    np.testing.assert_allclose(model.cosine_head.rows.numpy()[3], norm * mean, rtol=1e-5)


def test_an_update_is_that_of_sgd_with_coupled_l2():
    model = make_incremental(batch_size=18, weight_decay=0.02, learning_rate=0.1)
    images, labels = PHASES[0].train.images, PHASES[0].train.labels
    before = values_of(model.trainable_variables)
    model.num_seen.assign(3)
    with tf.GradientTape() as tape:
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, model(images, training=True))
        loss = tf.reduce_mean(losses)
    gradients = tape.gradient(loss, model.trainable_variables)
    model = make_incremental(batch_size=18, weight_decay=0.02, learning_rate=0.1)
    model.fit_experience(PHASES[0], epochs=1)
    names = [variable.name for variable in model.trainable_variables]
    for name, variable, old, gradient in zip(names, model.trainable_variables, before, gradients, strict=True):
        expected = old - 0.1 * (tf.convert_to_tensor(gradient).numpy() + 0.02 * old)
        if name == "rows":
            expected[3:] = old[3:]
        np.testing.assert_allclose(variable, expected, atol=1e-5)


def test_the_learning_rate_falls_at_the_milestones_of_each_phase():
    seen, model = [], make_incremental(learning_rate=0.4, milestones=(1, 3))
    noting = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: seen.append(float(model.optimizer.learning_rate)))
    for index in (0, 1):
        model.fit_experience(PHASES[index], epochs=4, callbacks=[noting])
    np.testing.assert_allclose(seen, 2 * [0.4, 0.04, 0.04, 0.004], rtol=1e-5)


def loss_of(method, **settings):
    model = prepared(learn_phases(make_incremental(method=method, **settings), 0, epochs=1), PHASES[1])
    images = np.concatenate([PHASES[1].train.images, model.memory.read().images])
    labels = np.concatenate([PHASES[1].train.labels, model.memory.read().labels]).astype(np.int32)
    # Otherwise the student is its teacher, from which nothing parts it.
    model.backbone.layers[2].kernel.assign_add(0.3 * np.random.default_rng(0).normal(size=(64, 7)))
    inputs = model.normalized(images)
    features = model.backbone(inputs, training=False)
    cosines = model.head(features) / model.cosine_head.scale
    return float(model.phase_loss(inputs, labels, features, cosines))


def test_methods_weigh_what_is_new_and_what_is_old():
    new, both = loss_of("ce"), loss_of("kd")
    old = both - new
    assert old > 1e-3
    # Three old classes and a new one.
    assert loss_of("bic") == pytest.approx(new / 4 + old * 3 / 4, rel=1e-4)
    assert loss_of("kd", new_weight=0.3) == pytest.approx(0.3 * new + 0.7 * old, rel=1e-4)
    assert loss_of("lucir") > new and loss_of("lucir_ms") > new
    assert loss_of("lucir") != pytest.approx(loss_of("lucir_ms"))


@pytest.mark.parametrize(
    "method",
    [
        "bic",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("kd", "lucir", "lucir_ms", "ce")),
    ],
)
def test_every_method_learns_what_is_easy(in_graphs, method):
    model = make_incremental(method=method, initial_scale=5.0, learning_rate=0.2, run_eagerly=False)
    learn_phases(model, 0, 1, 2, epochs=10)
    predicted = model.predicted_classes(ALL_IMAGES, ("fc", "nme", "fine_tuned"))
    for classes in predicted.values():
        assert np.mean(classes == ALL_LABELS) > 0.55  # chance is 1 / 6
    np.testing.assert_array_equal(predicted["fc"], model.predict(ALL_IMAGES, verbose=0).argmax(axis=1))


def test_joint_training_takes_all_images_so_far_and_keeps_none(in_graphs):
    model = make_incremental(method="joint", initial_scale=5.0, learning_rate=0.2, run_eagerly=False)
    for labels in ([0, 1, 2], [0, 1, 2, 3]):
        model.fit_experience(make_phase(labels), epochs=10)
    known = make_phase([0, 1, 2, 3]).train
    assert np.mean(model.predicted_classes(known.images, ("fc",))["fc"] == known.labels) > 0.9
    assert len(model.memory) == 0


# Exemplars ------------------------------------------------------------------------------------------------------------


def test_exemplars_are_kept_by_class_and_trimmed_to_the_budget():
    model = learn_phases(make_incremental(total_exemplars=12, exemplar_dtype="uint8"), 0, epochs=1)
    first = model.memory.read()
    assert np.bincount(first.labels).tolist() == [4, 4, 4]
    learn_phases(model, 1, 2, epochs=1)
    held = model.memory.read()
    assert np.bincount(held.labels).tolist() == [2] * 6
    assert_equal_samples(held.take(held.labels < 3), first.take(first.positions < 2))
    for image, label in zip(held.images, held.labels, strict=True):
        assert any((image == candidate).all() for candidate in ALL_IMAGES[label == ALL_LABELS])


def test_fine_tuning_on_exemplars_moves_the_rows_alone():
    plain, tuned = (
        learn_phases(make_incremental(balanced_epochs=epochs, balanced_learning_rate=0.1), 0, 1) for epochs in (0, 2)
    )
    assert_same_values(tuned.backbone.variables, values_of(plain.backbone.variables))
    assert (tuned.cosine_head.rows.numpy()[:4] != plain.cosine_head.rows.numpy()[:4]).any(axis=1).all()
    assert int(tuned.balancing.numpy()) == 0


@pytest.mark.slow
def test_whole_fine_tuning_leaves_the_statistics():
    plain, tuned = (learn_phases(make_incremental(balanced_epochs=n, balanced_all=True), 0, 1) for n in (0, 1))
    assert_same_values(tuned.backbone.non_trainable_variables, values_of(plain.backbone.non_trainable_variables))
    assert (tuned.backbone.layers[2].kernel.numpy() != plain.backbone.layers[2].kernel.numpy()).any()


def test_bias_correction_holds_samples_out_and_changes_new_logits():
    model = make_incremental(Watched, method="bic", exemplars_per_class=3)
    learn_phases(model, 0)
    np.testing.assert_array_equal(model.correction, [1, 0])
    model.watched["rows"].clear()
    model.fit_experience(PHASES[1], epochs=1)
    labels = np.concatenate([labels for _, labels in model.watched["rows"]])
    assert np.bincount(labels).tolist() == [2, 2, 2, 5]
    alpha, beta = model.correction.numpy()
    assert (alpha, beta) != (1, 0)
    logits = tf.constant([[1.0, 2.0, 3.0, 4.0]])
    np.testing.assert_allclose(corrected(logits, [2.0, 1.0], 1, 3), [[1, 5, 7, 4]])


def test_mirrored_images_enter_the_means():
    wide, none = (learn_phases(make_incremental(mirror=mirror), 0, epochs=1) for mirror in ("width", None))
    images, labels = PHASES[0].train.images, PHASES[0].train.labels
    both = class_means(wide.features_of(images), labels, 3, wide.features_of(images[:, :, ::-1]))
    np.testing.assert_allclose(wide.class_means_of(images, labels), both, rtol=1e-5)
    np.testing.assert_allclose(
        none.class_means_of(images, labels), class_means(none.features_of(images), labels, 3), rtol=1e-5
    )


# State ----------------------------------------------------------------------------------------------------------------


class Stop(keras.callbacks.Callback):
    """Ends training after some steps, as an interruption would, and keeps the state."""

    def __init__(self, steps):
        super().__init__()
        self.steps_left = steps

    def on_train_batch_end(self, batch, logs=None):
        self.steps_left -= 1
        if self.steps_left == 0:
            raise InterruptedError


def test_a_phase_resumed_midway_ends_with_the_same_weights(tmp_path):
    def make():
        settings = {"method": "lucir", "balanced_epochs": 1, "minibatches_per_step": 1, "batch_size": 10}
        return make_incremental(augmentation=RandomCropFlip(1, seed=1), **settings)

    whole = learn_phases(make(), 0, 1, 2)
    steps = 3  # of two in an epoch
    broken = learn_phases(make(), 0, 1)
    with pytest.raises(InterruptedError):
        broken.fit_experience(PHASES[2], epochs=2, callbacks=[Stop(steps)])
    save_state(tmp_path / "state.npz", broken)
    resumed = make()
    restore_state(tmp_path / "state.npz", resumed)
    resumed.experience_index = 2
    resumed.fit_experience(PHASES[2], epochs=2, start=steps)
    assert_same_values(resumed.variables, values_of(whole.variables))


def test_a_file_holds_all_that_is_needed_to_go_on(tmp_path):
    model = make_incremental(
        method="bic", exemplar_dtype="uint8", augmentation=RandomCropFlip(2, seed=1), selection="random", top_k=1
    )
    learn_phases(model, 0, 1, epochs=1)
    model.save(tmp_path / "model.keras")
    loaded = ocm_tf.load_model(tmp_path / "model.keras")
    assert loaded._own_config == model._own_config and loaded.augmentation.padding == 2
    np.testing.assert_array_equal(loaded.predict(ALL_IMAGES, verbose=0), model.predict(ALL_IMAGES, verbose=0))
    assert_equal_samples(loaded.memory.read(), model.memory.read())
    for name, value in optimizer_values(model).items():
        np.testing.assert_array_equal(optimizer_values(loaded)[name], value)
    for either in (model, loaded):
        either.fit_experience(PHASES[2], epochs=1)
    assert_same_values(loaded.weights, values_of(model.weights))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "icarl"}, "method must be one of"),
        ({"mirror": "height"}, "mirror must be one of"),
        ({"new_weight": 2}, "new_weight must lie in 0 to 1"),
        ({"exemplars_per_class": 0}, "per_class must be at least 1"),
        ({"total_exemplars": 3}, "total must give each"),
    ],
)
def test_wrong_arguments_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        make_incremental(**settings)


def test_classes_must_come_in_order():
    model = learn_phases(make_incremental(), 0, epochs=1)
    with pytest.raises(UserError, match="3 next, got 4 to 5"):
        model.fit_experience(PHASES[2], epochs=1)
