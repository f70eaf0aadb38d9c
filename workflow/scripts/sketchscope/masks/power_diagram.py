"""Power diagrams (weighted Voronoi cells) on a grid of voxels."""

from collections.abc import Iterator, Sequence

import numpy as np
from scipy.spatial import cKDTree

from ..labels import label_type
from .specimen import Specimen

FIRST_CANDIDATES = 16  # nearest cells a block of voxels is compared with
PART_VOXELS = 2**18  # voxels that are worked on at a time, few enough for the processor's cache


def power_diagram(
    shape: Sequence[int],
    voxel_size: np.ndarray,
    centres: np.ndarray,
    weights: np.ndarray,
    body: Specimen,
) -> np.ndarray:
    """Label each voxel of the specimen with the cell of least power, the squared distance less the weight.

    Worked out for blocks of voxels: the difference of two powers is linear in place, so that most cells are ruled
    out for a block as a whole.

    Parameters
    ----------
    shape : sequence of int
        Voxels along each axis.
    voxel_size : array (ndim,)
        Micrometres.
    centres : array (n, ndim)
        Micrometres; voxel 0 is at 0.
    weights : array (n,)
        Square micrometres.
    body : Specimen

    Returns
    -------
    uint array of `shape`
        1, 2, ... for the first, second, ... centre; 0 outside the specimen.
    """
    spacing = np.sqrt(np.prod(np.ptp(centres, axis=0) + 1e-9) ** (2 / len(shape))) / len(centres) ** (1 / len(shape))
    block = np.clip(np.rint(spacing / 2 / voxel_size), 2, 8).astype(int)
    counts = -(-np.array(shape) // block)
    blocked = np.zeros((counts.prod(), *block), label_type(len(centres)))
    local = [(np.arange(size) - (size - 1) / 2) * step for size, step in zip(block, voxel_size, strict=True)]
    corners = np.stack(np.unravel_index(np.arange(counts.prod()), counts), axis=1) * block
    middles = (corners + (block - 1) / 2) * voxel_size
    half = (block - 1) / 2 * voxel_size
    clearance = body.clearance(middles)
    reach = 2 * np.linalg.norm(half)  # twice as far as the corners, as the depth is only right to first order
    inside = np.flatnonzero(clearance > -reach)
    for rows, found in _least_power(middles[inside], half, local, centres, weights):
        blocked[inside[rows]] = found + 1
    for rows in _split_rows(np.flatnonzero(np.abs(clearance) <= reach), block):
        blocked[rows] *= _contained(body, middles[rows], local)
    return _unblock(blocked, counts, block)[tuple(slice(size) for size in shape)]


def _split_rows(rows: np.ndarray, block: np.ndarray) -> list[np.ndarray]:
    """Cut rows of blocks into parts of about `PART_VOXELS` voxels."""
    size = max(1, PART_VOXELS // int(block.prod()))
    return np.split(rows, range(size, len(rows), size))


def _contained(body: Specimen, middles: np.ndarray, local: Sequence[np.ndarray]) -> np.ndarray:
    """Whether each voxel of some blocks is in the specimen, bool (rows, *block)."""
    ndim, size = len(local), [len(positions) for positions in local]
    grid = np.stack(np.broadcast_arrays(*np.ix_(*local)), axis=-1)
    points = middles.reshape(-1, *[1] * ndim, ndim) + grid
    return body.contains(points.reshape(-1, ndim)).reshape(-1, *size)


def _unblock(blocked: np.ndarray, counts: np.ndarray, block: np.ndarray) -> np.ndarray:
    """From (blocks, *block) to an array of the volume."""
    ndim = len(block)
    order = [axis + side * ndim for axis in range(ndim) for side in (0, 1)]
    return blocked.reshape(*counts, *block).transpose(order).reshape(counts * block)


def _least_power(
    middles: np.ndarray, half: np.ndarray, local: Sequence[np.ndarray], centres: np.ndarray, weights: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows of blocks, and for each of their voxels the cell of least power: int arrays (rows,), (rows, *block)."""
    candidates, gaps, away, last = _candidates(middles, half, centres, weights)
    order = np.argsort(last, kind="stable")
    for rows in _split_rows(order, np.array([len(positions) for positions in local])):
        shape = (len(rows), *map(len, local))
        least, winner = np.zeros(shape, np.float32), np.zeros(shape, np.int32)
        winner += candidates[rows, 0].reshape(-1, *[1] * len(local))
        for rank in range(1, last[rows].max() + 1 if len(rows) else 1):
            power = _linear(gaps[rows, rank], -2 * away[rows, rank], local)
            less = power < least
            np.copyto(least, power, where=less)
            np.copyto(winner, candidates[rows, rank].reshape(-1, *[1] * len(local)), where=less)
        yield rows, winner


def _linear(constant: np.ndarray, slope: np.ndarray, local: Sequence[np.ndarray]) -> np.ndarray:
    """constant + slope . place, float32 (n, *block)."""
    value = constant
    for axis, positions in enumerate(local):
        term = slope[:, axis].reshape(-1, *[1] * (axis + 1)) * positions
        value = value[..., None] + term.astype(np.float32)
    return value


def _candidates(
    middles: np.ndarray, half: np.ndarray, centres: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The cells that can have least power somewhere in a block, the one of its middle first.

    Returns
    -------
    candidates : int array (blocks, k)
    gaps : float32 array (blocks, k)
        Their power in the middle, less that of the first.
    away : float32 array (blocks, k, ndim)
        Their centres, seen from the first one's.
    last : int array (blocks,)
        How many there are after the first.
    """
    sites = np.column_stack([centres, np.sqrt(weights.max() - weights)])
    tree, asked = cKDTree(sites), np.column_stack([middles, np.zeros(len(middles))])
    k = min(FIRST_CANDIDATES, len(centres))
    while True:
        distance, candidates = (found.reshape(len(asked), k) for found in tree.query(asked, k))
        gaps = distance**2 - distance[:, :1] ** 2
        away = centres[candidates] - centres[candidates[:, :1]]
        possible = gaps <= 2 * np.abs(away) @ half
        if k == len(centres) or not possible[:, -1].any():
            break
        k = min(2 * k, len(centres))
    order = np.argsort(~possible, axis=1, kind="stable")
    rows = np.arange(len(asked))[:, None]
    last = possible.sum(axis=1) - 1
    kept = order[:, : last.max(initial=0) + 1]
    return candidates[rows, kept], gaps[rows, kept].astype(np.float32), away[rows, kept].astype(np.float32), last
