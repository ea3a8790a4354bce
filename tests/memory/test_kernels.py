"""Checks the kernels and the score against values worked by hand and against a double loop."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ocm_tf.memory import KERNELS, cosine_similarity, kernel_scores, laplace_code_kernel, rbf_kernel
from ocm_tf.memory.kernels import squared_distances

ORIGIN, FAR = np.array([[0.0, 0.0]]), np.array([[3.0, 4.0]])
DISTANCE_KERNELS = [rbf_kernel, laplace_code_kernel]


def features(max_rows=6, dim=3, limit=20):
    shape = st.tuples(st.integers(1, max_rows), st.just(dim))
    return hnp.arrays(np.float32, shape, elements=st.floats(-limit, limit, width=32))


@pytest.mark.parametrize(
    ("kernel", "alpha", "value"),
    [
        (rbf_kernel, 10.0, 0.8825),
        (rbf_kernel, 5.0, 0.6065),
        (laplace_code_kernel, 10.0, 0.7022),
        (laplace_code_kernel, 5.0, 0.4931),
    ],
)
def test_kernels_of_two_points_five_apart(kernel, alpha, value):
    np.testing.assert_allclose(kernel(ORIGIN, FAR, alpha), [[value]], atol=5e-5)


def test_rbf_kernel_tells_orthogonal_vectors_apart():
    # The squared inner product of the printed matrix form would give exactly 1.
    np.testing.assert_allclose(rbf_kernel([[1.0, 0.0]], [[0.0, 1.0]], 10.0), [[np.exp(-0.01)]], rtol=1e-12)


@pytest.mark.parametrize(("code", "paper"), [(0.35, 0.332), (0.6, 0.770), (0.7, 0.881), (0.8, 0.951)])
def test_thresholds_of_the_two_kernels_translate(code, paper):
    distance = -np.log(code) * np.sqrt(2) * 10.0
    point = np.array([[distance]])
    np.testing.assert_allclose(laplace_code_kernel([[0.0]], point, 10.0), [[code]], rtol=1e-9)
    np.testing.assert_allclose(rbf_kernel([[0.0]], point, 10.0), [[paper]], atol=5e-4)


def test_score_is_the_mean_over_the_long_term_memory():
    scores = kernel_scores(ORIGIN, np.concatenate([ORIGIN, FAR]), "rbf", 10.0)
    np.testing.assert_allclose(scores, [0.94125], atol=5e-6)


def test_cosine_scores_are_signed():
    np.testing.assert_allclose(
        kernel_scores([[-1.0, 1.0], [1.0, 1.0], [0.0, 0.0]], [[1.0, 0.0]], "cosine"),
        [-np.sqrt(0.5), np.sqrt(0.5), 0.0],
    )


@given(features(), features())
def test_kernel_matrices_have_a_row_for_each_short_term_sample_and_values_up_to_one(first, second):
    for kernel in DISTANCE_KERNELS:
        similarities = kernel(first, second, 10.0)
        assert similarities.shape == (len(first), len(second))
        assert similarities.dtype == np.float64
        assert (similarities > 0).all() and (similarities <= 1).all()


@given(features())
def test_self_similarity_is_symmetric_with_unit_diagonal(points):
    for kernel, tolerance in ((rbf_kernel, 1e-12), (laplace_code_kernel, 1e-6)):
        similarities = kernel(points, points, 10.0)
        np.testing.assert_allclose(similarities, similarities.T, atol=1e-12)
        np.testing.assert_allclose(np.diag(similarities), 1.0, atol=tolerance)


@given(features(), features(), st.floats(0.5, 50))
def test_kernels_equal_a_double_loop(first, second, alpha):
    first, second = first.astype(np.float64), second.astype(np.float64)
    for a, row in enumerate(first):
        for b, column in enumerate(second):
            ratio = ((row - column) ** 2).sum() / (2 * alpha**2)
            assert abs(rbf_kernel(first, second, alpha)[a, b] - np.exp(-ratio)) < 1e-6
            assert abs(laplace_code_kernel(first, second, alpha)[a, b] - np.exp(-np.sqrt(ratio))) < 1e-6
            norms = np.linalg.norm(row) * np.linalg.norm(column)
            if norms > 1e-3:
                assert abs(cosine_similarity(first, second)[a, b] - row @ column / norms) < 1e-6


@given(features(), features(), st.floats(1, 50))
def test_similarity_falls_with_distance_and_rises_with_alpha(first, second, alpha):
    order = np.argsort(squared_distances(first, second), axis=None)
    for kernel in DISTANCE_KERNELS:
        assert (np.diff(kernel(first, second, alpha).ravel()[order]) <= 0).all()
        assert (kernel(first, second, alpha * 1.5) >= kernel(first, second, alpha)).all()


@given(features(), features())
def test_one_kernel_is_a_function_of_the_other(first, second):
    paper = rbf_kernel(first, second, 10.0)
    np.testing.assert_allclose(
        laplace_code_kernel(first, second, 10.0), np.exp(-np.sqrt(np.maximum(-np.log(paper), 0))), atol=1e-6
    )


@pytest.mark.parametrize("kernel", DISTANCE_KERNELS)
def test_distance_scale_undoes_the_growth_of_concatenated_features(kernel):
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(4, 3)), rng.normal(size=(5, 3))
    twice = kernel(np.tile(first, 9), np.tile(second, 9), 10.0, 1 / 9)
    np.testing.assert_allclose(twice, kernel(first, second, 10.0), rtol=1e-9)
    assert (kernel(np.tile(first, 9), np.tile(second, 9), 10.0) < twice).all()


def test_squared_distances_of_equal_long_rows_stay_near_zero():
    points = 1000.0 + np.random.default_rng(0).normal(size=(20, 50)).astype(np.float32)
    distances = squared_distances(points, points)
    assert (distances >= 0).all() and (np.diag(distances) < 1e-6).all()


def test_scores_refuse_what_has_no_value():
    with pytest.raises(ValueError, match="kernel must be one of"):
        kernel_scores(ORIGIN, FAR, "polynomial")
    for alpha in (0.0, -1.0):
        with pytest.raises(ValueError, match="alpha must be positive"):
            kernel_scores(ORIGIN, FAR, alpha=alpha)
    for kernel in KERNELS:
        with pytest.raises(ValueError, match="long-term memory is empty"):
            kernel_scores(ORIGIN, FAR[:0], kernel)
