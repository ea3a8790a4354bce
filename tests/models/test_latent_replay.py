"""Checks replay of images, latents and generated latents: freezing, caching, what is kept, the released variants."""

import gc
import weakref
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from ocm_tf.memory import ClassConditionalGMM
from ocm_tf.models import GenerativeLatentReplay, LatentReplay, Naive, Replay
from ocm_tf.models.generative_latent_replay import FAITHFUL
from tests.models.tiny_experiences import EXPERIENCES, LATENT_DIM, learn, make_classifier, make_experience, make_parts
from tests.tiny import assert_same_values, values_of

IMAGES = EXPERIENCES[0].train.images


@pytest.mark.parametrize("pretrained", [False, True])
def test_a_frozen_backbone_never_changes_while_the_head_does(pretrained):
    model = make_classifier(
        LatentReplay, make_parts(normalized=True), buffer_size=10, pretrained=pretrained, weight_decay=0.1
    )
    start = values_of(model.backbone.weights)
    learn(model, 0)
    frozen, head = values_of(model.backbone.weights), values_of(model.head.weights)
    if pretrained:
        assert_same_values(model.backbone.weights, start)
    else:
        assert all(not np.array_equal(old, new) for old, new in zip(start, frozen, strict=True))
    learn(model, 1, 2)
    assert_same_values(model.backbone.weights, frozen)
    assert all(not np.array_equal(old, new) for old, new in zip(head, values_of(model.head.weights), strict=True))
    np.testing.assert_array_equal(model.latents_of(IMAGES), model.latents_of(IMAGES))
    np.testing.assert_allclose(model.head(model.latents_of(IMAGES)), model(IMAGES), atol=1e-6)
    np.testing.assert_allclose(model(IMAGES, training=True), model(IMAGES), atol=1e-6)


