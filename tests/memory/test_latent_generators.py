"""Checks the generators of latents: statistics against closed forms, exact counts, states, bytes, errors."""

import keras
import numpy as np
import pytest
from sklearn.mixture import GaussianMixture

from ocm_tf.errors import DivergedError
from ocm_tf.memory import (
    ClassConditionalGaussian,
    ClassConditionalGMM,
    ClassConditionalVAE,
    ClassMean,
    ComponentLabelledGMM,
    fit_gaussian_mixture,
    log_densities,
)

DIM = 3
MEANS = {3: np.array([5.0, -5.0, 1.0]), 7: np.array([-4.0, 4.0, 2.0])}
STDS = {3: np.array([0.5, 1.0, 2.0]), 7: np.array([1.5, 0.2, 1.0])}
GENERATORS = [
    ClassConditionalGMM(),
    ClassConditionalGMM(num_components=3, multinomial=True),
    ComponentLabelledGMM(clip_nonneg=True),
    ClassMean(),
    *(ClassConditionalGaussian(covariance) for covariance in ("full", "shrunk", "tied")),
    ClassConditionalVAE(code_dim=2, hidden_units=8, epochs=2, batch_size=64, learning_rate=0.01),
]


def copy_of(generator):
    """Makes an unfitted generator the way a model file does."""
    return keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(generator))


def name_of(generator):
    return "-".join([type(generator).__name__, *(str(v) for v in list(generator.get_config().values())[2:3])])


