"""Checks the mixture that classifies: who answers for which image, what stays frozen, what a file keeps."""

import keras
import numpy as np
import pytest
from sklearn.datasets import load_digits

from ocm_tf.models import ClassifierMixture
from ocm_tf.networks import MLP, GaussianEncoder, ResNet
from tests import tiny

DIGITS = load_digits()


def make_classifiers(classifier, memory=None, seed=0, units=8, learning_rate=0.005, **settings):
    keras.utils.set_random_seed(seed)
    settings = {"num_samples": 1, "kl": "analytic", "epochs_per_batch": 1, "minibatch_size": 8, **settings}
    model = ClassifierMixture(
        classifier,
        shared_encoder=MLP((units,), output_activation="tanh"),
        encoder=GaussianEncoder(tiny.LATENT_DIM, (units,)),
        shared_decoder=MLP((units,), output_activation="tanh"),
        decoder=MLP((units, tiny.NUM_PIXELS), "relu"),
        image_shape=tiny.IMAGE_SHAPE,
        latent_dim=tiny.LATENT_DIM,
        memory=memory,
        seed=seed,
        **settings,
    )
    model.build((None, *tiny.IMAGE_SHAPE))
    vae_optimizer = keras.optimizers.Adam(learning_rate, beta_1=0.5, epsilon=1e-8)
    model.compile(vae_optimizer, keras.optimizers.SGD(0.05, momentum=0.9))
    return model


def digits_of(label, num_images=96):
    chosen = np.flatnonzero(DIGITS.target == label)[:num_images]
    images = (DIGITS.images[chosen, :, :, None] * (255 / 16)).astype(np.uint8)
    return images, np.full(len(images), label)


def in_order_of_the_bank(model):
    return [v for layer in model.templates for v in layer.trainable_variables + layer.non_trainable_variables]


@pytest.fixture(scope="module")
def history():
    """Trains a component with batch normalization on 0, adds one and trains that on 1; notes what there was."""
    model, states = make_classifiers(ResNet(2, (1,), 3), units=32, max_components=3, minibatch_size=32), []
    traces, step = [], model.minibatch_step

    def counted(images, labels):
        traces.append(images.shape)
        return step(images, labels)

    model.minibatch_step = counted
    for label in (0, 1):
        if label:
            model.grow()
            states.append({"optimizer": tiny.values_of(model.classifier_optimizer.variables)})
        images, labels = digits_of(label)
        for _ in range(40):
            for start in range(0, 96, 32):
                model.train_on_batch(images[start : start + 32], labels[start : start + 32])
        states.append(
            {
                "template": tiny.values_of(in_order_of_the_bank(model)),
                "frozen": tiny.values_of(model.bank.read(0)),
                "zeros": model._probabilities(digits_of(0)[0] / np.float32(255), 0).numpy(),
            }
        )
    return model, states, traces


def test_images_go_to_the_component_of_their_class_and_are_answered_by_it(history):
    model, _, _ = history
    for label in (0, 1):
        images, labels = digits_of(label)
        routes = model.route(np.asarray(model.binarised(images, 0)), 50)
        assert (routes == label).mean() >= 0.95
        probabilities = model.classify(images, num_samples=50)
        assert probabilities.shape == (96, 2)
        np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
        # Each classifier has seen its own class alone, so that the answer tells who gave it.
        np.testing.assert_array_equal(
            probabilities.argmax(axis=1), model.classify(images, routes=routes).argmax(axis=1)
        )
        assert (probabilities.argmax(axis=1) == labels).mean() >= 0.95


def test_each_image_is_answered_by_the_component_named_for_it(history):
    model, _, _ = history
    images, _ = digits_of(0, 7)
    routes = np.array([1, 0, 0, 1, 1, 0, 1])
    probabilities = model.classify(images, routes=routes, batch_size=2)
    for row, component in enumerate(routes):
        expected = model._probabilities(images[row : row + 1] / np.float32(255), component)
        np.testing.assert_allclose(probabilities[row], expected[0], rtol=1e-4, atol=1e-6)


