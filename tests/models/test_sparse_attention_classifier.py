"""Checks the classifier of sparse attention experts: what trains, what stays, what is transferred, who answers."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ocm_tf.memory import SlidingMemory
from ocm_tf.models import SparseAttentionClassifier
from ocm_tf.models.growth import variables_of
from ocm_tf.networks import MLP, GaussianAutoencoder, GaussianEncoder, PatchAttention
from tests import tiny

NUM_CLASSES, NUM_HEADS, HEAD_SIZE = 4, 4, 12
IMAGES = tiny.make_images(24, seed=3)
LABELS = np.arange(24) % NUM_CLASSES


def make_classifier(memory=None, seed=5, optimizer=keras.optimizers.Adam, **settings):
    keras.utils.set_random_seed(seed)
    layers = keras.layers
    head = keras.Sequential(
        [layers.Dense(8), layers.LayerNormalization(), layers.LeakyReLU(0.2), layers.Dense(NUM_CLASSES)]
    )
    model = SparseAttentionClassifier(
        PatchAttention(NUM_HEADS, 4, 5, 3),
        head,
        GaussianAutoencoder(GaussianEncoder(2, (6,)), MLP((6, tiny.NUM_PIXELS)), 2),
        tiny.IMAGE_SHAPE,
        memory=memory,
        seed=seed,
        **{"max_components": 6, "epochs_per_batch": 1, "minibatch_size": 8, **settings},
    )
    model.build((None, *tiny.IMAGE_SHAPE))
    model.compile(optimizer(0.01), keras.optimizers.Adam(0.02))
    return model


def train(model, num_steps=2):
    """Makes updates outside a graph, which takes less time than tracing one."""
    for _ in range(num_steps):
        model.minibatch_step(tf.constant(IMAGES[:8]), tf.constant(LABELS[:8]))


def frozen_state(model):
    """Returns all that belongs to superseded components: both banks, and of a half-used trunk what is frozen."""
    banked = [stack.numpy()[: len(model.component_bank)] for stack in model.component_bank.stacks]
    banked += [stack.numpy()[: len(model.trunk_bank)] for stack in model.trunk_bank.stacks]
    if len(model.component_bank) % 2:
        banked += tiny.values_of([*model.trunk.embedding, *model.trunk.projections[0]])
    return banked


@pytest.fixture(scope="module")
def history():
    """A model of four components, each trained a little, and its state and answers just before each expansion."""
    model, notes, traces = make_classifier(), [], []
    step = model.minibatch_step

    def counted(images, labels):
        traces.append(images.shape)
        return step(images, labels)

    model.minibatch_step = counted
    for component in range(4):
        if component:
            model.grow()
        frozen = frozen_state(model)
        for _ in range(2):
            model.train_on_batch(IMAGES[:8], LABELS[:8])
        answers = [model._probabilities(IMAGES / np.float32(255), k).numpy() for k in range(component + 1)]
        losses = model.losses_of(IMAGES)
        notes.append({"frozen": frozen, "kept": frozen_state(model), "answers": answers,
                      "losses": losses})  # fmt: skip
    return model, notes, traces


# What trains and what stays ------------------------------------------------------------------------------------------


def test_superseded_components_stay_bit_for_bit_and_answer_alike_to_the_end(history):
    model, notes, _ = history
    for note in notes:
        for before, after in zip(note["frozen"], note["kept"], strict=True):
            np.testing.assert_array_equal(before, after)
    for component in range(3):
        for later in notes[component + 1 :]:
            np.testing.assert_array_equal(later["answers"][component], notes[component]["answers"][component])
            for earlier, now in zip(notes[component]["losses"], later["losses"], strict=True):
                np.testing.assert_array_equal(now[:, component], earlier[:, component])
    assert (model.num_components, model.num_experts, len(model.trunk_bank)) == (4, 2, 1)


@pytest.mark.parametrize("component", range(3))
def test_a_component_trains_its_half_of_the_trunk_and_only_the_first_the_embedding(component):
    trained = make_classifier()
    for _ in range(component):
        trained.grow()
    before = tiny.values_of(trained.trunk.weights)
    train(trained)
    moved = [(old != new).any() for old, new in zip(before, tiny.values_of(trained.trunk.weights), strict=True)]
    is_first = component % 2 == 0
    assert moved == [is_first] * 4 + [is_first] * 2 + [not is_first] * 2


@pytest.mark.parametrize("optimizer", [keras.optimizers.AdamW, keras.optimizers.SGD])
def test_no_optimizer_moves_what_is_frozen(optimizer):
    # Weight decay moves also what has no gradient.
    model = make_classifier(optimizer=optimizer)
    train(model)
    model.grow()
    before = frozen_state(model)
    train(model)
    for old, new in zip(before, frozen_state(model), strict=True):
        np.testing.assert_array_equal(old, new)


def test_without_freezing_the_second_component_trains_the_whole_trunk():
    model = make_classifier(freeze_trunk=False)
    train(model)
    model.grow()
    before, answers = tiny.values_of(model.trunk.weights), model._probabilities(IMAGES / np.float32(255), 0).numpy()
    train(model)
    assert all((old != new).any() for old, new in zip(before, tiny.values_of(model.trunk.weights), strict=True))
    assert (model._probabilities(IMAGES / np.float32(255), 0).numpy() != answers).any()
    model.grow()
    # A trunk with both halves used is frozen all the same.
    banked = frozen_state(model)
    train(model)
    for old, new in zip(banked, frozen_state(model), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_new_component_starts_afresh():
    model = make_classifier()
    train(model)
    old = {layer: tiny.values_of(variables_of(layer)) for layer in model.templates}
    trunk = tiny.values_of(model.trunk.weights)
    model.grow()
    tiny.assert_same_values(model.trunk.weights, trunk)
    for layer in model.templates:
        assert any((a != b).any() for a, b in zip(old[layer], tiny.values_of(variables_of(layer)), strict=True))
    for optimizer in (model.optimizer, model.vae_optimizer):
        assert int(optimizer.iterations.numpy()) == 0
        assert not any(value.any() for value in tiny.values_of(optimizer._momentums + optimizer._velocities))
    model.grow()
    assert any((a != b).any() for a, b in zip(trunk, tiny.values_of(model.trunk.weights), strict=True))


def test_the_optimizers_share_no_variable_and_each_loss_leaves_the_others_part_alone():
    model = make_classifier()
    classifier = {id(v) for v in model.optimized_variables}
    vae = {id(v) for v in model.autoencoder.trainable_variables}
    assert not classifier & vae
    assert classifier | vae == {id(v) for v in model.trainable_variables}
    assert not {id(v) for v in model.optimizer.variables} & {id(v) for v in model.vae_optimizer.variables}
    before = tiny.values_of(model.autoencoder.trainable_variables)
    model._classifier_step(tf.constant(IMAGES / np.float32(255)), tf.constant(LABELS), 0)
    tiny.assert_same_values(model.autoencoder.trainable_variables, before)
    before = tiny.values_of(model.optimized_variables)
    model._vae_step(tf.constant(IMAGES / np.float32(255)))
    tiny.assert_same_values(model.optimized_variables, before)


def test_growth_adds_no_variable_and_no_trace(history):
    model, _, traces = history
    # One for each branch of nothing: the step is traced once, whichever half trains.
    assert len(traces) == 1
    assert model._probabilities.experimental_get_tracing_count() == 1
    assert model._losses.experimental_get_tracing_count() == 1
    assert [v.shape for v in model.weights] == [v.shape for v in make_classifier().weights]
    full = make_classifier(max_components=1)
    with pytest.raises(ValueError, match="holds 0 copies already"):
        full.grow()


# Features -------------------------------------------------------------------------------------------------------------


def features_of(model, component, num_heads_in_use):
    inputs = tf.constant(IMAGES[:3] / np.float32(255))
    weights = model.head_gates(num_in_use=num_heads_in_use)
    heads = model.trunk(inputs)
    features = model.features(inputs, heads, tf.constant(component), weights).numpy()
    return heads.numpy(), weights.numpy(), features.reshape(3, 2, NUM_HEADS, HEAD_SIZE)


def test_the_first_component_is_given_its_half_of_the_heads_and_zeros():
    heads, weights, features = features_of(make_classifier(), 0, 0)
    np.testing.assert_array_equal(features[:, 0, :2], heads[:, :2])
    assert not features[:, 0, 2:].any()
    assert not features[:, 1].any()
    assert not weights.any()


def test_later_components_are_given_the_heads_of_all_earlier_ones_by_their_gates():
    model = make_classifier()
    first = make_classifier().trunk
    heads, weights, features = features_of(model, 1, 2)
    np.testing.assert_array_equal(features[:, 0, 2:], heads[:, 2:])
    assert not features[:, 0, :2].any()
    np.testing.assert_allclose(features[:, 1, :2], heads[:, :2] * weights[:2, None], rtol=1e-5)
    assert not features[:, 1, 2:].any()
    model.grow()
    model.grow()
    model.grow()
    heads, weights, features = features_of(model, 3, 6)
    earlier = first(IMAGES[:3] / np.float32(255)).numpy()
    np.testing.assert_array_equal(features[:, 0, 2:], heads[:, 2:])
    np.testing.assert_allclose(weights[:6].sum(), 1, rtol=1e-5)
    transferred = earlier * weights[:4, None]
    transferred[:, :2] += heads[:, :2] * weights[4:6, None]
    np.testing.assert_allclose(features[:, 1], transferred, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("half", "freeze_trunk"), [(0, True), (1, True), (1, False)])
def test_masked_heads_have_no_gradient_but_by_transfer_without_freezing(half, freeze_trunk):
    model = make_classifier(freeze_trunk=freeze_trunk)
    for _ in range(half):
        model.grow()
    inputs = tf.constant(IMAGES[:3] / np.float32(255))
    with tf.GradientTape() as tape:
        heads = model.trunk(inputs)
        tape.watch(heads)
        weights = model.head_gates(num_in_use=model.num_superseded_heads(half))
        loss = tf.reduce_sum(model.head(model.features(inputs, heads, half, weights)) ** 2)
    gradient = tape.gradient(loss, heads).numpy().reshape(3, 2, 2, HEAD_SIZE)
    assert gradient[:, half].any()
    assert gradient[:, 1 - half].any() == (half == 1 and not freeze_trunk)


def test_without_transfer_there_are_own_features_alone_and_gates_stay():
    model = make_classifier(kta=False)
    inputs = tf.constant(IMAGES[:3] / np.float32(255))
    features = model.features(inputs, model.trunk(inputs), 0, None)
    assert features.shape == (3, NUM_HEADS * HEAD_SIZE)
    model.grow()
    before = tiny.values_of(model.head_gates.weights)
    train(model)
    tiny.assert_same_values(model.head_gates.weights, before)


def test_gates_learn_once_there_is_something_to_transfer():
    model = make_classifier()
    before = tiny.values_of(model.head_gates.weights)
    train(model)
    tiny.assert_same_values(model.head_gates.weights, before)
    model.grow()
    (before,) = tiny.values_of(model.head_gates.weights)
    train(model)
    (after,) = tiny.values_of(model.head_gates.weights)
    assert (before[:2] != after[:2]).all()
    np.testing.assert_array_equal(before[2:], after[2:])


def test_gumbel_gates_are_noisy_in_training_alone_and_leave_the_vaes_as_they_were():
    noisy, plain = (make_classifier(gates=gates) for gates in ("gumbel", "softmax"))
    assert (noisy.head_gates.temperature, plain.head_gates.temperature) == (0.5, 1.0)
    for model in (noisy, plain):
        model.grow()
        train(model, 1)
    assert (noisy.head.weights[0].numpy() != plain.head.weights[0].numpy()).any()
    tiny.assert_same_values(noisy.autoencoder.weights, tiny.values_of(plain.autoencoder.weights))
    np.testing.assert_array_equal(noisy.classify(IMAGES), noisy.classify(IMAGES))
    draws = [noisy._gumbel_noise().numpy() for _ in range(60)]
    # The mean of the Gumbel distribution is Euler's constant.
    assert abs(np.mean(draws) - 0.5772) < 0.2


# Answers --------------------------------------------------------------------------------------------------------------


def test_images_are_judged_one_by_one(history):
    model, _, _ = history
    routes = np.arange(24) % 4
    together, order = model.classify(IMAGES, routes=routes), np.random.default_rng(0).permutation(24)
    np.testing.assert_allclose(together.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(model.classify(IMAGES[order], routes=routes[order]), together[order], rtol=1e-4)
    np.testing.assert_allclose(model.classify(IMAGES, batch_size=1, routes=routes), together, rtol=1e-4, atol=1e-6)
    expected = np.stack([model._probabilities(IMAGES / np.float32(255), k).numpy() for k in range(4)])
    np.testing.assert_allclose(together, expected[routes, np.arange(24)], rtol=1e-4, atol=1e-6)


def test_the_loss_is_the_squared_error_of_one_code_and_its_divergence(history):
    model, _, _ = history
    errors, kls = model.losses_of(IMAGES[:5], seed=7)
    assert errors.shape == kls.shape == (5, 4)
    inputs = IMAGES[:5] / np.float32(255)
    noise = tf.random.stateless_normal([5, 2], [7, 0])
    outputs, z_mean, z_std = (value.numpy() for value in model.autoencoder(inputs, noise))
    np.testing.assert_allclose(errors[:, 3], ((outputs - inputs) ** 2).sum(axis=(1, 2, 3)), rtol=1e-4)
    expected = 0.5 * (z_mean**2 + z_std**2 - np.log(z_std**2) - 1).sum(axis=1)
    np.testing.assert_allclose(kls[:, 3], expected, rtol=1e-4)
    np.testing.assert_allclose(model.energies(IMAGES[:5], 2, seed=7), errors[:, :2].mean(axis=0), rtol=1e-5)


def test_images_go_to_the_lowest_loss_and_of_equals_to_the_oldest(monkeypatch):
    model = make_classifier(kl_weight=0.5)
    model.grow()
    model.grow()
    losses = (np.array([[3.0, 2, 2], [1, 1, 5], [4, 4, 1]]), np.array([[0.0, 2, 2], [0, 0, 0], [0, 0, 5]]))
    monkeypatch.setattr(model, "losses_of", lambda images, batch_size, seed: losses)
    assert model.route(IMAGES[:3]).tolist() == [0, 0, 2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"gates": "hard"}, "gates must be 'softmax' or 'gumbel', got 'hard'"),
        ({"max_components": 0}, "max_components must be at least 1, got 0"),
        ({"kl_weight": -1.0}, "kl_weight must not be negative, got -1.0"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_classifier(**arguments)


def test_bad_images_and_missing_labels_are_refused(history):
    model, _, _ = history
    with pytest.raises(ValueError, match=r"images must have shape \(n, 8, 8, 1\), got \(2, 4, 4, 1\)"):
        model.classify(np.zeros((2, 4, 4, 1), np.uint8))
    with pytest.raises(ValueError, match=r"learns from \(images, labels\)"):
        model.train_step(IMAGES[:4])


# Files ----------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A model of three components with non-default arguments and samples in memory, and the same loaded."""
    memory = SlidingMemory(12, tiny.IMAGE_SHAPE, 4, held_back=2)
    model = make_classifier(
        memory, max_components=5, gates="gumbel", temperature=0.7, kl_weight=0.3, freeze_trunk=False, minibatch_size=3
    )
    for component in range(3):
        if component:
            model.grow()
        model.train_on_batch(IMAGES[4 * component : 4 * component + 4], LABELS[:4])
    memory.drop_oldest(5)
    path = tmp_path_factory.mktemp("saved") / "model.keras"
    model.save(path)
    return model, keras.saving.load_model(path)


