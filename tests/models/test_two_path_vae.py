"""Checks DEMC's model: which update changes what, in what order, and the way through a file."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import ocm_tf
from ocm_tf.callbacks import MemoryTransfer
from ocm_tf.models import TwoPathVAE
from ocm_tf.models.two_path_losses import generator_loss
from tests import tiny
from tests.tiny import assert_same_values, values_of

PARTS = ("encoder", "generator", "critic")


def inputs_of(num_images=4, seed=0):
    return tf.constant(tiny.make_images(num_images, seed) / np.float32(255))


def changed_parts(model, step):
    before = {name: values_of(getattr(model, name).weights) for name in PARTS}
    step(model)
    return {
        name
        for name in PARTS
        if any((a != b).any() for a, b in zip(before[name], values_of(getattr(model, name).weights), strict=True))
    }


@pytest.mark.parametrize(
    ("paths", "changed"),
    [("two", {"encoder", "generator"}), ("strict", {"generator"}), ("single", {"encoder", "generator"})],
)
def test_each_update_changes_its_own_networks_alone(paths, changed):
    model, inputs = tiny.make_two_path_vae(paths=paths), inputs_of()
    assert changed_parts(model, lambda model: model.critic_step(inputs)) == {"critic"}
    assert changed_parts(model, lambda model: model.generator_step(inputs)) == changed
    path_2 = lambda model: model.encoder_step(inputs, model.encoder_optimizer)  # noqa: E731
    assert changed_parts(model, path_2) == {"encoder"}


@pytest.mark.parametrize(
    ("options", "iterations"),
    [
        ({"paths": "two"}, (1, 1, 1)),
        ({"paths": "strict"}, (1, 1, 1)),
        ({"paths": "single"}, (1, 1, 0)),
        ({"paths": "elbo"}, (0, 1, 0)),
        ({"paths": "single", "own_encoder_optimizer": True}, (1, 1, 1)),
        ({"paths": "single", "extra_encoder_steps": 2}, (1, 3, 0)),
    ],
)
def test_optimizers_count_their_updates_and_share_nothing(options, iterations):
    model = tiny.make_two_path_vae(**options)
    model.minibatch_step(tiny.make_images(4), None)
    optimizers = (model.critic_optimizer, model.optimizer, model.encoder_optimizer)
    assert tuple(int(optimizer.iterations.numpy()) for optimizer in optimizers) == iterations
    slots = [{id(variable) for variable in optimizer.variables} for optimizer in optimizers]
    assert not (slots[0] & slots[1] or slots[1] & slots[2] or slots[0] & slots[2])


def test_the_encoders_own_optimizer_takes_the_gradient_of_path_1():
    own = tiny.make_two_path_vae(paths="single", own_encoder_optimizer=True)
    joint, inputs = tiny.make_two_path_vae(paths="single"), inputs_of()
    own.encoder_optimizer.learning_rate.assign(0.0)
    start = values_of(own.encoder.weights)
    for model in (own, joint):
        model.generator_step(inputs)
    assert_same_values(own.encoder.weights, start)
    assert_same_values(own.generator.weights, values_of(joint.generator.weights))


def test_a_graph_makes_the_updates_in_their_order():
    images = tiny.make_images(4)
    graph, eager = tiny.make_two_path_vae(tiny.make_cluster_memory()), tiny.make_two_path_vae()
    graph.memory.observe(tf.constant(images), tf.fill([4], tf.constant(-1, tf.int64)))
    tf.function(graph.train_on_memory, autograph=False)()
    rows = keras.random.randint((8,), 0, 4, seed=eager.seed_generator)
    for step in range(2):
        inputs = tf.gather(inputs_of(), rows[4 * step : 4 * step + 4])
        eager.critic_step(inputs)
        eager.generator_step(inputs)
        eager.encoder_step(inputs, eager.encoder_optimizer)
    for name in PARTS:
        for weight, expected in zip(getattr(graph, name).weights, getattr(eager, name).weights, strict=True):
            np.testing.assert_allclose(weight, expected, rtol=2e-3, atol=2e-5)


def test_path_2_lowers_its_loss_with_the_generator_frozen():
    model, inputs = tiny.make_two_path_vae(width=0.3), inputs_of(16)
    frozen = values_of(model.generator.weights)
    with tf.GradientTape() as tape:
        loss = model.loss_of(inputs)
    assert all(gradient is not None for gradient in tape.gradient(loss, model.generator.trainable_variables))
    # The first updates make up for the divergence that the start has.
    step = tf.function(lambda: model.encoder_step(inputs, model.encoder_optimizer))
    losses = np.array([float(step()) for _ in range(120)]).reshape(4, 30).mean(axis=1)
    assert (np.diff(losses) < 0.01 * losses[0]).all() and losses[-1] < losses[0]
    assert_same_values(model.generator.weights, frozen)


def test_gradients_reach_the_generator_from_both_terms():
    model, inputs = tiny.make_two_path_vae(), inputs_of()
    draws = model.seed_generator.state.numpy()
    variables = model.generator.trainable_variables

    def gradients(loss_of):
        model.seed_generator.state.assign(draws)
        with tf.GradientTape() as tape:
            vae_loss, scores = model.loss_of(inputs), model.critic(model.generated(4))
            loss = loss_of(vae_loss, scores)
        return [np.asarray(gradient) for gradient in tape.gradient(loss, variables)]

    vae = gradients(lambda vae_loss, scores: vae_loss)
    adversarial = gradients(lambda vae_loss, scores: -tf.reduce_mean(scores))
    silenced = gradients(lambda vae_loss, scores: generator_loss(scores, vae_loss, 0.0))
    pure = gradients(lambda vae_loss, scores: generator_loss(scores, 0.0))
    both = gradients(lambda vae_loss, scores: generator_loss(scores, vae_loss))
    for values in zip(vae, adversarial, silenced, pure, both, strict=True):
        np.testing.assert_array_equal(values[2], values[0])
        np.testing.assert_array_equal(values[3], values[1])
        np.testing.assert_allclose(values[4], values[0] + values[1], rtol=1e-4, atol=1e-6)
    assert all(max(np.abs(gradient).max() for gradient in part) > 0 for part in (vae, adversarial))


def test_samples_come_from_the_prior_and_follow_the_seed():
    model = tiny.make_two_path_vae(prior="uniform")
    first, again, other = model.generate(5, 1), model.generate(5, 1), model.generate(5, 2)
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0 and first.shape == (5, *tiny.IMAGE_SHAPE)
    assert first.min() >= 0 and first.max() <= 1
    seen = []
    model._decode = lambda latents: seen.append(latents) or np.zeros((len(latents), *tiny.IMAGE_SHAPE))
    model.generate(2000, 0)
    drawn = np.concatenate(seen)
    assert np.abs(drawn).max() <= 1 and drawn.std() == pytest.approx(1 / np.sqrt(3), rel=0.03)


def test_reconstructions_depend_on_no_other_image():
    model, images = tiny.make_two_path_vae(), tiny.make_images(600)
    whole, order = model.reconstruct(images), np.random.default_rng(0).permutation(600)
    np.testing.assert_allclose(model.reconstruct(images[order]), whole[order], atol=1e-6)
    np.testing.assert_allclose(model.reconstruct(images[7:10]), whole[7:10], atol=1e-6)
    assert np.abs(model.reconstruct(images[:5], sample=True, seed=1) - whole[:5]).max() > 0
    np.testing.assert_allclose(model(images[:5]), whole[:5], atol=1e-6)
    z_mean, z_std = model.posterior(images[:5])
    np.testing.assert_array_equal(model.features(images[:5]), z_mean)
    assert (z_std > 0).all()


def test_a_running_mean_of_the_weights_takes_their_place_when_a_stream_ends():
    momentum, images = 0.75, tiny.make_images(4)
    model = tiny.make_two_path_vae(paths="elbo")
    model.compile(keras.optimizers.RMSprop(1e-2, use_ema=True, ema_momentum=momentum))
    means = None
    for _ in range(3):
        model.minibatch_step(images, None)
        weights = values_of(model.optimized_variables)
        # The first update starts the mean.
        share = 1 - momentum if means else 1.0
        means = [share * w + (1 - share) * m for w, m in zip(weights, means or weights, strict=True)]
    # As Keras does at the end of `fit`.
    model.optimizer.finalize_variable_values(model.trainable_weights)
    for mean, weight in zip(means, values_of(model.optimized_variables), strict=True):
        np.testing.assert_allclose(weight, mean, atol=1e-6)


def test_a_running_mean_of_weights_that_path_1_leaves_is_refused():
    model = tiny.make_two_path_vae(paths="strict")
    with pytest.raises(ValueError, match="optimizer must not have use_ema where path 1 leaves the encoder"):
        model.compile(keras.optimizers.RMSprop(1e-2, use_ema=True))


@pytest.fixture(scope="module")
def trained():
    """A model of non-default arguments after five batches through OCM's memories and its rule."""
    options = {"paths": "two", "kl_weight": 0.3, "adversarial_weight": 0.7, "penalty_weight": 5.0, "prior": "uniform"}
    model = tiny.make_two_path_vae(tiny.make_memory(), penalty="rows", extra_encoder_steps=1, **options)
    traces, step = [], model.minibatch_step
    model.minibatch_step = lambda images, labels: traces.append(images.shape) or step(images, labels)
    transfer = MemoryTransfer(selection="random", max_transferred=2, long_term_limit=20, skip_first_round=False)
    model.fit(tiny.batches_of(tiny.make_images(20)), verbose=0, callbacks=[transfer])
    del model.minibatch_step
    return model, traces


