"""How well random directions align: exact values where there are some, else the method page's."""

import numpy as np
import pytest

from spon.analyses import chance


def test_the_cosine_of_vectors_is_that_of_their_directions():
    east, diagonal = np.array([2.0, 0.0]), np.array([3.0, 3.0])
    assert chance.cosine(east, diagonal) == pytest.approx(0.5**0.5)
    assert chance.cosine(east, -10 * east) == -1.0
    assert chance.cosine(east, np.array([0.0, 1.0])) == 0.0


def test_a_vector_of_zeros_has_no_direction():
    assert np.isnan(chance.cosine(np.zeros(2), np.ones(2)))


@pytest.mark.parametrize("level", [0.1, 0.5, 0.95])
def test_quantiles_in_two_and_three_dimensions_are_known_from_geometry(level):
    # In the plane the angle is uniform; on the sphere the height of a random point is
    # (Archimedes).
    assert chance.cosine_quantile(2, level) == pytest.approx(np.sin(np.pi / 2 * level))
    assert chance.cosine_quantile(3, level) == pytest.approx(level)


def test_in_many_dimensions_a_cosine_is_normal_with_variance_one_over_d():
    assert chance.cosine_quantile(2048, 0.95) == pytest.approx(1.96 / 2048**0.5, rel=1e-3)


def test_ten_components_in_2048_dimensions_have_the_null_of_the_method_page():
    null = chance.max_cosines(2048, 10, draws=20_000, seed=0)
    assert round(null.mean(), 3) == 0.042
    assert round(np.quantile(null, 0.95), 3) == 0.062
    # All eight published layers stay under 0.07.
    assert (null < 0.07).mean() ** 8 == pytest.approx(0.885, abs=0.01)


def test_one_component_has_the_exact_quantiles():
    null = chance.max_cosines(16, 1, draws=50_000, seed=0)
    exact = [chance.cosine_quantile(16, level) for level in (0.25, 0.5, 0.95)]
    np.testing.assert_allclose(np.quantile(null, [0.25, 0.5, 0.95]), exact, rtol=0.02)


def test_drawing_fewer_numbers_changes_no_quantile():
    vectors = np.random.default_rng(1).standard_normal((20_000, 12))
    plain = np.abs(vectors[:, :5] / np.linalg.norm(vectors, axis=1, keepdims=True)).max(axis=1)
    short = chance.max_cosines(12, 5, draws=20_000, seed=0)
    levels = [0.05, 0.5, 0.95]
    np.testing.assert_allclose(np.quantile(short, levels), np.quantile(plain, levels), rtol=0.02)


def test_a_direction_is_never_far_from_all_axes_of_its_space():
    # The squared cosines with all three axes sum to one, so the largest is a third or more.
    null = chance.max_cosines(3, 3, draws=1000, seed=0)
    assert null.min() >= 3**-0.5
    assert null.max() <= 1


def test_the_seed_alone_decides_the_directions():
    nulls = [chance.max_cosines(8, 2, 50, seed) for seed in (4, 4, 5)]
    np.testing.assert_array_equal(nulls[0], nulls[1])
    assert not np.array_equal(nulls[0], nulls[2])


def test_a_value_counts_among_the_directions_that_reach_it():
    null = np.array([0.1, 0.2, 0.3, 0.4])
    assert chance.share_reaching(null, 0.3) == 3 / 5
    assert chance.share_reaching(null, 0.9) == 1 / 5
    assert chance.share_reaching(null, 0.0) == 1
