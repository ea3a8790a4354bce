"""Checks the mixture that grows: what stays, what starts anew, who explains which image, what a file keeps."""

import random

import keras
import numpy as np
import pytest
from sklearn.datasets import load_digits

import ocm_tf
from ocm_tf.experiments.ocm import build_model
from ocm_tf.experiments.ocm_config import PAPER
from ocm_tf.models import VAEMixture
from tests import tiny
from tests.models.test_vae import assert_equal_values, draws_of_bounds, in_a_new_process, log_weights_of, randomised

BINARY = tiny.make_binary_images(10)


def grown(num_components=3, **changes):
    """Makes a mixture whose components all have other weights."""
    model = randomised(tiny.make_mixture(**changes))
    for seed in range(1, num_components):
        model.grow()
        for weight in model.encoder.trainable_weights + model.decoder.trainable_weights:
            weight.assign(np.random.default_rng(seed).normal(size=weight.shape))
    return model


@pytest.fixture(scope="module")
def mixture():
    """Three components with random weights; no test changes it."""
    return grown()


def shared_values(model):
    return tiny.values_of(model.shared_encoder.weights + model.shared_decoder.weights)


def own_values(model):
    return tiny.values_of(model.encoder.weights + model.decoder.weights)


# Growth ---------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def history():
    """Trains a mixture, grows it, trains on; returns its state at the three moments, the first with its beginning."""
    model = tiny.make_mixture(learning_rate=0.05)
    images, states = tiny.make_images(8), []
    initial = shared_values(model) + own_values(model)

    def note():
        states.append(
            {
                "num_components": model.num_components,
                "shared": shared_values(model),
                "own": own_values(model),
                "first": tiny.values_of(model.bank.read(0)),
                "optimizer": tiny.optimizer_values(model),
                "bounds": model.component_bounds(BINARY, 5),
            }
        )

    for train_first in (True, False, True):
        if train_first:
            for _ in range(3):
                model.train_on_batch(images)
        else:
            model.grow()
        note()
    states[0]["initial"] = initial
    return states


def test_growth_adds_one_component(history):
    assert [state["num_components"] for state in history] == [1, 2, 2]
    assert [state["bounds"].shape for state in history] == [(10, 1), (10, 2), (10, 2)]


def test_growth_freezes_the_component_as_it_was(history):
    trained, just_grown, trained_on = history
    for frozen in (just_grown["first"], trained_on["first"]):
        for weight, expected in zip(frozen, trained["own"], strict=True):
            np.testing.assert_array_equal(weight, expected)


def test_shared_weights_stay_bit_for_bit_after_further_steps(history):
    trained, just_grown, trained_on = history
    for state in (just_grown, trained_on):
        for weight, expected in zip(state["shared"], trained["shared"], strict=True):
            np.testing.assert_array_equal(weight, expected)


def test_the_bounds_of_a_frozen_component_stay_bit_for_bit(history):
    trained, just_grown, trained_on = history
    np.testing.assert_array_equal(just_grown["bounds"][:, 0], trained["bounds"][:, 0])
    np.testing.assert_array_equal(trained_on["bounds"][:, 0], trained["bounds"][:, 0])
    assert (trained_on["bounds"][:, 1] != just_grown["bounds"][:, 1]).all()


def test_the_new_component_starts_afresh_and_learns(history):
    trained, just_grown, trained_on = history
    for old, new, later in zip(trained["own"], just_grown["own"], trained_on["own"], strict=True):
        assert (old != new).any() and (new != later).any()
        assert new.ndim == 2 or not new.any()


def test_the_new_component_has_a_fresh_optimizer(history):
    trained, just_grown, trained_on = history
    fresh = tiny.optimizer_values(tiny.make_mixture(learning_rate=0.05))
    assert len(fresh) == len(just_grown["optimizer"]) > 20
    for value, expected in zip(just_grown["optimizer"].values(), fresh.values(), strict=True):
        np.testing.assert_array_equal(value, expected)
    assert trained["optimizer"]["iteration"] == trained_on["optimizer"]["iteration"] == 3
    assert any(value.any() for name, value in trained["optimizer"].items() if "momentum" in name)


def test_a_warm_start_goes_on_from_the_weights_before():
    model = tiny.make_mixture(warm_start=True)
    model.train_on_batch(tiny.make_images(8))
    before = own_values(model)
    model.grow()
    for frozen, own, expected in zip(model.bank.read(0), own_values(model), before, strict=True):
        np.testing.assert_array_equal(frozen, expected)
        np.testing.assert_array_equal(own, expected)
    assert not any(value.any() for name, value in tiny.optimizer_values(model).items() if "momentum" in name)
    assert type(model).from_config(model.get_config()).warm_start


