import numpy as np
import pytest
from scipy.integrate import simpson
from scipy.special import sph_harm_y
from sketchscope.masks.surfaces import draw_harmonics, draw_waves, tabulate_harmonics

DRAWS = {"waves": draw_waves, "harmonics": lambda ndim, rng: draw_harmonics(rng)}


def directions(ndim, count, rng):
    vectors = rng.standard_normal((ndim, count))
    return vectors / np.linalg.norm(vectors, axis=0)


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
@pytest.mark.parametrize("ndim", [2, 3])
def test_mean_0_and_variance_1_in_every_direction(draw, ndim):
    rng = np.random.default_rng(0)
    where = np.concatenate([np.eye(ndim), -np.eye(ndim), directions(ndim, 4, rng)[:ndim].T]).T
    values = np.array([draw(ndim, rng)(where) for _ in range(1500)])
    np.testing.assert_allclose(values.mean(axis=0), 0, atol=0.12)
    np.testing.assert_allclose(values.std(axis=0), 1, atol=0.08)


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_same_generator_same_surface(draw):
    where = directions(3, 50, np.random.default_rng(1))
    first, again, other = (draw(3, np.random.default_rng(seed))(where) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)


def test_basis_is_orthonormal():
    """Integrals over the sphere; the azimuth's last point is its first."""
    degrees, basis = tabulate_harmonics()
    assert sorted(set(degrees)) == [2, 3, 4, 5, 6]
    polar = np.linspace(0, np.pi, basis.shape[1])
    rings = np.einsum("aij,bij->abi", basis[..., :-1], basis[..., :-1]) * 2 * np.pi / (basis.shape[2] - 1)
    product = simpson(rings * np.sin(polar), x=polar)
    np.testing.assert_allclose(product, np.eye(len(basis)), atol=0.002)


def test_between_the_angles_of_the_table():
    """One harmonic in random directions against its definition."""
    basis = tabulate_harmonics()[1]
    surface = draw_harmonics(np.random.default_rng(0))._replace(table=basis[3])  # degree 2, order 1
    z, y, x = where = directions(3, 500, np.random.default_rng(0))
    expected = np.sqrt(2) * sph_harm_y(2, 1, np.arccos(z), np.arctan2(y, x)).real
    np.testing.assert_allclose(surface(where), expected, atol=0.01)


def test_a_circle_is_the_equator():
    surface = draw_harmonics(np.random.default_rng(2))
    flat = directions(2, 100, np.random.default_rng(0))
    np.testing.assert_allclose(surface(flat), surface(np.concatenate([np.zeros((1, 100)), flat])), atol=1e-12)
