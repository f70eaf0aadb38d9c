import numpy as np
import pytest
from simulating import BOX
from sketchscope.masks.specimen import Box, Ellipsoid, Specimen, draw_specimen, find_region

EXTENT = {2: np.array([40.0, 60.0]), 3: np.array([30.0, 40.0, 60.0])}
CELL_DIAMETER = 2.0


def draw(ndim, seed=0, **changes):
    rng = np.random.default_rng(seed)
    return draw_specimen(0 * EXTENT[ndim], EXTENT[ndim], BOX._replace(**changes), CELL_DIAMETER, rng)


def ball(ndim, radius=10.0):
    return Specimen(Ellipsoid(EXTENT[ndim] / 2, np.full(ndim, radius), 0.0, None))


@pytest.mark.parametrize("ndim", [2, 3])
def test_depth_in_a_ball_is_the_distance_to_its_surface(ndim):
    points = np.random.default_rng(0).uniform(0, EXTENT[ndim], (500, ndim))
    expected = 10 - np.linalg.norm(points - EXTENT[ndim] / 2, axis=1)
    np.testing.assert_allclose(ball(ndim).depth(points), expected, atol=1e-6)


@pytest.mark.parametrize("ndim", [2, 3])
def test_depth_in_an_ellipsoid_near_its_surface(ndim):
    """Points are moved by a little along the normal."""
    specimen = draw(ndim, shape="ellipsoid")
    axes, rng = EXTENT[ndim] / 2, np.random.default_rng(0)
    unit = rng.standard_normal((200, ndim))
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    normal = unit / axes
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    for below in (-0.5, 0.5):
        depth = specimen.depth(EXTENT[ndim] / 2 + unit * axes - below * normal)
        np.testing.assert_allclose(depth, below, rtol=0.1)


@pytest.mark.parametrize("ndim", [2, 3])
def test_shell(ndim):
    shell = ball(ndim)._replace(thickness=4.0)
    away = np.zeros((5, ndim))
    away[:, -1] = [5.9, 6.1, 8.0, 9.9, 10.1]
    points = EXTENT[ndim] / 2 + away
    assert shell.contains(points).tolist() == [False, True, True, True, False]
    assert shell.contains(points, margin=1.5).tolist() == [False, False, True, False, False]


@pytest.mark.parametrize("ndim", [2, 3])
def test_dome_has_its_apex_a_cell_below_the_first_slice(ndim):
    dome = draw(ndim, shape="dome", size_um=[20.0] * ndim)
    along = np.repeat(EXTENT[ndim][None] / 2, 3, axis=0)
    along[:, 0] = [1.9, 2.1, 7.0]
    np.testing.assert_allclose(dome.depth(along), [-0.1, 0.1, 5.0], atol=1e-6)


def test_map_is_the_same_in_every_slice():
    flat = draw(3, shape="map")
    points = np.random.default_rng(0).uniform(0, EXTENT[3], (200, 3))
    raised = points.copy()
    raised[:, 0] += 100
    np.testing.assert_array_equal(flat.depth(points), flat.depth(raised))
    assert 0.7 < flat.contains(np.random.default_rng(1).uniform(0, EXTENT[3], (5000, 3))).mean() < 0.87, "pi / 4"


def test_a_rough_specimen_is_another_one_in_each_volume():
    points = np.random.default_rng(0).uniform(0, EXTENT[3], (200, 3))
    smooth, first, other = (
        draw(3, seed, shape="ellipsoid", roughness=roughness).depth(points)
        for seed, roughness in ((0, 0.0), (0, 0.1), (1, 0.1))
    )
    assert not np.allclose(first, smooth)
    assert not np.allclose(first, other)


def test_a_box_goes_on_beyond_the_volume_and_draws_nothing():
    rng = np.random.default_rng(0)
    box = draw_specimen(0 * EXTENT[3], EXTENT[3], BOX, CELL_DIAMETER, rng)
    assert isinstance(box.outline, Box)
    assert box.contains(np.array([[-5.0, 1.0, 1.0], [1e6, 1.0, 1.0]])).all()
    assert rng.random() == np.random.default_rng(0).random()


@pytest.mark.parametrize("ndim", [2, 3])
def test_region(ndim):
    """Volume, and even draws: as many points in the inner half of a ball's volume as in the outer."""
    specimen = ball(ndim)
    region = find_region(specimen, 0 * EXTENT[ndim], EXTENT[ndim], 0.8, 0.0)
    expected = np.pi * 10**2 if ndim == 2 else 4 / 3 * np.pi * 10**3
    assert region.volume == pytest.approx(expected, rel=0.02)
    points = region.draw(4000, np.random.default_rng(0))
    assert specimen.contains(points, margin=-0.8).all()
    inner = specimen.contains(points, margin=10 * (1 - 0.5 ** (1 / ndim)))
    assert inner.mean() == pytest.approx(0.5, abs=0.03)


def test_region_with_a_margin_and_without_a_place():
    region = find_region(ball(3), 0 * EXTENT[3], EXTENT[3], 0.8, 5.0)
    assert region.volume == pytest.approx(4 / 3 * np.pi * 5**3, rel=0.05)
    nowhere = find_region(ball(3), 0 * EXTENT[3], EXTENT[3], 0.8, 11.0)
    assert nowhere.volume == 0


def test_region_of_a_box_is_the_box():
    region = find_region(Specimen(Box()), 0 * EXTENT[2], EXTENT[2], 1.0, 0.0)
    assert region.volume == 40 * 60
    np.testing.assert_array_equal(
        region.draw(10, np.random.default_rng(0)), np.random.default_rng(0).uniform(0, EXTENT[2], (10, 2))
    )