def test_another_methods_memory_serves_this_model(trained):
    model, traces = trained
    # The first batch seeds the long-term memory; two full rounds of two samples.
    assert len(model.memory.long_term) == 4 + 2 * 2 and len(traces) == 1
    assert int(model.critic_optimizer.iterations.numpy()) == 5 * 2


def test_a_file_brings_back_outputs_optimizers_and_the_next_step(trained, tmp_path):
    model, _ = trained
    model.save(tmp_path / "model.keras")
    copy = ocm_tf.load_model(tmp_path / "model.keras")
    images = tiny.make_images(4, seed=9)
    assert {name: copy.get_config()[name] for name in ("kl_weight", "prior", "penalty", "extra_encoder_steps")} == {
        "kl_weight": 0.3, "prior": "uniform", "penalty": "rows", "extra_encoder_steps": 1,
    }  # fmt: skip
    np.testing.assert_array_equal(copy.generate(3, 1), model.generate(3, 1))
    np.testing.assert_array_equal(copy.reconstruct(images), model.reconstruct(images))
    for name in ("optimizer", "critic_optimizer", "encoder_optimizer"):
        assert_same_values(getattr(copy, name).variables, values_of(getattr(model, name).variables))
    copy.seed_generator.state.assign(model.seed_generator.state)
    assert copy.train_on_batch(images) == pytest.approx(model.train_on_batch(images), rel=1e-5)
    for name in PARTS:
        for weight, expected in zip(getattr(copy, name).weights, getattr(model, name).weights, strict=True):
            np.testing.assert_allclose(weight, expected, rtol=1e-5, atol=1e-7)
    model.without_memory().save(tmp_path / "bare.keras")
    bare = ocm_tf.load_model(tmp_path / "bare.keras")
    np.testing.assert_array_equal(bare.generate(3, 1), model.generate(3, 1))
    assert bare.memory is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"paths": "three"}, "paths must be one of"),
        ({"prior": "cauchy"}, "prior must be one of"),
        ({"penalty": "none"}, "penalty must be one of"),
        ({"own_encoder_optimizer": True}, "own_encoder_optimizer is for paths='single', got paths='two'"),
        ({"extra_encoder_steps": -1}, "extra_encoder_steps must not be negative, got -1"),
        ({"critic": None}, "critic must be given for paths='two', got None"),
    ],
)
def test_bad_arguments_are_named(options, message):
    networks = {name: keras.layers.Identity() for name in PARTS}
    with pytest.raises(ValueError, match=message):
        TwoPathVAE(**{**networks, "image_shape": tiny.IMAGE_SHAPE, "latent_dim": 2, **options})


def test_bad_images_are_refused():
    model = tiny.make_two_path_vae(paths="elbo")
    with pytest.raises(ValueError, match=r"images must have shape \(n, 8, 8, 1\), got \(2, 4, 4, 1\)"):
        model.posterior(np.zeros((2, 4, 4, 1), np.uint8))
    with pytest.raises(ValueError, match="made for images of shape"):
        model.build((None, 4, 4, 1))