def test_a_loaded_model_is_the_same_and_goes_on_alike(saved):
    model, loaded = saved
    assert (loaded.num_components, loaded.num_experts, loaded.max_components) == (3, 2, 5)
    names = ("gates", "temperature", "kl_weight", "freeze_trunk", "minibatch_size", "kta", "seed")
    assert [getattr(loaded, name) for name in names] == ["gumbel", 0.7, 0.3, False, 3, True, 5]
    np.testing.assert_array_equal(loaded.classify(IMAGES), model.classify(IMAGES))
    np.testing.assert_array_equal(loaded.route(IMAGES), model.route(IMAGES))
    tiny.assert_equal_samples(loaded.memory.gather(), model.memory.gather())
    for name in ("optimizer", "vae_optimizer"):
        ours, theirs = getattr(loaded, name), getattr(model, name)
        assert ours.get_config() == theirs.get_config()
        assert int(theirs.iterations.numpy()) > 0
        tiny.assert_same_values(ours.variables, tiny.values_of(theirs.variables))
    # A file does not keep the state of random draws, so both sides start from the same.
    for seeds in ("seed_generator", "gate_seeds"):
        getattr(loaded, seeds).state.assign(getattr(model, seeds).state)
    assert loaded.train_on_batch(IMAGES[12:16], LABELS[12:16]) == model.train_on_batch(IMAGES[12:16], LABELS[12:16])
    tiny.assert_same_values(loaded.trainable_weights, tiny.values_of(model.trainable_weights))
    for grown in saved:
        grown.grow()
    tiny.assert_same_values(loaded.trainable_weights, tiny.values_of(model.trainable_weights))


def test_a_copy_without_memory_answers_alike(saved, tmp_path):
    model, _ = saved
    copy = model.without_memory()
    copy.save(tmp_path / "model.keras")
    for each in (copy, keras.saving.load_model(tmp_path / "model.keras")):
        assert each.memory is None
        np.testing.assert_array_equal(each.classify(IMAGES), model.classify(IMAGES))


def test_training_images_are_distorted_if_so_wanted():
    plain, distorted = (make_classifier(augmentation=layer) for layer in (None, keras.layers.RandomFlip(seed=3)))
    for model in (plain, distorted):
        train(model, 1)
    assert (plain.head.weights[0].numpy() != distorted.head.weights[0].numpy()).any()
