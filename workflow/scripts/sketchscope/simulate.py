"""Simulated instance masks of nuclei: deformed ellipsoids, single and in clusters, that never overlap."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

WAVES = 12  # random waves on the unit sphere that deform a boundary
WAVE_NUMBER = 2.5  # their mean frequency: lobes of about a radius
MAX_WAVE = 3.0  # standard deviations at which the deformation is cut
PLACEMENT_TRIES = 60


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
    reach = cell.semi_axes.copy()
    reach[-2:] = reach[-2:].max()  # the cell may lie at any angle in the plane
    reach *= np.exp(MAX_WAVE * cell.roughness)
    first = np.maximum(np.floor((centre - reach) / voxel_size), 0).astype(int)
    last = np.minimum(np.ceil((centre + reach) / voxel_size) + 1, shape).astype(int)
    if (last <= first).any():
        return tuple(slice(0, 0) for _ in shape), np.zeros((0,) * len(shape), bool)
    axes = [np.arange(a, b) * s - c for a, b, s, c in zip(first, last, voxel_size, centre, strict=True)]
    position = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1) @ cell.rotation / cell.semi_axes
    radius = np.linalg.norm(position, axis=-1)
    direction = position / np.maximum(radius, 1e-9)[..., None]
    waves = np.cos(direction @ cell.wave_vectors.T + cell.wave_phases).sum(-1) * np.sqrt(2 / WAVES)
    inside = radius <= np.exp(cell.roughness * np.clip(waves, -MAX_WAVE, MAX_WAVE))
    return tuple(slice(a, b) for a, b in zip(first, last, strict=True)), inside


def _random_centre(
    extent: np.ndarray, margin: float, layer: Sequence[float] | None, rng: np.random.Generator
) -> np.ndarray:
    """A point in the volume or up to `margin` micrometres beside it in the plane, so that borders cut cells."""
    margins = np.zeros(len(extent))
    margins[-2:] = margin
    centre = rng.uniform(-margins, extent + margins)
    if layer is not None and len(extent) == 3:
        centre[0] = rng.normal(*layer)
    return centre


def _beside(neighbour: np.ndarray, distance: float, rng: np.random.Generator) -> np.ndarray:
    """A point `distance` micrometres from a neighbour's centre, in the plane."""
    angle = rng.uniform(0, 2 * np.pi)
    centre = neighbour.copy()
    centre[-2:] += distance * np.array([np.sin(angle), np.cos(angle)])
    return centre


def expected_count(extent: Sequence[float], density: float, margin: float) -> float:
    """Cells for a density in cells per 10,000 um^2 (2D) or per 1,000,000 um^3 (3D), margin included."""
    extent = np.array(extent, float)
    extent[-2:] += 2 * margin
    return density * extent.prod() / 10 ** (2 * len(extent))


def _free_place(
    occupied: np.ndarray, cell: Cell, centres: Iterable[np.ndarray], voxel_size: np.ndarray
) -> tuple | None:
    """The first of the proposed centres at which the cell overlaps no other: (centre, region, inside)."""
    for centre in centres:
        region, inside = rasterise(cell, centre, voxel_size, occupied.shape)
        if not occupied[region][inside].any():
            return centre, region, inside
    return None


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
    uint16 array of `shape`
        Labels 1, 2, ... without gaps; 0 is background. A cell that finds no free place is left out.
    """
    voxel_size, extent = np.asarray(voxel_size, float), np.multiply(shape, voxel_size)
    labels, centres, count = np.zeros(shape, np.uint16), [], 0
    for _ in range(rng.poisson(expected_count(extent, density, diameter))):
        cell = draw_cell(len(shape), diameter, diameter_cv, elongation, elongation_sd, flatness, roughness, rng)
        if centres and rng.random() < cluster_fraction:
            neighbour, gap = centres[rng.integers(len(centres))], rng.exponential(cluster_gap_um)
            distances = diameter * (0.7 + 0.05 * np.arange(PLACEMENT_TRIES)) + gap
            proposals = (_beside(neighbour, distance, rng) for distance in distances)
        else:
            proposals = (_random_centre(extent, diameter, layer_um, rng) for _ in range(PLACEMENT_TRIES))
        place = _free_place(labels, cell, proposals, voxel_size)
        if place is None:
            continue
        centre, region, inside = place
        centres.append(centre)
        if np.count_nonzero(inside) >= min_fraction * cell.voxels(voxel_size):
            count += 1
            labels[region][inside] = count
    return labels
