"""Simulated instance masks of nuclei: deformed ellipsoids, single and in clusters, that never overlap."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..geometry import ball_volume
from ..labels import keep_labels, label_type
from .specimen import Region, Specimen, draw_specimen, find_region
from .surfaces import Harmonics, Waves, draw_harmonics, draw_waves

MAX_DEFORMATION = 3.0  # standard deviations at which the deformation of a boundary is cut
PLACEMENT_TRIES = 60
TOGETHER = 10  # places that are looked at together
DIRECTIONS = 3  # in which a place beside a neighbour is sought
DISTANCES = np.arange(0.5, 2, 0.05)  # from the neighbour's centre, in diameters
FULL = 10  # cells in a row without a place, after which the volume counts as full
REGION_STEP = 0.25  # of a specimen's places, in diameters
BOX = {"shape": "box", "size_um": None, "thickness_um": None, "roughness": 0.0}


def _probes(ndim: int) -> np.ndarray:
    """The centre of the unit ball and points on its surface, along the axes and between them."""
    grid = np.stack(np.meshgrid(*[[-1.0, 0.0, 1.0]] * ndim), axis=-1).reshape(-1, ndim)
    return grid / np.maximum(np.linalg.norm(grid, axis=1, keepdims=True), 1)


PROBES = {ndim: _probes(ndim) for ndim in (2, 3)}


class Cell(NamedTuple):
    """One drawn cell: semi-axes in micrometres, rotation, deformation of its boundary."""

    semi_axes: np.ndarray
    rotation: np.ndarray
    surface: Waves | Harmonics
    roughness: float

    @property
    def limit(self) -> float:
        """Farthest that the deformed boundary may lie, in semi-axes; its inverse is the nearest."""
        return float(np.exp(MAX_DEFORMATION * self.roughness))

    def voxels(self, voxel_size: np.ndarray) -> float:
        """Size of the whole cell, as if no border cut it."""
        return ball_volume(1.0, len(self.semi_axes)) * self.semi_axes.prod() / voxel_size.prod()


def draw_cell(
    ndim: int,
    diameter: float,
    diameter_cv: float,
    elongation: float,
    elongation_sd: float,
    flatness: float,
    roughness: float,
    rng: np.random.Generator,
    surface: str = "waves",
) -> Cell:
    """Draw size, axis ratio, in-plane orientation and deformation of one cell; see `simulate_nuclei`."""
    spread = np.sqrt(np.log1p(diameter_cv**2))
    diameter = diameter * np.exp(spread * rng.standard_normal() - spread**2 / 2)
    ratio = np.sqrt(max(1.0, rng.normal(elongation, elongation_sd)))
    semi_axes = diameter / 2 * np.array([flatness, 1 / ratio, ratio])[-ndim:]
    angle = rng.uniform(0, np.pi)
    rotation = np.eye(ndim)
    rotation[-2:, -2:] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    deformation = draw_harmonics(rng) if surface == "harmonics" else draw_waves(ndim, rng)
    return Cell(semi_axes, rotation, deformation, roughness)


def rasterise(cell: Cell, centre: np.ndarray, voxel_size: np.ndarray, shape: Sequence[int]) -> tuple:
    """Voxels of a cell inside a volume.

    Returns
    -------
    region : tuple of slice
        Bounding box, cut by the volume; may be empty.
    inside : bool array of the region's shape
    """
    region = _bounding_box(cell, centre, voxel_size, shape)
    axes = [np.arange(part.start, part.stop) * s - c for part, s, c in zip(region, voxel_size, centre, strict=True)]
    return region, _covers(cell, np.ix_(*axes))


def _bounding_box(cell: Cell, centre: np.ndarray, voxel_size: np.ndarray, shape: Sequence[int]) -> tuple[slice, ...]:
    """Where in a volume a cell can be; slices without extent if nowhere."""
    reach = cell.limit * np.linalg.norm(cell.rotation * cell.semi_axes, axis=1)
    first = np.maximum(np.floor((centre - reach) / voxel_size), 0).astype(int)
    last = np.minimum(np.ceil((centre + reach) / voxel_size) + 1, shape).astype(int)
    if (last <= first).any():
        return tuple(slice(0, 0) for _ in shape)
    return tuple(slice(a, b) for a, b in zip(first.tolist(), last.tolist(), strict=True))


def _covers(cell: Cell, axes: Sequence[np.ndarray]) -> np.ndarray:
    """Whether a cell covers places; their coordinates from its centre are arrays that broadcast, one an axis."""
    to_unit_ball = (cell.rotation / cell.semi_axes).T
    position = [sum(f * axis for f, axis in zip(row, axes, strict=True) if f) for row in to_unit_ball]
    radius = np.sqrt(sum(part * part for part in position))
    inside = radius <= 1 / cell.limit
    rim = ~inside & (radius <= cell.limit)  # only here the deformation decides
    radius = radius[rim]
    deformation = cell.surface(np.stack([np.broadcast_to(part, rim.shape)[rim] for part in position]) / radius)
    inside[rim] = radius <= np.exp(cell.roughness * np.clip(deformation, -MAX_DEFORMATION, MAX_DEFORMATION))
    return inside


def _is_free(occupied: np.ndarray, cell: Cell, centre: np.ndarray, voxel_size: np.ndarray) -> bool:
    """Whether a cell would cover nothing that is taken; looks only at what is taken."""
    region = _bounding_box(cell, centre, voxel_size, occupied.shape)
    taken = np.nonzero(occupied[region])
    if not len(taken[0]):
        return True
    parts = zip(taken, region, voxel_size, centre, strict=True)
    return not _covers(cell, [(index + part.start) * size - c for index, part, size, c in parts]).any()


def _blocked(occupied: np.ndarray, cell: Cell, centres: np.ndarray, voxel_size: np.ndarray) -> np.ndarray:
    """Whether one of a few voxels is taken that a cell at these centres (n, ndim) covers however it is deformed.

    Most of the places that are not free are told so at little cost.
    """
    half_a_voxel = np.linalg.norm(voxel_size) / 2 / cell.semi_axes.min()
    depth = 1 / cell.limit - half_a_voxel  # the voxel nearest to a point so deep lies in the cell
    if depth <= 0:
        return np.zeros(len(centres), bool)
    probes = (PROBES[occupied.ndim] * (depth * cell.semi_axes)) @ cell.rotation.T
    voxels = np.rint((centres[:, None] + probes) / voxel_size).astype(int)
    nearest = np.clip(voxels, 0, np.subtract(occupied.shape, 1))
    taken = occupied[tuple(np.moveaxis(nearest, -1, 0))] != 0
    return (taken & (nearest == voxels).all(axis=-1)).any(axis=-1)


def _free_place(occupied: np.ndarray, cell: Cell, centres: np.ndarray, voxel_size: np.ndarray) -> tuple | None:
    """The first of the centres (n, ndim) at which a cell shows and overlaps no other: (centre, region, inside)."""
    plane = np.multiply(occupied.shape, voxel_size)[-2:]
    centres = centres[((centres[:, -2:] >= 0) & (centres[:, -2:] <= plane)).all(axis=1)]
    for first in range(0, len(centres), TOGETHER):
        some = centres[first : first + TOGETHER]
        for centre in some[~_blocked(occupied, cell, some, voxel_size)]:
            if _is_free(occupied, cell, centre, voxel_size):
                region, inside = rasterise(cell, centre, voxel_size, occupied.shape)
                if inside.any():
                    return centre, region, inside
    return None


def _place_anywhere(
    occupied: np.ndarray,
    cell: Cell,
    places: Region,
    layer: Sequence[float] | None,
    voxel_size: np.ndarray,
    rng: np.random.Generator,
) -> tuple | None:
    """A free place in the specimen, see `_free_place`."""
    centres = places.draw(PLACEMENT_TRIES, rng)
    if layer is not None and occupied.ndim == 3:
        centres[:, 0] = rng.normal(*layer, PLACEMENT_TRIES)
    return _free_place(occupied, cell, centres, voxel_size)


def _place_beside(
    occupied: np.ndarray,
    cell: Cell,
    specimen: Specimen,
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
        ray = neighbour + (DISTANCES * diameter)[:, None] * direction
        touching = _free_place(occupied, cell, ray[specimen.contains(ray, diameter / 2)], voxel_size)
        if touching is not None:
            apart = touching[0] + gap * direction
            return _free_place(occupied, cell, apart[None], voxel_size) or touching
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
    surface: str = "waves",
    mitotic_fraction: float = 0.0,
    mitotic_elongation: float = 2.0,
    specimen: Mapping[str, Any] = BOX,
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
    surface : str
        What deforms the boundary: waves, or harmonics of the sphere (see `surfaces`).
    mitotic_fraction, mitotic_elongation : float
        Share of the cells that divide, and the mean ratio of their axes instead of `elongation`.
    specimen : mapping
        Where centres lie, half a diameter below its surface: see `specimen.draw_specimen`.
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
    inner = tuple(slice(m, m + n) for m, n in zip(margin, shape, strict=True))
    canvas_shape = shape + 2 * margin
    lower, upper = margin * voxel_size, (shape + margin) * voxel_size
    outline = draw_specimen(lower, upper, cell_diameter=diameter, rng=rng, **specimen)
    extent = canvas_shape * voxel_size
    places = find_region(outline, 0 * extent, extent, REGION_STEP * diameter, diameter / 2)
    number = rng.poisson(density * places.volume / 10 ** (2 * len(shape)))
    labels = np.zeros(canvas_shape, label_type(min(number, np.prod(canvas_shape))))
    centres, shows, misses = [], [], 0
    for _ in range(number):
        mean = mitotic_elongation if mitotic_fraction and rng.random() < mitotic_fraction else elongation
        cell = draw_cell(len(shape), diameter, diameter_cv, mean, elongation_sd, flatness, roughness, rng, surface)
        place = None
        if centres and rng.random() < cluster_fraction:
            gap = rng.exponential(cluster_gap_um)
            place = _place_beside(labels, cell, outline, centres, diameter, gap, voxel_size, rng)
        if place is None:
            place = _place_anywhere(labels, cell, places, layer_um, voxel_size, rng)
        misses = misses + 1 if place is None else 0
        if misses == FULL:
            break
        if place is not None:
            centre, region, inside = place
            centres.append(centre)
            labels[region][inside] = len(centres)
            seen = np.count_nonzero(labels[inner][_shifted(region, margin, shape)] == len(centres))
            shows.append(seen >= max(min_fraction * cell.voxels(voxel_size), 1))
    return keep_labels(labels[inner], np.array(shows, bool))


def _shifted(region: Sequence[slice], margin: np.ndarray, shape: Sequence[int]) -> tuple[slice, ...]:
    """The part of a region of the canvas that lies in the volume, in the volume's own indices."""
    limits = zip(region, margin, shape, strict=True)
    return tuple(slice(*np.clip([part.start - m, part.stop - m], 0, n).tolist()) for part, m, n in limits)