def test_a_frozen_component_stays_bit_for_bit_statistics_and_all(history):
    model, (trained, _, trained_on), _ = history
    statistics = {variable.path.rpartition("/")[2] for variable in model.classifier.non_trainable_variables}
    assert statistics == {"moving_mean", "moving_variance"}
    # The bank was all zeros before the first component was put aside.
    assert not any(value.any() for value in trained["frozen"])
    for frozen, old in zip(trained_on["frozen"], trained["template"], strict=True):
        np.testing.assert_array_equal(frozen, old)
    np.testing.assert_array_equal(trained["zeros"], trained_on["zeros"])


def test_a_new_component_has_a_fresh_optimizer_and_a_classifier_that_moves(history):
    _, (trained, grown, trained_on), _ = history
    assert not any(value.any() for value in grown["optimizer"] if value.shape != () and value.size > 1)
    moved = [(old != new).any() for old, new in zip(trained["template"], trained_on["template"], strict=True)]
    # All but the shared layers, which are no part of the templates.
    assert all(moved)


def test_the_step_and_the_answers_are_traced_once(history):
    model, _, traces = history
    assert len(traces) == 1
    assert model._probabilities.experimental_get_tracing_count() == 1


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A mixture of two components with samples in memory and non-default arguments, and the same loaded."""
    memory = tiny.make_memory(8, 20)
    model = make_classifiers(
        MLP((4, 10), "relu"), memory, 5, max_components=3, minibatch_size=3, drop_remainder=False, beta=0.5
    )
    images, labels = digits_of(3, 12)
    model.train_on_batch(images[:4], labels[:4])
    model.grow()
    model.train_on_batch(images[4:8], labels[4:8])
    path = tmp_path_factory.mktemp("saved") / "model.keras"
    model.save(path)
    return model, keras.saving.load_model(path)


def test_a_loaded_mixture_is_the_same_and_goes_on_alike(saved):
    model, loaded = saved
    images, labels = digits_of(3, 12)
    assert (loaded.num_components, loaded.max_components, loaded.minibatch_size, loaded.beta) == (2, 3, 3, 0.5)
    np.testing.assert_array_equal(loaded.classify(images, 5), model.classify(images, 5))
    tiny.assert_equal_samples(loaded.memory.gather(), model.memory.gather())
    assert model.memory.short_term.read().labels.tolist() == [3] * 8
    for name in ("optimizer", "classifier_optimizer"):
        ours, theirs = getattr(loaded, name), getattr(model, name)
        assert ours.get_config() == theirs.get_config() and int(theirs.iterations.numpy()) > 0
        tiny.assert_same_values(ours.variables, tiny.values_of(theirs.variables))
    # A file does not keep the state of random draws, so both sides start from the same.
    loaded.seed_generator.state.assign(model.seed_generator.state)
    assert loaded.train_on_batch(images[8:], labels[8:]) == model.train_on_batch(images[8:], labels[8:])
    tiny.assert_same_values(loaded.trainable_weights, tiny.values_of(model.trainable_weights))


def test_each_optimizer_has_the_variables_that_it_moves(saved):
    model, _ = saved
    classifier = {id(variable) for variable in model.classifier.trainable_variables}
    assert len(model.optimized_variables) == len(model.trainable_variables) - len(classifier)
    assert not classifier & {id(variable) for variable in model.optimized_variables}
    assert len(model.optimizer._momentums) == len(model.optimized_variables)


def test_a_copy_without_memory_answers_alike(saved, tmp_path):
    model, _ = saved
    images, _ = digits_of(3, 5)
    copy = model.without_memory()
    copy.save(tmp_path / "model.keras")
    for each in (copy, keras.saving.load_model(tmp_path / "model.keras")):
        assert each.memory is None
        np.testing.assert_array_equal(each.classify(images, 5), model.classify(images, 5))


def test_images_without_labels_are_refused(saved):
    _, loaded = saved
    with pytest.raises(ValueError, match=r"learns from \(images, labels\)"):
        loaded.train_step(digits_of(3, 4)[0])
