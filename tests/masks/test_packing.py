import numpy as np
import pytest
from sketchscope.masks.packing import TOLERANCE, contact_scale, make_bodies, push_apart


def draw_bodies(ndim, count, rng, longest=3.0):
    semi_axes, angle = rng.uniform(1, longest, (count, ndim)), rng.uniform(0, np.pi, count)
    rotations = np.tile(np.eye(ndim), (count, 1, 1))
    turned = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    rotations[:, -2:, -2:] = turned.transpose(2, 0, 1)
    return semi_axes, rotations


def surface(centre, semi_axes, rotation, rng, count=20_000):
    points = rng.standard_normal((count, len(centre)))
    return centre + (points / np.linalg.norm(points, axis=1, keepdims=True) * semi_axes) @ rotation.T


def within(points, centre, semi_axes, rotation):
    return np.linalg.norm((points - centre) @ rotation / semi_axes, axis=1)


@pytest.mark.parametrize("ndim", [2, 3])
def test_balls_touch_where_their_radii_meet(ndim):
    radii, away = np.array([2.0, 3.0]), np.eye(ndim)[:1] * 7.0
    bodies = make_bodies(np.repeat(radii[:, None], ndim, axis=1), np.tile(np.eye(ndim), (2, 1, 1)))
    first, second = (type(bodies)(*(part[i : i + 1] for part in bodies)) for i in (0, 1))
    assert contact_scale(away, first, second) == pytest.approx([7 / 5])


@pytest.mark.parametrize("ndim", [2, 3])
def test_bodies_that_grow_by_the_contact_scale_do_not_overlap(ndim):
    """Points on the surface of one are looked for in the other; most pairs nearly touch."""
    rng, gaps = np.random.default_rng(0), []
    for _ in range(60):
        semi_axes, rotations = draw_bodies(ndim, 2, rng)
        away = rng.standard_normal(ndim) * 5
        bodies = make_bodies(semi_axes, rotations)
        first, second = (type(bodies)(*(part[i : i + 1] for part in bodies)) for i in (0, 1))
        scale = contact_scale(away[None], first, second)[0]
        points = surface(away, scale * semi_axes[1], rotations[1], rng)
        gaps.append(within(points, 0 * away, scale * semi_axes[0], rotations[0]).min())
    assert min(gaps) > 1 - 1e-6
    assert np.median(gaps) < 1.1


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("spacing", [0.0, 6.0])
def test_a_crowd_is_pushed_apart(ndim, spacing):
    rng, count = np.random.default_rng(1), 200
    semi_axes, rotations = draw_bodies(ndim, count, rng, longest=2.0)
    size = max(semi_axes.prod(axis=1).sum(), count * (spacing / 2) ** ndim) * (np.pi if ndim == 2 else 4 / 3 * np.pi)
    side = (size / {2: 0.6, 3: 0.45}[ndim]) ** (1 / ndim)
    bodies = make_bodies(semi_axes, rotations)
    start = rng.uniform(0, side, (count, ndim))
    centres, kept = push_apart(start, bodies, spacing, lambda centres: np.clip(centres, 0, side))
    assert kept.all()
    assert centres.min() >= 0
    assert centres.max() <= side
    slack = TOLERANCE * bodies.radius.mean()
    for one in range(count):
        distance = np.linalg.norm(centres - centres[one], axis=1)
        distance[one] = np.inf
        assert distance.min() > spacing - slack
        other = int(distance.argmin())
        points = surface(centres[other], semi_axes[other], rotations[other], rng, 500)
        assert within(points, centres[one], semi_axes[one] - slack, rotations[one]).min() > 1 - slack


def test_of_what_finds_no_place_as_few_as_possible_are_left_out():
    """Five discs of radius 1 at one point that no one may leave: one stays. A sixth, far away, stays too."""
    centres = np.zeros((6, 2))
    centres[5] = 10.0
    bodies = make_bodies(np.ones((6, 2)), np.tile(np.eye(2), (6, 1, 1)))
    _, kept = push_apart(centres, bodies, 0.0, lambda _: centres)
    assert kept.sum() == 2
    assert kept[5]
