"""Cells pushed apart until none overlaps: what a crowd needs beyond places that are found by chance."""

from typing import NamedTuple, Protocol

import numpy as np
from scipy.spatial import cKDTree

ROUNDS = 400  # after which what still overlaps is given up
LIST_ROUNDS = 8  # for which one list of neighbours does
SKIN = 0.25  # how far the list looks beyond what touches, in mean radii
STEP = 0.6  # of an overlap that is undone in a round, by both cells together; more than half, since there are others
CLEAR = 0.005  # of a mean radius that cells are pushed apart beyond touching, so that the rounds end
TOLERANCE = 0.01  # of a mean radius that two cells may overlap; less than a voxel


class Bounds(Protocol):
    """Where the centres of cells may be."""

    def __call__(self, centres: np.ndarray) -> np.ndarray:
        """Bring centres (n, ndim) back to where they may be."""


class Bodies(NamedTuple):
    """Ellipsoids, upright in 3D: turned in the plane only."""

    height: np.ndarray
    """Squared semi-axes along z, (n,); 1 in 2D."""
    plane: np.ndarray
    """Symmetric matrices yy, yx, xx of the ellipses in the plane, (n, 3): rotation . squared semi-axes . rotation^T."""
    radius: np.ndarray
    """Of the ball or disc of the same size, (n,)."""
    reach: np.ndarray
    """Longest semi-axis, (n,)."""


def make_bodies(semi_axes: np.ndarray, rotations: np.ndarray) -> Bodies:
    """Make bodies from semi-axes (n, ndim) and rotations (n, ndim, ndim)."""
    turned = rotations[:, -2:, -2:]
    matrix = (turned * semi_axes[:, None, -2:] ** 2) @ turned.transpose(0, 2, 1)
    height = semi_axes[:, 0] ** 2 if semi_axes.shape[1] == 3 else np.ones(len(semi_axes))
    plane = np.stack([matrix[:, 0, 0], matrix[:, 0, 1], matrix[:, 1, 1]], axis=1)
    radius = semi_axes.prod(axis=1) ** (1 / semi_axes.shape[1])
    return Bodies(height, plane, radius, semi_axes.max(axis=1))


def contact_scale(away: np.ndarray, first: Bodies, second: Bodies) -> np.ndarray:
    """By how much two bodies may grow until they touch; at least so much, exact for balls.

    The function of Perram and Wertheim 1985 (J. Comput. Phys. 58, 409) is a maximum over one parameter; here it has the
    value that is right for balls, which can only make the bodies seem nearer than they are.

    Parameters
    ----------
    away : array (n, ndim)
        From the first to the second centre, micrometres.
    first, second : Bodies
        n of each.

    Returns
    -------
    array (n,)
        Below 1 they may overlap.
    """
    share = first.radius / (first.radius + second.radius)
    yy, yx, xx = ((1 - share)[:, None] * first.plane + share[:, None] * second.plane).T
    y, x = away[:, -2], away[:, -1]
    form = (xx * y**2 - 2 * yx * y * x + yy * x**2) / (xx * yy - yx**2)
    if away.shape[1] == 3:
        form += away[:, 0] ** 2 / ((1 - share) * first.height + share * second.height)
    return np.sqrt(share * (1 - share) * form)


def push_apart(centres: np.ndarray, bodies: Bodies, spacing: float, bounds: Bounds) -> tuple[np.ndarray, np.ndarray]:
    """Push bodies apart until none overlaps another and no two centres are nearer than `spacing`.

    In each round every pair that is too near moves apart along the line of its centres (as in the packings of Jodrey
    and Tory 1985, Phys. Rev. A 32, 2347).

    Parameters
    ----------
    centres : array (n, ndim)
        Micrometres.
    bodies : Bodies
    spacing : float
        Smallest distance between two centres, micrometres; 0 for none.
    bounds : callable

    Returns
    -------
    centres : array (n, ndim)
    kept : bool array (n,)
        The bodies without those that have to be left out so that none is too near to another.
    """
    mean, pairs = bodies.radius.mean(), np.zeros((0, 2), int)
    for number in range(ROUNDS):
        if number % LIST_ROUNDS == 0:
            pairs = _list_near(centres, bodies, spacing, SKIN * mean)
        away, lacking = _lack(centres, bodies, pairs, spacing)
        if lacking.max(initial=0) <= TOLERANCE * mean:
            break
        near = lacking > -CLEAR * mean
        push = (away * (STEP / 2 * (lacking + CLEAR * mean))[:, None])[near]
        moved = centres.copy()
        for axis in range(centres.shape[1]):
            moved[:, axis] -= np.bincount(pairs[near, 0], push[:, axis], len(centres))
            moved[:, axis] += np.bincount(pairs[near, 1], push[:, axis], len(centres))
        centres = bounds(moved)
    return centres, _leave_out(centres, bodies, spacing)


def _list_near(centres: np.ndarray, bodies: Bodies, spacing: float, skin: float) -> np.ndarray:
    """Pairs (n, 2) that touch or may soon."""
    pairs = cKDTree(centres).query_pairs(max(2 * bodies.reach.max(), spacing) + skin, output_type="ndarray")
    distance = np.linalg.norm(centres[pairs[:, 1]] - centres[pairs[:, 0]], axis=1)
    return pairs[distance <= np.maximum(bodies.reach[pairs].sum(axis=1), spacing) + skin]


def _lack(centres: np.ndarray, bodies: Bodies, pairs: np.ndarray, spacing: float) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors (n, ndim) from the first to the second of each pair, and micrometres that they are too near."""
    away = centres[pairs[:, 1]] - centres[pairs[:, 0]]
    distance = np.maximum(np.linalg.norm(away, axis=1), 1e-9)
    first, second = (Bodies(*(part[side] for part in bodies)) for side in pairs.T)
    touching = distance / np.maximum(contact_scale(away, first, second), 1e-9)
    return away / distance[:, None], np.maximum(touching, spacing) - distance


def _leave_out(centres: np.ndarray, bodies: Bodies, spacing: float) -> np.ndarray:
    """Which bodies stay if of pairs that are too near the one with more such pairs goes, bool array (n,)."""
    pairs = _list_near(centres, bodies, spacing, 0.0)
    pairs = pairs[_lack(centres, bodies, pairs, spacing)[1] > TOLERANCE * bodies.radius.mean()]
    kept = np.ones(len(centres), bool)
    while len(pairs):
        worst = np.bincount(pairs.ravel(), minlength=len(centres)).argmax()
        kept[worst] = False
        pairs = pairs[(pairs != worst).all(axis=1)]
    return kept
