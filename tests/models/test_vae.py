"""Checks the VAE: its loss and its bounds against formulas, its use, and what a file keeps of it."""

import io
import itertools
import subprocess
import sys
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

import ocm_tf
from ocm_tf.metrics import elbo, gaussian_kl, importance_weighted_bound
from ocm_tf.models import VAE
from ocm_tf.models import vae as vae_module
from ocm_tf.networks import MLP, GaussianEncoder, RandomAffine
from tests import tiny
from tests.models import continued

BINARY = tiny.make_binary_images(10)


@pytest.fixture(scope="module")
def vae():
    """A model with random weights, its output far from uniform; no test trains it."""
    return randomised(tiny.make_vae())


def randomised(model, scale=1.0, seed=0):
    rng = np.random.default_rng(seed)
    for weight in model.trainable_weights:
        weight.assign(rng.normal(size=weight.shape) * scale)
    return model


def log_weights_of(model, images, noise, component=0):
    """Computes the log importance weights from the model's networks with NumPy alone."""
    z_mean, z_std = (np.asarray(part, np.float64) for part in model.encode(images, component))
    latents = z_mean[:, None] + z_std[:, None] * noise
    logits = model.decode(latents.reshape(-1, model.latent_dim).astype(np.float32), component).numpy()
    logits = logits.astype(np.float64).reshape(*noise.shape[:2], -1)
    pixels = images.reshape(len(images), 1, -1)
    likelihoods = (pixels * logits - np.logaddexp(0, logits)).sum(-1)
    prior = -0.5 * (latents**2 + np.log(2 * np.pi)).sum(-1)
    posterior = (-0.5 * (noise**2 + np.log(2 * np.pi)) - np.log(z_std)[:, None]).sum(-1)
    return likelihoods + prior - posterior


def draws_of_bounds(seed, num_samples, batch, component=0, chunk=None):
    """Repeats the draws that `component_bounds` makes for a batch of images, chunk by chunk."""
    draw = np.array([seed * 1_000_003 + component, 0], np.int64).astype(np.int32)
    chunk = num_samples if chunk is None else chunk
    starts = range(0, num_samples, chunk)
    return np.concatenate(
        [
            tf.random.stateless_normal([batch, min(chunk, num_samples - start), 2], draw + np.int32([0, start]))
            for start in starts
        ],
        axis=1,
    )


# Loss -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("objective", "kl", "beta", "num_samples"),
    [
        ("elbo", "sampled", 1.0, 5),
        ("elbo", "sampled", 0.25, 1),
        ("elbo", "analytic", 1.0, 5),
        ("elbo", "analytic", 0.25, 5),
        ("iwae", "sampled", 1.0, 5),
        ("iwae", "sampled", 0.25, 5),
    ],
)
def test_the_loss_is_minus_the_bound_averaged_over_the_minibatch(objective, kl, beta, num_samples):
    model = randomised(tiny.make_vae(objective=objective, kl=kl, beta=beta, num_samples=num_samples), 0.5)
    state = model.seed_generator.state.numpy()
    loss = model.loss_of(tf.constant(BINARY)).numpy()
    model.seed_generator.state.assign(state)
    noise = keras.random.normal((10, num_samples, 2), seed=model.seed_generator).numpy()
    likelihoods, kls = (part.numpy() for part in model.log_likelihood_and_kl(BINARY, model.encode(BINARY), noise))
    np.testing.assert_allclose(likelihoods - kls, log_weights_of(model, BINARY, noise), rtol=1e-4)
    if kl == "analytic":
        kls = gaussian_kl(*model.encode(BINARY)).numpy()[:, None]
    weights = likelihoods - beta * kls
    bound = (
        weights.mean(1)
        if objective == "elbo"
        else np.log(np.exp(weights - weights.max(1)[:, None]).mean(1)) + (weights.max(1))
    )
    np.testing.assert_allclose(loss, -bound.mean(), rtol=1e-5)


def test_one_draw_makes_both_objectives_the_same():
    losses = [
        randomised(tiny.make_vae(objective=objective, num_samples=1)).loss_of(tf.constant(BINARY)).numpy()
        for objective in ("elbo", "iwae")
    ]
    np.testing.assert_allclose(*losses, rtol=1e-6)