def test_growth_freezes_the_running_mean_of_the_weights_if_there_is_one():
    model = tiny.make_mixture()
    model.compile(keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.75))
    images = tiny.make_images(8)
    visited = []
    for _ in range(3):
        model.train_on_batch(images)
        visited.append(own_values(model))
    means = visited[0]
    for values in visited[1:]:
        means = [0.75 * mean + 0.25 * value for mean, value in zip(means, values, strict=True)]
    model.grow()
    for frozen, mean in zip(model.bank.read(0), means, strict=True):
        np.testing.assert_allclose(frozen, mean, rtol=1e-5, atol=1e-7)
    # The shared layers stay at their mean, whatever the new component's mean does later.
    shared = shared_values(model)
    model.train_on_batch(images)
    model.optimizer.finalize_variable_values(model.trainable_variables)
    tiny.assert_same_values(model.shared_encoder.weights + model.shared_decoder.weights, shared)


def test_the_first_component_trains_everything(history):
    trained = history[0]
    for old, new in zip(trained["initial"], trained["shared"] + trained["own"], strict=True):
        assert (old != new).any()


def test_shared_layers_go_on_training_if_they_are_to():
    model = tiny.make_mixture(train_shared_after_expand=True)
    model.grow()
    before, frozen = shared_values(model), tiny.values_of(model.bank.read(0))
    model.train_on_batch(tiny.make_images(8))
    assert all((old != new).any() for old, new in zip(before, shared_values(model), strict=True))
    for weight, expected in zip(tiny.values_of(model.bank.read(0)), frozen, strict=True):
        np.testing.assert_array_equal(weight, expected)


def test_a_full_mixture_does_not_grow_and_stays_as_it_is():
    model = tiny.make_mixture(max_components=2)
    model.grow()
    before = tiny.values_of(model.weights)
    with pytest.raises(ValueError, match="holds 1 copies already"):
        model.grow()
    tiny.assert_same_values(model.weights, before)
    assert model.num_components == 2


def test_a_mixture_of_one_at_most_never_grows():
    model = tiny.make_mixture(max_components=1)
    assert model.component_bounds(BINARY, 2).shape == (10, 1)
    with pytest.raises(ValueError, match="holds 0 copies already"):
        model.grow()


def test_new_components_depend_on_the_seed_and_their_number_alone():
    first, second, other = tiny.make_mixture(), tiny.make_mixture(), tiny.make_mixture(seed=1)
    first.grow()
    random.random(), keras.random.normal((2,))
    state = random.getstate()
    second.grow()
    # Growing leaves the generator that all initialisers share as it was.
    assert random.getstate() == state
    other.grow()
    for ours, same, theirs in zip(own_values(first), own_values(second), own_values(other), strict=True):
        np.testing.assert_array_equal(ours, same)
        assert ours.ndim == 1 or (ours != theirs).any()
    before = own_values(first)
    first.grow()
    assert all(old.ndim == 1 or (old != new).any() for old, new in zip(before, own_values(first), strict=True))


def test_components_of_the_paper_have_its_number_of_parameters():
    model = build_model(PAPER, (28, 28, 1), seed=0)

    def count():
        shared = model.shared_encoder.count_params() + model.shared_decoder.count_params()
        own = model.encoder.count_params() + model.decoder.count_params()
        frozen = sum(int(np.prod(weight.shape)) for k in range(len(model.bank)) for weight in model.bank.read(k))
        return shared + own + frozen

    assert count() == 425_284
    for _ in range(4):
        model.grow()
    assert model.num_components == 5
    assert count() == 1_457_620


# Components -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("component", [0, 1, 2])
def test_each_column_of_bounds_is_of_its_component(mixture, component):
    bounds = mixture.component_bounds(BINARY, 5, seed=3)
    noise = draws_of_bounds(3, 5, 10, component)
    log_weights = log_weights_of(mixture, BINARY, noise, component)
    np.testing.assert_allclose(bounds[:, component], np.logaddexp.reduce(log_weights, 1) - np.log(5), rtol=1e-4)
    only = mixture.component_bounds(BINARY, 5, seed=3, components=[component])
    np.testing.assert_array_equal(only[:, 0], bounds[:, component])


