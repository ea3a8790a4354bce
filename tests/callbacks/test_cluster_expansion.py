"""Checks when clusters are frozen, of what, and that nothing is lost uncounted."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocm_tf.callbacks import ClusterExpansion
from ocm_tf.errors import DivergedError
from ocm_tf.memory import gaussian_distance, latent_moments
from tests import tiny
from tests.tiny import StandIn, assert_aligned, assert_equal_samples, drive, make_cluster_memory, make_samples

BATCH, CAPACITY, SIZE = 4, 8, 3


class Encoder(StandIn):
    """Has the grey value for a latent mean; of three images it reconstructs one well, one less and one badly."""

    scale = 10.0

    def posterior(self, images):
        grey = np.asarray(images).reshape(len(images), -1) / np.float32(255)
        return self.scale * grey, np.full_like(grey, 0.5)

    def reconstruct(self, images, sample=False, seed=0):
        self.seen.append(sample)
        grey = images / np.float32(255)
        return grey + (images % 3).astype(np.float32)


def make(threshold=1.0, max_clusters=4, seed=0, policy="recent_random", **options):
    memory = make_cluster_memory(CAPACITY, BATCH, max_clusters, SIZE, (1, 1, 1), policy=policy, seed=seed)
    return Encoder(memory), ClusterExpansion(threshold, seed=seed, **options)


def run(model, expansion, num_batches=12, after=None):
    checks = []

    def note(batch):
        checks.append(expansion.last_check)
        if after is not None:
            after(batch)

    drive(model, [expansion], num_batches * BATCH, BATCH, note)
    return checks


@settings(max_examples=20)
@given(
    threshold=st.sampled_from([-1.0, 0.3, 2.0, "auto", "adaptive"]),
    query=st.sampled_from(["candidate", "batch", "temporary"]),
    reduce=st.sampled_from(["min", "max"]),
    selection=st.sampled_from(["lowest_error", "random", "diverse"]),
    keep_new=st.booleans(),
    policy=st.sampled_from(["recent_random", "reservoir", "fifo"]),
    statistics=st.sampled_from(["refreshed", "stale"]),
    max_clusters=st.integers(1, 3),
)
def test_memories_keep_their_sizes_and_every_sample_is_accounted_for(threshold, max_clusters, policy, **options):
    model, expansion = make(threshold, max_clusters, policy=policy, **options)
    temporary, evolving, frozen = model.memory.short_term, model.memory.long_term, {}

    def check(batch):
        assert len(temporary) <= CAPACITY and evolving.num_clusters <= max_clusters
        assert len(evolving) == SIZE * evolving.num_clusters == SIZE * len(expansion.stored)
        discarded = int(temporary.num_discarded.numpy()) + int(evolving.num_discarded.numpy())
        assert BATCH * batch == len(temporary) + len(evolving) + discarded
        held = [*temporary.read().positions, *evolving.read().positions]
        assert len(held) == len(set(held))
        assert_aligned(temporary.read())
        for index, step in enumerate(evolving.creation_steps().tolist()):
            cluster = evolving.clusters().take(index)
            assert_equal_samples(cluster, frozen.setdefault(step, cluster))

    run(model, expansion, after=check)
    assert frozen


def test_the_first_overflow_makes_a_cluster_and_none_is_checked_before():
    model, expansion = make(threshold=np.inf)
    checks = run(model, expansion)
    # 8 fit; the third batch is beyond.
    assert checks[0] is checks[1] is None and checks[2].expanded and checks[2].batch == 3
    assert len(checks[2].distances) == 0 and np.isnan(checks[2].distance)
    # What stays of the newest batch and two more fit; the third is beyond, and so is each one after it.
    assert model.memory.long_term.num_clusters == 1
    assert all(check is None or not check.expanded for check in checks[3:])
    assert sum(check is not None for check in checks[5:]) == 7


def test_a_threshold_below_zero_makes_a_cluster_at_every_overflow():
    model, expansion = make(threshold=-1.0, max_clusters=12)
    checks = [check for check in run(model, expansion) if check is not None]
    assert len(checks) == model.memory.long_term.num_clusters >= 4
    assert all(check.expanded for check in checks)


def test_a_new_cluster_is_beyond_the_threshold_from_all_others():
    model, expansion = make(threshold=0.5, max_clusters=12)
    num_expansions = 0

    def check(batch):
        nonlocal num_expansions
        last = expansion.last_check
        if last is None or not last.expanded or not len(last.distances):
            return
        clusters = model.memory.long_term.clusters()
        means, stds = model.posterior(clusters.images.reshape(-1, 1, 1, 1))
        shape = (len(clusters.images), SIZE, 1)
        means, stds = latent_moments(means.reshape(shape), stds.reshape(shape))
        distances = gaussian_distance(means[:-1], stds[:-1], means[-1], stds[-1])
        np.testing.assert_allclose(distances, last.distances, rtol=1e-6)
        assert last.distance == distances.min() > 0.5 == last.threshold
        num_expansions += 1

    run(model, expansion, 20, check)
    assert num_expansions >= 2


def test_the_best_reconstructed_are_frozen_and_of_the_rest_the_newest_stay():
    model, expansion = make()
    held = make_samples(range(12))
    run(model, expansion, 3)
    errors = held.images.ravel() % 3
    best = np.argsort(errors, kind="stable")[:SIZE]
    assert_equal_samples(model.memory.long_term.read(), held.take(best))
    left = [row for row in range(8, 12) if row not in best]
    assert_equal_samples(model.memory.short_term.read(), held.take(left))
    bare, expansion = make(keep_new=False)
    run(bare, expansion, 3)
    assert len(bare.memory.short_term) == 0


@pytest.mark.parametrize(("query", "expected"), [("candidate", [0, 1, 2]), ("batch", [9, 10, 11]), ("temporary", None)])
def test_the_query_is_what_was_asked_for(query, expected):
    model, expansion = make(query=query)
    temporary = model.memory.short_term
    drive(model, [], 3 * BATCH, BATCH)
    temporary.num_newest.assign(3)
    posterior = model.posterior(temporary.read().images)
    mean, _ = expansion.query_moments(temporary, posterior, np.array([0, 1, 2]))
    rows = slice(None) if expected is None else expected
    np.testing.assert_allclose(mean, posterior[0][rows].mean(axis=0))


def test_statistics_follow_the_encoder_or_stay():
    distances = {}
    for statistics in ("refreshed", "stale"):
        model, expansion = make(threshold=np.inf, statistics=statistics)

        def drift(batch, model=model):
            model.scale = 30.0 if batch >= 3 else 10.0

        last = [check for check in run(model, expansion, 6, drift) if check is not None][-1]
        cluster = model.memory.long_term.read().images
        scale = 30.0 if statistics == "refreshed" else 10.0
        mean = scale * cluster.mean() / 255
        distances[statistics] = last.distance
        np.testing.assert_allclose(expansion.cluster_moments(model.memory.long_term)[0], [[mean]], rtol=1e-5)
    assert distances["refreshed"] != distances["stale"]


def test_thresholds_are_calibrated_once_or_at_every_check():
    once, always = [], []
    for threshold, seen in (("auto", once), ("adaptive", always)):
        model, expansion = make(threshold=threshold)
        seen += [check.threshold for check in run(model, expansion, 16) if check is not None][1:]
    assert len(set(once)) == 1 and len(set(always)) > 1 and min(once + always) > 0


def test_errors_may_be_those_of_drawn_latents():
    for sample_errors in (False, True):
        model, expansion = make(sample_errors=sample_errors)
        run(model, expansion, 3)
        assert model.seen == [sample_errors]


@pytest.mark.parametrize("selection", ["lowest_error", "random", "diverse"])
def test_a_callback_that_takes_up_the_state_goes_on_alike(selection):
    def positions(stopped_at=None):
        model, expansion = make("auto", selection=selection, statistics="stale", seed=3)

        def swap(batch):
            if batch == stopped_at:
                state = json.loads(json.dumps(expansion.get_state()))
                expansion.__init__("auto", selection=selection, statistics="stale", seed=99)
                expansion.set_state(state)
                expansion.set_model(model)

        run(model, expansion, 14, swap)
        return model.memory.gather().positions.numpy().tolist()

    assert positions(7) == positions() != []


def test_nonsense_is_refused():
    for name in ("query", "reduce", "statistics", "moments", "selection"):
        with pytest.raises(ValueError, match=f"{name} must be one of"):
            ClusterExpansion(**{name: "none"})
    with pytest.raises(ValueError, match="threshold must be a number or one of"):
        ClusterExpansion("automatic")
    model, expansion = make()
    model.scale = np.nan
    with pytest.raises(DivergedError, match="a latent is not finite"):
        run(model, expansion)


# With models ----------------------------------------------------------------------------------------------------------


def learn(model, labels, seed=0, num_images=32):
    expansion = ClusterExpansion(-1.0, seed=seed)
    stream = tiny.batches_of((tiny.make_images(num_images), labels[:num_images]))
    model.fit(stream, verbose=0, shuffle=False, callbacks=[expansion])
    return model.memory.gather()


def test_clusters_grow_without_a_new_trace():
    model, traces = tiny.make_two_path_vae(make_cluster_memory(max_clusters=3, seed=1)), []
    step = model.minibatch_step
    model.minibatch_step = lambda images, labels: traces.append(images.shape) or step(images, labels)
    learn(model, np.arange(32) // 8)
    assert len(traces) == 1 and model.memory.long_term.num_clusters == 3
    assert model._encode.experimental_get_tracing_count() == model._decode.experimental_get_tracing_count() == 1


@pytest.mark.slow
def test_labels_change_nothing_and_are_carried_along():
    labels, runs = np.arange(32) // 8, []
    for given_labels in (labels, labels[::-1].copy()):
        model = tiny.make_two_path_vae(make_cluster_memory(max_clusters=3, seed=1))
        runs.append((learn(model, given_labels), model))
    (first, model), (second, other) = runs
    np.testing.assert_array_equal(first.images, second.images)
    np.testing.assert_array_equal(first.positions, second.positions)
    np.testing.assert_array_equal(first.labels, labels[first.positions])
    for weight, expected in zip(model.trainable_weights, other.trainable_weights, strict=True):
        np.testing.assert_array_equal(weight, expected)


def test_a_mixture_learns_with_clusters_too():
    model = tiny.make_mixture(make_cluster_memory(max_clusters=2), epochs_per_batch=1)
    held = learn(model, np.zeros(32, np.int64), num_images=20)
    assert model.memory.long_term.num_clusters == 2
    assert model.posterior(tiny.make_images(3))[0].shape == (3, tiny.LATENT_DIM)
    assert len(held.positions) == len(model.memory.short_term) + 8