def test_training_lowers_the_loss_on_grey_images_that_are_drawn_anew():
    model = tiny.make_vae(learning_rate=0.02, num_samples=1)
    images = tiny.make_images(40)
    losses = [float(model.train_on_batch(images)) for _ in range(60)]
    assert np.mean(losses[-10:]) < np.mean(losses[:10]) - 2


def test_training_images_are_distorted_before_they_are_drawn():
    class Halved(keras.layers.Layer):
        def call(self, images):
            return 0.5 * images

    white = np.full((50, *tiny.IMAGE_SHAPE), 255, np.uint8)
    assert np.asarray(tiny.make_vae().training_inputs(white)).min() == 1
    drawn = np.asarray(tiny.make_vae(augmentation=Halved()).training_inputs(white))
    assert set(np.unique(drawn)) == {0, 1}
    assert abs(drawn.mean() - 0.5) < 5 * 0.5 / np.sqrt(drawn.size)


def test_gradients_are_those_of_the_plain_formula():
    model = randomised(tiny.make_vae(num_samples=3), 0.5)
    state = model.seed_generator.state.numpy()
    with tf.GradientTape() as tape:
        loss = model.loss_of(tf.constant(BINARY))
    gradients = tape.gradient(loss, model.trainable_variables)
    model.seed_generator.state.assign(state)
    noise = keras.random.normal((10, 3, 2), seed=model.seed_generator)
    with tf.GradientTape() as tape:
        z_mean, z_std = model.encode(BINARY)
        latents = z_mean[:, None] + z_std[:, None] * noise
        logits = tf.reshape(model.decode(tf.reshape(latents, [-1, 2])), [10, 3, 64])
        pixels = tf.broadcast_to(BINARY.reshape(10, 1, 64), logits.shape)
        likelihoods = -tf.nn.sigmoid_cross_entropy_with_logits(pixels, logits)
        kls = 0.5 * (latents**2 - noise**2) - tf.math.log(z_std)[:, None]
        plain = -tf.reduce_mean(tf.reduce_sum(likelihoods, -1) - tf.reduce_sum(kls, -1))
    for ours, theirs in zip(gradients, tape.gradient(plain, model.trainable_variables), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4)


# Bounds ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("num_samples", "batch"), [(7, 10), (1, 3)])
def test_the_bound_is_the_formula_on_its_draws(vae, num_samples, batch):
    bounds = vae.component_bounds(BINARY[:batch], num_samples, seed=3)
    log_weights = log_weights_of(vae, BINARY[:batch], draws_of_bounds(3, num_samples, batch))
    assert bounds.shape == (batch, 1) and bounds.dtype == np.float32
    expected = np.logaddexp.reduce(log_weights, axis=1) - np.log(num_samples)
    np.testing.assert_allclose(bounds[:, 0], expected, rtol=1e-5)


def test_chunks_make_no_difference_on_the_same_draws(monkeypatch):
    # 40 rows in a chunk are 4 draws of 10 images; the last chunk is smaller.
    monkeypatch.setattr(vae_module, "_CHUNK_ROWS", 40)
    model = randomised(tiny.make_vae())
    bounds = model.component_bounds(BINARY, 11, seed=3)[:, 0]
    log_weights = log_weights_of(model, BINARY, draws_of_bounds(3, 11, 10, chunk=4))
    np.testing.assert_allclose(bounds, importance_weighted_bound(log_weights, axis=1), rtol=1e-5)


@given(seed=st.integers(0, 10_000), num_samples=st.integers(1, 20))
def test_on_the_same_draws_the_importance_weighted_bound_is_never_below_the_elbo(vae, seed, num_samples):
    bounds = vae.component_bounds(BINARY, num_samples, seed=seed)[:, 0]
    log_weights = log_weights_of(vae, BINARY, draws_of_bounds(seed, num_samples, 10))
    lower = elbo(log_weights, axis=1).numpy()
    assert (bounds >= lower - 1e-5 * (1 + np.abs(lower))).all()