def test_cached_latents_train_the_head_as_images_do():
    models = [make_classifier(LatentReplay, buffer_size=10, cache_latents=cached) for cached in (True, False)]
    cached, direct = (learn(model, 0, 1) for model in models)
    for ours, theirs in zip(values_of(cached.head.weights), values_of(direct.head.weights), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_without_replay_all_are_plain_training_behind_a_frozen_backbone():
    naive = learn(make_classifier(Naive), 0)
    naive.backbone.trainable = False
    naive.compile_from_config(naive.get_compile_config())
    learn(naive, 1, 2)
    latent, generative = (
        learn(make_classifier(kind, buffer_size=0), 0, 1, 2) for kind in (LatentReplay, GenerativeLatentReplay)
    )
    assert_same_values(latent.weights, values_of(generative.weights))
    for ours, theirs in zip(values_of(latent.weights), values_of(naive.weights), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize(("kind", "input_bytes"), [(Replay, 64), (LatentReplay, 4 * LATENT_DIM)])
def test_buffers_hold_their_share_of_each_experience(kind, input_bytes):
    model = learn(make_classifier(kind, buffer_size=12), 0, 1, 2, epochs=1)
    counts = np.bincount(model.buffer.experiences)
    assert counts.sum() == 12 and counts[2] == 4
    assert kind is LatentReplay or counts.tolist() == [4, 4, 4]
    assert model.state_num_bytes() == 12 * (input_bytes + 8)
    newest = model.buffer.inputs[model.buffer.experiences == 2]
    images = EXPERIENCES[2].train.images
    source = images if kind is Replay else model.latents_of(images)
    assert all((row == source).reshape(len(source), -1).all(axis=1).any() for row in newest)


def test_a_minibatch_weighs_its_samples_by_hand():
    model = make_classifier(LatentReplay, buffer_size=4, replay_loss="balanced")
    model.experience_index = 2
    columns = {"inputs": np.zeros((4, LATENT_DIM)), "labels": np.zeros(4), "experiences": np.array([0, 1, 1, 1])}
    model.buffer.set_arrays(columns)
    own, replayed = model.minibatch_weights(np.array([8, 2]), 3, np.array([0, 1, 1, 1, 1, 1]))
    np.testing.assert_allclose(own, [1 / 24] * 8 + [1 / 6] * 2)
    np.testing.assert_allclose(replayed, [4 / 9, 4 / 27, 4 / 27, 4 / 27, 4 / 27, 4 / 27])
    plain = make_classifier(LatentReplay, buffer_size=4)
    own, replayed = plain.minibatch_weights(np.array([8, 2]), 3, np.zeros(6, int))
    np.testing.assert_allclose(own, [1 / 11] * 8 + [1 / 5] * 2)
    np.testing.assert_allclose(replayed, [1 / 11] * 3 + [1 / 5] * 3)


def chunks_of(model, experience, epochs=1):
    """Returns the steps of an experience as the model would train on them."""
    model._inputs, model._labels = model.begin_experience(experience.train.images, experience.train.labels)
    return list(model._minibatches(epochs).as_numpy_iterator())


def test_the_share_of_replay_does_not_depend_on_the_buffer():
    for size in (3, 12):
        model = learn(make_classifier(LatentReplay, buffer_size=size, replay_batch_size=5), 0, epochs=1)
        (chunk,) = chunks_of(model, EXPERIENCES[1])
        assert chunk["sizes"].tolist() == [8, 5]
        assert len(chunk["replayed"][1]) == 4 * 5
        np.testing.assert_allclose(chunk["current"][2].sum() + chunk["replayed"][2].sum(), 4, rtol=1e-6)


def test_only_generators_are_kept_and_old_ones_stay():
    model = make_classifier(GenerativeLatentReplay, buffer_size=14)
    kept = []
    for index in range(3):
        experience = make_experience(index, labels=(1, 3))
        images = weakref.ref(experience.train.images)
        model.fit_experience(experience, epochs=1)
        del experience
        gc.collect()
        assert images() is None
        arrays = model.state_arrays()
        assert len(model.generators) == index + 1 and len(arrays) == 4 * (index + 1)
        assert all(30 not in array.shape and 14 not in array.shape for array in arrays.values())
        assert len(model.buffer) == 0
        assert model.state_num_bytes() == (index + 1) * (2 * (2 * LATENT_DIM + 1) * 4 + 2 * 8)
        for name, array in kept:
            np.testing.assert_array_equal(arrays[name], array)
        kept = [(name, array.copy()) for name, array in arrays.items()]


@pytest.mark.parametrize("sampling", ["per_experience", "per_batch", "static"])
def test_generated_latents_are_those_of_earlier_experiences(sampling):
    model = make_classifier(GenerativeLatentReplay, buffer_size=12, sampling=sampling, minibatches_per_step=2)
    model.fit_experience(make_experience(0, labels=(1, 3)), epochs=1)
    assert len(model.buffer) == (12 if sampling == "static" else 0)
    epochs = chunks_of(model, EXPERIENCES[1], epochs=2)
    assert len(epochs) == 4
    latents, labels = (np.concatenate([chunk["replayed"][column] for chunk in epochs]) for column in (0, 1))
    assert latents.shape == (2 * 4 * 8, LATENT_DIM) and set(labels) == {1, 3}
    means = {label: model.generators[0].means[row] for row, label in enumerate((1, 3))}
    for label, mean in means.items():
        drawn = latents[labels == label].mean(axis=0)
        assert np.linalg.norm(drawn - mean) < np.linalg.norm(means[1] - means[3])
    # Samples of a static buffer return; those of each step do not.
    distinct = len(np.unique(latents.round(5), axis=0))
    assert distinct == (64 if sampling == "per_batch" else 12)


def test_the_head_may_label_what_is_generated():
    model = make_classifier(GenerativeLatentReplay, buffer_size=12, label_mode="head", quota="unlimited")
    learn(model, 0, epochs=1)
    chunks_of(model, EXPERIENCES[1])
    assert len(model.buffer) == 30
    np.testing.assert_array_equal(model.buffer.labels, np.argmax(model.head(model.buffer.inputs), axis=1))


def test_the_released_variant_does_what_the_authors_code_does():
    model = make_classifier(GenerativeLatentReplay, make_parts(backbone_dropout=0.5), buffer_size=12, **FAITHFUL)
    seen = []
    original = model.remember
    model.remember = lambda latents, labels: (seen.append(latents.copy()), original(latents, labels))
    model._inputs, model._labels = IMAGES, EXPERIENCES[0].train.labels
    # 30 // ((30 + 12) // 8) = 6 of the experience, also in the first one, and 2 replayed.
    assert model.batch_split() == (6, 0)
    learn(model, 0, epochs=3)
    # Dropout makes zeros of half the first epoch's latents, and they are not those of the backbone that stays.
    whole = np.asarray(model.backbone(IMAGES, training=False))
    assert 0.3 < (seen[0][whole > 0] == 0).mean() < 0.7
    survived = (seen[0] > 0) & (whole > 0)
    assert not np.allclose(seen[0][survived], 2 * whole[survived], rtol=1e-2)
    assert len(model.buffer) == 12 and (np.diff(model.buffer.labels) >= 0).all()
    first, second = (chunk["replayed"][1] for chunk in chunks_of(model, EXPERIENCES[1], epochs=2))
    np.testing.assert_array_equal(first, second)
    assert model.batch_split() == (6, 2)
    learn(model, 1)
    # Later latents pass the dropout of the frozen backbone.
    frozen = np.asarray(model.backbone(EXPERIENCES[1].train.images, training=False))
    kept = seen[1] > 0
    np.testing.assert_allclose(seen[1][kept], 2 * frozen[kept], rtol=1e-5)
    assert len(model.generators) == 2 and len(model.buffer) == 12
    assert (model.buffer.experiences == 1).sum() == 6


def test_each_generator_is_a_copy_of_the_template():
    template = ClassConditionalGMM(2, clip_nonneg=True)
    model = learn(make_classifier(GenerativeLatentReplay, buffer_size=8, generator=template), 0, 1, epochs=1)
    assert not template.is_fitted
    assert all(generator.get_config() == template.get_config() for generator in model.generators)


@pytest.mark.slow
def test_generated_latents_hold_off_forgetting_on_turned_digits():
    from sklearn.datasets import load_digits

    digits = load_digits()
    images, labels = (digits.images * 15.9).astype(np.uint8)[..., None], digits.target
    turned = [np.rot90(images, turns, axes=(1, 2)) for turns in range(3)]
    results = []
    for kind, settings in ((Naive, {}), (GenerativeLatentReplay, {"buffer_size": 1000})):
        model = make_classifier(kind, digit_parts(), batch_size=32, **settings)
        rows = []
        for index, view in enumerate(turned):
            train = SimpleNamespace(images=view[:1200], labels=labels[:1200])
            model.fit_experience(SimpleNamespace(index=index, train=train), epochs=15)
            rows.append([np.mean(np.argmax(model(v[1200:]), axis=1) == labels[1200:]) for v in turned])
        accuracies = np.array(rows)
        results.append((accuracies[-1].mean(), np.mean(np.diag(accuracies)[:-1] - accuracies[-1, :-1])))
    (naive_accuracy, naive_forgetting), (accuracy, forgetting) = results
    assert accuracy > naive_accuracy + 0.05 and forgetting < naive_forgetting - 0.1


def digit_parts():
    """Makes a backbone and a head large enough for ten digits."""
    keras.utils.set_random_seed(0)
    layers = keras.layers
    images, latents = keras.Input((8, 8, 1)), keras.Input((128,))
    hidden = layers.Dense(128, "relu")(layers.Flatten()(layers.Rescaling(1 / 255)(images)))
    return keras.Model(images, hidden), keras.Model(latents, layers.Dense(10)(layers.Dense(64, "relu")(latents)))
