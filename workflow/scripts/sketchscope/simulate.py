"""Simulated instance masks of nuclei: deformed ellipsoids, single and in clusters, that never overlap."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

WAVES = 12  # random waves on the unit sphere that deform a boundary
WAVE_NUMBER = 2.5  # their mean frequency: lobes of about a radius
MAX_WAVE = 3.0  # standard deviations at which the deformation is cut
PLACEMENT_TRIES = 60
DIRECTIONS = 3  # in which a place beside a neighbour is sought
DISTANCES = np.arange(0.5, 2, 0.05)  # from the neighbour's centre, in diameters
FULL = 10  # cells in a row without a place, after which the volume counts as full


class Cell(NamedTuple):
    """One drawn cell: semi-axes in micrometres, rotation, waves of its boundary."""

    semi_axes: np.ndarray
    rotation: np.ndarray
    wave_vectors: np.ndarray
    wave_phases: np.ndarray
    roughness: float

    def voxels(self, voxel_size: np.ndarray) -> float:
        """Size of the whole cell, as if no border cut it."""
        ball = np.pi if len(self.semi_axes) == 2 else 4 / 3 * np.pi
        return ball * self.semi_axes.prod() / voxel_size.prod()


def draw_cell(
    ndim: int,
    diameter: float,
    diameter_cv: float,
    elongation: float,
    elongation_sd: float,
    flatness: float,
    roughness: float,
    rng: np.random.Generator,
) -> Cell:
    """Draw size, axis ratio, in-plane orientation and deformation of one cell; see `simulate_nuclei`."""
    spread = np.sqrt(np.log1p(diameter_cv**2))
    diameter = diameter * np.exp(spread * rng.standard_normal() - spread**2 / 2)
    ratio = np.sqrt(max(1.0, rng.normal(elongation, elongation_sd)))
    semi_axes = diameter / 2 * np.array([flatness, 1 / ratio, ratio])[-ndim:]
    angle = rng.uniform(0, np.pi)
    rotation = np.eye(ndim)
    rotation[-2:, -2:] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return Cell(
        semi_axes,
        rotation,
        rng.normal(0, WAVE_NUMBER, (WAVES, ndim)),
        rng.uniform(0, 2 * np.pi, WAVES),
        roughness,
    )


def rasterise(cell: Cell, centre: np.ndarray, voxel_size: np.ndarray, shape: Sequence[int]) -> tuple:
    """Voxels of a cell inside a volume.

    Returns
    -------
    region : tuple of slice
        Bounding box, cut by the volume; may be empty.
    inside : bool array of the region's shape
    """
    limit = np.exp(MAX_WAVE * cell.roughness)
    reach = limit * np.linalg.norm(cell.rotation * cell.semi_axes, axis=1)
    first = np.maximum(np.floor((centre - reach) / voxel_size), 0).astype(int)
    last = np.minimum(np.ceil((centre + reach) / voxel_size) + 1, shape).astype(int)
    if (last <= first).any():
        return tuple(slice(0, 0) for _ in shape), np.zeros((0,) * len(shape), bool)
    axes = [np.arange(a, b) * s - c for a, b, s, c in zip(first, last, voxel_size, centre, strict=True)]
    to_unit_ball = cell.rotation / cell.semi_axes
    position = sum(np.multiply.outer(row, axis) for row, axis in zip(to_unit_ball, np.ix_(*axes), strict=True))
    radius = np.linalg.norm(position, axis=0)
    inside = radius <= 1 / limit
    rim = ~inside & (radius <= limit)  # only here the waves decide
    direction = position[:, rim] / radius[rim]
    waves = np.cos(cell.wave_vectors @ direction + cell.wave_phases[:, None]).sum(0) * np.sqrt(2 / WAVES)
    inside[rim] = radius[rim] <= np.exp(cell.roughness * np.clip(waves, -MAX_WAVE, MAX_WAVE))
    return tuple(slice(a, b) for a, b in zip(first, last, strict=True)), inside


def _free_place(
    occupied: np.ndarray, cell: Cell, centres: Iterable[np.ndarray], voxel_size: np.ndarray
) -> tuple | None:
    """The first of the proposed centres at which a cell shows and overlaps no other: (centre, region, inside)."""
    plane = np.multiply(occupied.shape, voxel_size)[-2:]
    for centre in centres:
        if (centre[-2:] < 0).any() or (centre[-2:] > plane).any():
            continue
        region, inside = rasterise(cell, centre, voxel_size, occupied.shape)
        if inside.any() and not occupied[region][inside].any():
            return centre, region, inside
    return None


def _place_anywhere(
    occupied: np.ndarray,
    cell: Cell,
    layer: Sequence[float] | None,
    voxel_size: np.ndarray,
    rng: np.random.Generator,
) -> tuple | None:
    """A free place in the volume, see `_free_place`."""
    centres = rng.uniform(0, np.multiply(occupied.shape, voxel_size), (PLACEMENT_TRIES, occupied.ndim))
    if layer is not None and occupied.ndim == 3:
        centres[:, 0] = rng.normal(*layer, PLACEMENT_TRIES)
    return _free_place(occupied, cell, centres, voxel_size)


def _place_beside(
    occupied: np.ndarray,
    cell: Cell,
    neighbours: Sequence[np.ndarray],
    diameter: float,
    gap: float,
    voxel_size: np.ndarray,
    rng: np.random.Generator,
) -> tuple | None:
    """The free place nearest to a neighbour in some direction in the plane, moved on by the gap if that is free."""
    for _ in range(DIRECTIONS):
        neighbour, angle = neighbours[rng.integers(len(neighbours))], rng.uniform(0, 2 * np.pi)
        direction = np.array([0, np.sin(angle), np.cos(angle)])[-occupied.ndim :]
        ray = (neighbour + distance * diameter * direction for distance in DISTANCES)
        touching = _free_place(occupied, cell, ray, voxel_size)
        if touching is not None:
            return _free_place(occupied, cell, [touching[0] + gap * direction], voxel_size) or touching
    return None


def label_type(count: int) -> np.dtype:
    """Unsigned integers that hold `count` labels: uint16 as a rule, wider ones where they overflow."""
    return np.promote_types(np.uint16, np.min_scalar_type(count))


def _drop_cut_cells(labels: np.ndarray, smallest: Sequence[float]) -> np.ndarray:
    """Labels 1, 2, ... of the cells that show at least one voxel and at least their `smallest` size."""
    size = np.bincount(labels.ravel(), minlength=len(smallest) + 1)[1:]
    kept = np.concatenate([[False], size >= np.maximum(smallest, 1)])
    number = np.where(kept, np.cumsum(kept), 0).astype(label_type(kept.sum()))
    return number[labels]


def simulate_nuclei(
    shape: Sequence[int],
    voxel_size: Sequence[float],
    *,
    diameter: float,
    diameter_cv: float,
    elongation: float,
    elongation_sd: float,
    flatness: float,
    roughness: float,
    density: float,
    cluster_fraction: float,
    cluster_gap_um: float,
    layer_um: Sequence[float] | None,
    min_fraction: float = 0.1,
    rng: np.random.Generator,
) -> np.ndarray:
    """Simulate the mask of one volume of nuclei.

    Parameters
    ----------
    shape : sequence of int
        Voxels, (Z, Y, X) or (Y, X).
    voxel_size : sequence of float
        Micrometres along each axis.
    diameter : float
        Mean equivalent diameter in the plane, micrometres.
    diameter_cv : float
        Coefficient of variation of the diameter (log-normal).
    elongation, elongation_sd : float
        Mean and standard deviation of the ratio of the long to the short axis (normal, at least 1).
    flatness : float
        Height along z over the diameter; 3D only.
    roughness : float
        Deformation of the boundary: standard deviation as a fraction of the radius.
    density : float
        Cells per 10,000 um^2 in 2D, per 1,000,000 um^3 in 3D; their number is Poisson distributed.
    cluster_fraction : float
        Share of the cells that are placed beside an earlier one.
    cluster_gap_um : float
        Mean gap to that neighbour, micrometres (exponentially distributed).
    layer_um : (float, float), optional
        Mean and standard deviation of the centres' distance from the first slice (cells on a cover slip);
        None spreads them evenly. 3D only.
    min_fraction : float
        Cells of which the border leaves less than this fraction of their size are left out.
    rng : numpy Generator

    Returns
    -------
    uint16 array of `shape`, uint32 if it holds more cells than that can number
        Labels 1, 2, ... without gaps; 0 is background. A cell that finds no free place is left out.
    """
    voxel_size = np.asarray(voxel_size, float)
    margin = np.ceil(diameter / voxel_size).astype(int)  # cells around the volume, so that its borders cut some
    margin[:-2] = 0
    canvas_shape = shape + 2 * margin
    number = rng.poisson(density * np.prod(canvas_shape * voxel_size) / 10 ** (2 * len(shape)))
    labels = np.zeros(canvas_shape, label_type(min(number, np.prod(canvas_shape))))
    centres, smallest, misses = [], [], 0
    for _ in range(number):
        cell = draw_cell(len(shape), diameter, diameter_cv, elongation, elongation_sd, flatness, roughness, rng)
        place = None
        if centres and rng.random() < cluster_fraction:
            place = _place_beside(labels, cell, centres, diameter, rng.exponential(cluster_gap_um), voxel_size, rng)
        if place is None:
            place = _place_anywhere(labels, cell, layer_um, voxel_size, rng)
        misses = misses + 1 if place is None else 0
        if misses == FULL:
            break
        if place is not None:
            centre, region, inside = place
            centres.append(centre)
            smallest.append(min_fraction * cell.voxels(voxel_size))
            labels[region][inside] = len(centres)
    inner = tuple(slice(m, m + n) for m, n in zip(margin, shape, strict=True))
    return _drop_cut_cells(labels[inner], smallest)