def test_the_expected_bound_grows_with_the_number_of_draws():
    model, repeats = randomised(tiny.make_vae(), 0.6), 8
    by_draws = {}
    for num_samples in (1, 5, 50, 1000):
        means = [model.component_bounds(BINARY, num_samples, seed=seed).mean() for seed in range(repeats)]
        by_draws[num_samples] = np.mean(means), np.std(means, ddof=1) / np.sqrt(repeats)
    values = list(by_draws.values())
    for (lower, lower_error), (higher, higher_error) in itertools.pairwise(values):
        assert higher > lower - 2 * np.hypot(lower_error, higher_error)
    assert values[-1][0] > values[0][0] + 1


@pytest.mark.parametrize("num_samples", [1, 3, 100])
def test_a_decoder_of_zeros_gives_log_two_a_pixel_for_any_number_of_draws(num_samples, mnist_sized):
    images = (np.random.default_rng(0).random((2, 28, 28, 1)) < 0.3).astype(np.float32)
    np.testing.assert_allclose(-784 * np.log(2.0), -543.427, atol=5e-4)
    np.testing.assert_allclose(mnist_sized.component_bounds(images, num_samples), -784 * np.log(2.0), atol=2e-3)


@pytest.fixture(scope="module")
def mnist_sized():
    """A model of 28x28 images whose weights are all zero, so that mu = 0 and sigma = 1."""
    model = tiny.make_vae(image_shape=(28, 28, 1), units=3)
    for weight in model.trainable_weights:
        weight.assign(tf.zeros(weight.shape))
    return model


def test_the_same_seed_gives_the_same_bounds_and_another_seed_others(vae):
    bounds = [vae.component_bounds(BINARY, 5, seed=seed) for seed in (1, 1, 2)]
    np.testing.assert_array_equal(bounds[0], bounds[1])
    assert (bounds[0] != bounds[2]).all()


def test_images_of_one_evaluation_have_draws_of_their_own(vae):
    bounds = vae.component_bounds(np.repeat(BINARY[:1], 8, axis=0), 3, batch_size=2)[:, 0]
    assert len(set(bounds.tolist())) == 8


def test_whole_numbers_are_taken_as_grey_values(vae):
    np.testing.assert_array_equal(
        vae.component_bounds((255 * BINARY).astype(np.uint8), 4), vae.component_bounds(BINARY, 4)
    )


def test_a_single_vae_routes_everything_to_its_component_and_reports_a_fresh_draw(vae):
    assert vae.num_components == 1
    assert vae.route(BINARY).tolist() == [0] * 10
    np.testing.assert_array_equal(vae.log_likelihood(BINARY, 6, seed=3), vae.component_bounds(BINARY, 6, seed=4)[:, 0])


def test_no_images_have_no_bounds(vae):
    assert vae.component_bounds(BINARY[:0], 3).shape == (0, 1)
    assert vae.log_likelihood(BINARY[:0], 3).shape == (0,)


def test_evaluation_is_traced_once_whatever_the_sizes():
    model = tiny.make_vae()
    for num_images, num_samples, batch_size in ((3, 1, 64), (10, 5, 4), (10, 500, 3)):
        model.component_bounds(BINARY[:num_images], num_samples, batch_size)
        model.features(BINARY[:num_images])
        model.generate(num_images)
        model.reconstruct(BINARY[:num_images])
    for function in (model._bounds, model._encode, model._decode):
        assert function.experimental_get_tracing_count() == 1


# Use ------------------------------------------------------------------------------------------------------------------


def test_features_are_the_posterior_means(vae):
    np.testing.assert_allclose(vae.features(BINARY), vae.encoder(BINARY)[0], rtol=1e-6)
    np.testing.assert_array_equal(vae.features(BINARY, "last"), vae.features(BINARY))
    with pytest.raises(ValueError, match="components must be 'concat' or 'last', got 'first'"):
        vae.features(BINARY, "first")


def test_reconstructions_decode_the_posterior_mean(vae):
    reconstructions = vae.reconstruct(BINARY)
    assert reconstructions.shape == BINARY.shape
    assert reconstructions.min() >= 0 and reconstructions.max() <= 1
    np.testing.assert_allclose(reconstructions, vae(BINARY), rtol=1e-5)


def test_sampled_reconstructions_are_binary_and_follow_the_seed(vae):
    samples = [vae.reconstruct(BINARY, sample=True, seed=seed) for seed in (1, 1, 2)]
    assert set(np.unique(samples[0])) == {0.0, 1.0}
    np.testing.assert_array_equal(samples[0], samples[1])
    assert (samples[0] != samples[2]).any()