def make_latents(num=3000, seed=0):
    """Draws three latents of class 3 for each one of class 7."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat([3, 7], [3 * num // 4, num - 3 * num // 4]))
    means, stds = (np.stack([table[label] for label in labels]) for table in (MEANS, STDS))
    return (means + stds * rng.normal(size=(num, DIM))).astype(np.float32), labels


LATENTS, LABELS = make_latents()


@pytest.fixture(scope="module", params=GENERATORS, ids=name_of)
def fitted(request):
    return copy_of(request.param).fit(LATENTS, LABELS, seed=1)


def test_labels_are_those_seen_in_their_shares(fitted):
    latents, labels = fitted.sample(400, seed=2)
    assert latents.shape == (400, DIM) and latents.dtype == np.float32 and labels.dtype == np.int64
    assert set(labels) == {3, 7} and (np.diff(labels) >= 0).all()
    if not fitted.multinomial:
        assert np.bincount(labels)[[3, 7]].tolist() == [300, 100]
        assert np.bincount(fitted.sample(11, "uniform", 0)[1])[[3, 7]].tolist() == [6, 5]
        assert set(fitted.sample(9, (0, 1), 0)[1]) == {7}
    assert len(fitted.sample(0)[1]) == 0


def test_a_seed_gives_the_same_fit_and_samples(fitted):
    again = copy_of(fitted).fit(LATENTS, LABELS, seed=1)
    for name, array in fitted.arrays().items():
        np.testing.assert_array_equal(again.arrays()[name], array)
    first, second, other = (fitted.sample(50, seed=seed)[0] for seed in (4, 4, 5))
    np.testing.assert_array_equal(first, second)
    assert isinstance(fitted, ClassMean) or not np.array_equal(first, other)


def test_state_comes_back_from_arrays_and_configuration(fitted):
    copy = copy_of(fitted)
    assert copy.get_config() == fitted.get_config() and not copy.is_fitted and copy.arrays() == {}
    with pytest.raises(ValueError, match="must be fitted"):
        copy.sample(3)
    copy.set_arrays({name: array.copy() for name, array in fitted.arrays().items()})
    for ours, theirs in zip(copy.sample(20, seed=3), fitted.sample(20, seed=3), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    with pytest.raises(ValueError, match="has arrays"):
        copy.set_arrays({"means": fitted.arrays().get("means", np.zeros(1))})


def test_only_as_much_is_kept_as_is_counted(fitted):
    own = [value for value in vars(fitted).values() if isinstance(value, np.ndarray)]
    assert fitted.num_bytes == sum(array.nbytes for array in own)
    assert all(len(LATENTS) not in array.shape for array in own)


@pytest.mark.parametrize("generator", [ClassConditionalGMM(), ClassConditionalGaussian("full")])
def test_samples_have_the_moments_of_their_class(generator):
    latents, labels = copy_of(generator).fit(LATENTS, LABELS).sample(40_000, seed=0)
    for label in (3, 7):
        real, drawn = LATENTS[label == LABELS].astype(float), latents[labels == label].astype(float)
        error = real.std(axis=0) / np.sqrt(len(drawn))
        assert (np.abs(drawn.mean(axis=0) - real.mean(axis=0)) < 5 * error).all()
        assert (np.abs(drawn.var(axis=0) / real.var(axis=0) - 1) < 5 * np.sqrt(2 / len(drawn))).all()


def test_whole_covariances_keep_correlations():
    rng = np.random.default_rng(0)
    latents = rng.normal(size=(4000, 2)) @ np.array([[1.0, 0.9], [0.0, 0.4]])
    labels = np.repeat([0, 1], 2000)
    expected = np.corrcoef(latents.T)[0, 1]
    for covariance in ("full", "shrunk", "tied"):
        drawn, _ = ClassConditionalGaussian(covariance).fit(latents, labels).sample(20_000, seed=1)
        assert abs(np.corrcoef(drawn.T)[0, 1] - expected) < 0.02
    drawn, _ = ClassConditionalGMM().fit(latents, labels).sample(20_000, seed=1)
    assert abs(np.corrcoef(drawn.T)[0, 1]) < 0.05


def covariance_of(generator):
    """Returns the first covariance that a generator holds."""
    latent_dim = generator.means.shape[1]
    factor = np.zeros((latent_dim, latent_dim))
    factor[np.tril_indices(latent_dim)] = generator.factors[0]
    return factor @ factor.T


def test_a_shrunk_covariance_keeps_its_trace_and_is_better_conditioned():
    latents = np.random.default_rng(0).normal(size=(12, 8)) * np.arange(1, 9)
    generators = (ClassConditionalGaussian(name).fit(latents, np.zeros(12)) for name in ("full", "shrunk"))
    full, shrunk = map(covariance_of, generators)
    np.testing.assert_allclose(np.trace(shrunk), np.trace(full), rtol=1e-5)
    assert np.linalg.cond(shrunk) < 0.5 * np.linalg.cond(full)


def test_a_tied_covariance_is_the_mean_within_classes():
    generator = ClassConditionalGaussian("tied").fit(LATENTS, LABELS)
    groups = [LATENTS[label == LABELS].astype(float) for label in (3, 7)]
    within = sum(len(group) * np.cov(group.T, bias=True) for group in groups) / len(LATENTS)
    np.testing.assert_allclose(covariance_of(generator), within, atol=1e-4)


def test_one_component_is_the_closed_form():
    generator = ClassConditionalGMM().fit(LATENTS, LABELS)
    for row, label in enumerate((3, 7)):
        members = LATENTS[label == LABELS].astype(float)
        np.testing.assert_allclose(generator.means[row], members.mean(axis=0), rtol=1e-6)
        np.testing.assert_allclose(generator.variances[row], members.var(axis=0), rtol=1e-6)
        start = np.ones(1), members[:1], np.ones((1, DIM))
        _, means, variances, _ = fit_gaussian_mixture(members, *start)
        np.testing.assert_allclose(means[0], members.mean(axis=0), rtol=1e-6)
        np.testing.assert_allclose(variances[0], members.var(axis=0) + 1e-6, rtol=1e-6)


def three_groups(num=600):
    rng = np.random.default_rng(0)
    centres = np.array([[0.0, 0.0], [6.0, 0.0], [0.0, 6.0]])
    return (centres[rng.integers(3, size=num)] + rng.normal(size=(num, 2))).astype(np.float32)


def start_at(latents, num_components):
    return np.full(num_components, 1 / num_components), latents[:num_components], np.ones((num_components, 2))


def test_densities_are_those_of_scipy():
    from scipy.stats import norm

    latents = three_groups(7)
    weights, means, variances = np.array([0.3, 0.7]), np.array([[0.0, 1.0], [2.0, 3.0]]), np.array([[1.0, 2.0], [3, 4]])
    expected = np.log(weights) + norm.logpdf(latents[:, None], means, np.sqrt(variances)).sum(axis=2)
    np.testing.assert_allclose(log_densities(latents, weights, means, variances), expected, rtol=1e-6)


def test_the_likelihood_never_falls_and_finds_the_groups(monkeypatch):
    latents = three_groups()
    one, three = (fit_gaussian_mixture(latents, *start_at(latents, k), tolerance=1e-6)[3] for k in (1, 3))
    assert (np.diff(three) > -1e-6).all() and three[-1] > one[-1] + 0.5
    # Chunks are for memory alone.
    monkeypatch.setattr("ocm_tf.memory.gaussian_mixture._CHUNK_ROWS", 7)
    chunked = fit_gaussian_mixture(latents, *start_at(latents, 3), tolerance=1e-6)[3]
    np.testing.assert_allclose(chunked, three, rtol=1e-9)


def test_the_mixture_agrees_with_scikit_learn():
    latents = three_groups()
    weights, means, variances = start_at(latents, 3)
    reference = GaussianMixture(
        3, covariance_type="diag", tol=1e-9, max_iter=300, reg_covar=1e-6,
        weights_init=weights, means_init=means, precisions_init=1 / variances,
    ).fit(latents)  # fmt: skip
    ours = fit_gaussian_mixture(latents, weights, means, variances, tolerance=1e-9, max_rounds=300)
    for mine, theirs in zip(ours, (reference.weights_, reference.means_, reference.covariances_), strict=False):
        np.testing.assert_allclose(mine, theirs, atol=1e-3)


def test_the_mixture_ends_by_its_rule():
    latents = three_groups()
    *_, few = fit_gaussian_mixture(latents, *start_at(latents, 3), tolerance=-1.0, max_rounds=4)
    assert len(few) == 5
    *_, rounds = fit_gaussian_mixture(latents, *start_at(latents, 3), tolerance=1e-3)
    assert rounds[-1] - rounds[-2] < 1e-3 and (np.diff(rounds)[:-1] >= 1e-3).all()


def test_components_of_a_class_find_its_parts():
    latents = three_groups()
    generator = ClassConditionalGMM(num_components=3).fit(latents, np.zeros(600, int), seed=0)
    found = generator.means[np.lexsort(generator.means.T.round())]
    np.testing.assert_allclose(found, [[0, 0], [6, 0], [0, 6]], atol=0.25)
    np.testing.assert_allclose(generator.weights.sum(), 1, atol=1e-5)


def test_a_released_component_may_leave_its_class():
    # Half of the class in the middle lies within either neighbour, so its component settles on one and mislabels.
    rng = np.random.default_rng(0)
    latents = np.concatenate([rng.normal(-5, 1, (500, 1)), rng.normal(5, 1, (500, 1))])
    labels = np.r_[np.zeros(500, int), np.repeat([0, 1], 250)]
    released = ComponentLabelledGMM().fit(latents, labels)
    conditional = ClassConditionalGMM().fit(latents, labels)
    assert released.variances.max() < 2 < conditional.variances.max()


@pytest.mark.parametrize("generator", GENERATORS, ids=name_of)
def test_constant_features_and_single_samples_do(generator):
    latents = np.concatenate([LATENTS[:40], np.full((40, 1), 2.0)], axis=1)
    labels = np.r_[np.zeros(39, int), 5]
    generator = copy_of(generator).fit(latents, labels, seed=0)
    drawn, drawn_labels = generator.sample(100, "uniform", seed=0)
    assert np.isfinite(drawn).all() and set(drawn_labels) == {0, 5}
    # Shrinking towards a multiple of the unit matrix gives a constant feature a variance.
    if getattr(generator, "covariance", None) != "shrunk":
        np.testing.assert_allclose(drawn[:, 3], 2, atol=0.02)


def test_the_variance_of_a_constant_is_the_floor():
    generator = ClassConditionalGMM().fit(np.ones((5, 2)), np.zeros(5, int))
    np.testing.assert_allclose(generator.variances, 1e-6)
    start = np.ones(1), np.ones((1, 2)), np.ones((1, 2))
    *_, variances, log_likelihoods = fit_gaussian_mixture(np.ones((5, 2)), *start)
    np.testing.assert_allclose(variances, 1e-6)
    assert np.isfinite(log_likelihoods).all()


@pytest.mark.parametrize(("latent_dim", "num_bytes"), [(2304, 184_360), (400, 32_040)])
def test_generators_take_the_bytes_of_the_paper(latent_dim, num_bytes):
    rng = np.random.default_rng(0)
    latents, labels = rng.normal(size=(30, latent_dim)).astype(np.float32), np.arange(30) % 10
    for generator in (ClassConditionalGMM(), ComponentLabelledGMM()):
        assert generator.fit(latents, labels).num_bytes == num_bytes + 10 * 8
    small = ClassConditionalGaussian("full").fit(latents[:, :20], labels)
    assert small.num_bytes == 10 * (20 + 20 * 21 // 2 + 1) * 4 + 10 * 8
    assert ClassMean().fit(latents, labels).num_bytes == 10 * (latent_dim + 1) * 4 + 10 * 8


def test_negative_values_can_be_clipped():
    assert ClassConditionalGMM().fit(LATENTS, LABELS).sample(50, seed=0)[0].min() < 0
    assert ClassConditionalGMM(clip_nonneg=True).fit(LATENTS, LABELS).sample(50, seed=0)[0].min() == 0


def test_drawn_counts_vary():
    generator = ClassConditionalGMM(multinomial=True).fit(LATENTS, LABELS)
    counts = {int((generator.sample(400, seed=seed)[1] == 3).sum()) for seed in range(5)}
    assert len(counts) > 1


def test_an_autoencoder_learns_its_classes():
    generator = ClassConditionalVAE(code_dim=2, hidden_units=16, epochs=15, batch_size=64, learning_rate=0.01)
    latents, labels = generator.fit(LATENTS, LABELS, seed=0).sample(8000, seed=0)
    for label in (3, 7):
        drawn = latents[labels == label]
        assert (np.abs(drawn.mean(axis=0) - MEANS[label]) < 0.5 * STDS[label] + 0.1).all()
        assert (np.abs(np.log(drawn.std(axis=0) / STDS[label])) < 0.7).all()


def test_errors_say_what_is_wrong():
    generator = ClassConditionalGMM()
    for latents, labels in ((np.ones((2, 2, 2)), np.ones(2)), (np.ones((2, 2)), np.ones(3)), (np.ones((0, 2)), [])):
        with pytest.raises(ValueError, match="latents and labels must have shapes"):
            generator.fit(latents, labels)
    with pytest.raises(DivergedError, match="NaN or infinite"):
        generator.fit(np.array([[np.nan]]), [0])
    generator.fit(LATENTS, LABELS)
    for proportions in ("odd", (1, 2, 3)):
        with pytest.raises(ValueError, match="proportions must be"):
            generator.sample(3, proportions)
    with pytest.raises(ValueError, match="num_components"):
        ClassConditionalGMM(0)
    with pytest.raises(ValueError, match="covariance must be one of"):
        ClassConditionalGaussian("diag")
    with pytest.raises(ValueError, match="code_dim"):
        ClassConditionalVAE(code_dim=0)