def test_the_component_that_trains_needs_no_number(mixture):
    for ours, theirs in zip(mixture.encode(BINARY), mixture.encode(BINARY, 2), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert (np.asarray(mixture.encode(BINARY, 0)[0]) != np.asarray(mixture.encode(BINARY)[0])).any()
    latents = np.ones((3, 2), np.float32)
    np.testing.assert_array_equal(mixture.decode(latents), mixture.decode(latents, 2))


def test_features_are_of_all_components_or_of_the_newest(mixture):
    features = mixture.features(BINARY)
    assert features.shape == (10, 6)
    for component in range(3):
        expected = mixture.encode(BINARY, component)[0]
        np.testing.assert_allclose(features[:, 2 * component : 2 * component + 2], expected, rtol=1e-5)
    np.testing.assert_array_equal(mixture.features(BINARY, "last"), features[:, 4:])


def test_the_chosen_bound_is_the_highest_and_so_never_below_the_mean(mixture):
    bounds = mixture.component_bounds(BINARY, 20, seed=2)
    routes = mixture.route(BINARY, 20, seed=2)
    np.testing.assert_array_equal(routes, bounds.argmax(axis=1))
    chosen = bounds[np.arange(10), routes]
    assert (chosen >= bounds.mean(axis=1)).all()


def test_the_log_likelihood_is_drawn_anew_under_the_chosen_component(mixture):
    log_likelihoods, told_routes = mixture.routed_log_likelihood(BINARY, 20, seed=2)
    np.testing.assert_array_equal(mixture.log_likelihood(BINARY, 20, seed=2), log_likelihoods)
    routes = mixture.route(BINARY, 20, seed=2)
    np.testing.assert_array_equal(told_routes, routes)
    assert len(set(routes.tolist())) > 1
    for component in set(routes.tolist()):
        rows = routes == component
        redrawn = mixture.component_bounds(BINARY[rows], 20, seed=3, components=[component])
        np.testing.assert_array_equal(log_likelihoods[rows], redrawn[:, 0])


def test_reconstructions_and_samples_come_from_the_routed_components(mixture):
    routes = mixture.route(BINARY, 100)
    reconstructions = mixture.reconstruct(BINARY)
    for image, component, reconstruction in zip(BINARY, routes, reconstructions, strict=True):
        logits = mixture.decode(mixture.encode(image[None], int(component))[0], int(component)).numpy()
        np.testing.assert_allclose(reconstruction.ravel(), 1 / (1 + np.exp(-logits[0])), atol=1e-5)
    assert mixture.generate(6, seed=1).shape == (6, *tiny.IMAGE_SHAPE)


def test_two_components_that_know_a_class_each_explain_it_best():
    digits = load_digits()
    classes = [digits.images[digits.target == label][:, :, :, None] / 16 for label in (0, 1)]
    classes = [images[:96].astype(np.float32) for images in classes]
    model = tiny.make_mixture(units=32, num_samples=1, kl="analytic", learning_rate=0.005, max_components=2)
    for label, images in enumerate(classes):
        if label:
            model.grow()
        for _ in range(40):
            for start in range(0, 96, 32):
                model.train_on_batch(images[start : start + 32])
    for label, images in enumerate(classes):
        inputs = np.asarray(model.binarised(images, 0))
        assert (model.route(inputs, 50) == label).mean() >= 0.95


def test_evaluation_is_traced_once_whatever_the_number_of_components():
    model = tiny.make_mixture()
    for num_images in (10, 3, 7):
        model.component_bounds(BINARY[:num_images], num_images)
        model.features(BINARY[:num_images])
        model.reconstruct(BINARY[:num_images])
        model.generate(num_images)
        model.grow()
    for function in (model._bounds, model._encode, model._decode):
        assert function.experimental_get_tracing_count() == 1


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="max_components must be at least 1, got 0"):
        tiny.make_mixture(max_components=0)


# Files ----------------------------------------------------------------------------------------------------------------

NON_DEFAULTS = {
    "objective": "iwae",
    "num_samples": 3,
    "beta": 0.5,
    "max_components": 5,
    "drop_remainder": False,
    "epochs_per_batch": 3,
    "minibatch_size": 3,
}


@pytest.fixture(scope="module")
def trained():
    """Three components with non-default arguments and samples in a full and a long-term memory."""
    memory = tiny.make_memory(8, 20, trigger="gt")
    model = tiny.make_mixture(memory, seed=5, **NON_DEFAULTS)
    for start in (0, 4, 8):
        model.train_on_batch(tiny.make_images(4, seed=start))
        if start < 8:
            model.grow()
    memory.long_term.add(memory.short_term.pop(np.array([1, 3])))
    assert memory.short_term.is_full and len(memory.short_term) == 10 and len(memory.long_term) == 6
    return model


def test_a_mixture_loaded_in_a_new_process_is_the_same_and_trains_on_alike(trained, tmp_path):
    there, here = in_a_new_process(trained, tmp_path)
    assert there["bounds"].shape == (10, 3) and there["full"]
    assert_equal_values(there, here)
    assert any("momentum" in name and value.any() for name, value in there.items())


def test_a_copy_without_memory_has_the_same_components(trained):
    copy = trained.without_memory()
    assert copy.memory is None and copy.num_components == 3
    np.testing.assert_array_equal(copy.component_bounds(BINARY, 5), trained.component_bounds(BINARY, 5))


def test_a_loaded_mixture_grows_on_as_the_original(trained, tmp_path):
    trained.save(tmp_path / "model.keras")
    loaded = ocm_tf.load_model(tmp_path / "model.keras")
    original = grown(3, seed=5, **NON_DEFAULTS)
    for model in (loaded, original):
        model.grow()
    assert loaded.num_components == 4
    for ours, theirs in zip(own_values(loaded), own_values(original), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_configuration_comes_back():
    model = tiny.make_mixture(train_shared_after_expand=True, seed=5, **NON_DEFAULTS)
    copy = VAEMixture.from_config(model.get_config())
    assert copy.get_config() == model.get_config()
    assert {name: getattr(copy, name) for name in NON_DEFAULTS} == NON_DEFAULTS
    assert copy.train_shared_after_expand and copy.seed == 5