def test_generated_images_are_grey_and_follow_the_seed(vae):
    images = [vae.generate(5, seed) for seed in (1, 1, 2)]
    assert images[0].shape == (5, *tiny.IMAGE_SHAPE) and images[0].min() >= 0 and images[0].max() <= 1
    np.testing.assert_array_equal(images[0], images[1])
    assert (images[0] != images[2]).any()
    assert vae.generate(0).shape == (0, *tiny.IMAGE_SHAPE)


def test_binarised_images_have_the_grey_values_as_means(vae):
    images = np.tile(np.array([0, 51, 204, 255], np.uint8).repeat(16).reshape(1, 8, 8, 1), (2000, 1, 1, 1))
    drawn = np.asarray(vae.binarised(images, 0))
    assert set(np.unique(drawn)) == {0.0, 1.0}
    means = drawn.reshape(2000, 4, 16).mean(axis=(0, 2))
    assert means[0] == 0 and means[3] == 1
    np.testing.assert_allclose(means[1:3], [0.2, 0.8], atol=4 * 0.4 / np.sqrt(32_000))
    # A binary image is a fixed point of the draw.
    np.testing.assert_array_equal(vae.binarised(BINARY, 1), BINARY)


def test_a_gaussian_model_takes_grey_values_as_they_are():
    model = randomised(tiny.make_vae(likelihood="gaussian"), 0.1)
    images = tiny.make_images(4)
    np.testing.assert_allclose(model.binarised(images, 0), images / 255.0, rtol=1e-6)
    noise = np.zeros((4, 1, 2), np.float32)
    likelihoods, _ = model.log_likelihood_and_kl(images / np.float32(255), model.encode(images / 255.0), noise)
    means = model.decode(model.encode(images / 255.0)[0]).numpy()
    squares = ((images.reshape(4, -1) / 255.0 - means) ** 2).sum(1)
    np.testing.assert_allclose(likelihoods[:, 0], -squares - 32 * np.log(np.pi), rtol=1e-5)
    assert model.generate(3).min() >= 0 and model(images).numpy().max() <= 1
    assert np.isfinite(model.train_on_batch(images))


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((2, 8, 8)), r"must have shape \(n, 8, 8, 1\), got \(2, 8, 8\)"),
        (np.zeros((8, 8, 1)), r"must have shape \(n, 8, 8, 1\), got \(8, 8, 1\)"),
        (np.full((2, 8, 8, 1), np.nan), r"float without NaN and within \[0, 1\]"),
        (np.full((2, 8, 8, 1), 255.0), r"float without NaN and within \[0, 1\]"),
        (np.full((2, 8, 8, 1), -0.1), r"float without NaN and within \[0, 1\]"),
    ],
)
def test_images_of_another_shape_or_range_are_refused(vae, images, message):
    for use in (vae.component_bounds, vae.log_likelihood, vae.features, vae.reconstruct):
        with pytest.raises(ValueError, match=message):
            use(images)


def test_no_draws_are_refused(vae):
    with pytest.raises(ValueError, match="num_samples must be at least 1, got 0"):
        vae.component_bounds(BINARY, 0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"objective": "evidence"}, r"objective must be one of \('elbo', 'iwae'\), got 'evidence'"),
        ({"kl": "exact"}, "kl must be one of"),
        ({"likelihood": "poisson"}, "likelihood must be one of"),
        ({"num_samples": 0}, "num_samples must be at least 1, got 0"),
        ({"objective": "iwae", "kl": "analytic"}, "has no analytic KL term"),
    ],
)
def test_bad_arguments_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        tiny.make_vae(**changes)


def test_a_model_of_another_image_shape_cannot_be_built():
    model = VAE(GaussianEncoder(2), MLP((64,)), (8, 8, 1), 2)
    with pytest.raises(ValueError, match=r"made for images of shape \(8, 8, 1\), got \(8, 8\)"):
        model.build((None, 8, 8))


# Seeds and files ------------------------------------------------------------------------------------------------------


def fitted(seed=0):
    model = tiny.make_vae(tiny.make_memory(8, 30), seed, objective="iwae", drop_remainder=False)
    model.fit(tiny.batches_of(tiny.make_images(20)), verbose=0)
    return model


def test_the_same_seed_gives_the_same_weights_and_another_seed_others():
    first, second, other = fitted(1), fitted(1), tiny.make_vae(seed=2)
    tiny.assert_same_values(first.weights, tiny.values_of(second.weights))
    for ours, theirs in zip(tiny.make_vae(seed=1).trainable_weights, other.trainable_weights, strict=True):
        assert ours.ndim == 1 or (ours.numpy() != theirs.numpy()).all()


def in_a_new_process(model, directory):
    """Saves a model, loads it in a new process and returns what `continued.observe` sees there and here."""
    rng = np.random.default_rng(3)
    inputs = {"binary": BINARY, "batch": tiny.make_images(4, seed=9), "draws": rng.integers(1, 99, 2, np.uint32)}
    np.savez(directory / "inputs.npz", **inputs)
    model.save(directory / "model.keras")
    files = [directory / name for name in ("model.keras", "inputs.npz", "outputs.npz")]
    command = [sys.executable, "-m", "tests.models.continued", *map(str, files)]
    finished = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    with np.load(files[2]) as outputs:
        there = dict(outputs)
    return there, continued.observe(model, inputs)


def assert_equal_values(there, here):
    assert there.keys() == here.keys()
    for name, value in here.items():
        np.testing.assert_array_equal(there[name], value, err_msg=name)


@pytest.mark.slow
def test_a_model_loaded_in_a_new_process_is_the_same_and_trains_on_alike(tmp_path):
    model = fitted()
    assert len(model.memory.short_term) == 4 and not model.memory.short_term.is_full
    there, here = in_a_new_process(model, tmp_path)
    assert_equal_values(there, here)
    # The optimizer has moved, so that a fresh one would not have passed.
    assert any("momentum" in name and value.any() for name, value in there.items())
    assert np.isfinite(there["loss"])


def test_configuration_comes_back():
    model = tiny.make_vae(
        tiny.make_memory(8, None, trigger="gt"), objective="iwae", num_samples=3, beta=0.5, likelihood="gaussian",
        drop_remainder=False, epochs_per_batch=7, steps_per_batch=4, minibatch_size=3, seed=11,
        augmentation=RandomAffine(0.3, seed=2),
    )  # fmt: skip
    copy = VAE.from_config(model.get_config())
    assert copy.get_config() == model.get_config()
    assert (copy.objective, copy.num_samples, copy.beta, copy.likelihood) == ("iwae", 3, 0.5, "gaussian")
    assert copy.memory.short_term.trigger == "gt" and copy.memory.long_term is None
    assert copy.steps_per_batch == 4 and copy.augmentation.strength == 0.3


def samples_in_file(path):
    """Returns the names of all arrays in a `.keras` file that could hold samples."""
    with zipfile.ZipFile(path) as archive:
        weights = h5py.File(io.BytesIO(archive.read("model.weights.h5")))
    found = []
    weights.visititems(
        lambda name, item: (
            found.append(name)
            if isinstance(item, h5py.Dataset) and (item.dtype == np.uint8 or "images" in name)
            else None
        )
    )
    return found


def test_a_copy_without_memory_holds_no_sample_and_gives_the_same_bounds(tmp_path):
    model = fitted()
    copy = model.without_memory()
    assert copy.memory is None and model.memory is not None
    assert not any(weight.dtype == "uint8" for weight in copy.weights)
    model.save(tmp_path / "with.keras")
    copy.save(tmp_path / "without.keras")
    assert samples_in_file(tmp_path / "with.keras")
    assert samples_in_file(tmp_path / "without.keras") == []
    loaded = ocm_tf.load_model(tmp_path / "without.keras")
    for each in (copy, loaded):
        np.testing.assert_array_equal(each.component_bounds(BINARY, 5), model.component_bounds(BINARY, 5))
        np.testing.assert_array_equal(each.generate(3), model.generate(3))


def test_a_model_that_never_had_a_memory_has_a_copy_too(vae):
    np.testing.assert_array_equal(vae.without_memory().features(BINARY), vae.features(BINARY))
