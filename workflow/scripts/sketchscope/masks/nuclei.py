"""Simulated instance masks of nuclei: deformed ellipsoids, single and in clusters, that never overlap."""

from collections.abc import Iterable, Iterator, Sequence
from functools import reduce
from operator import add
from typing import NamedTuple

import numpy as np

from ..geometry import Slices, ball_volume
from ..labels import keep_labels, label_type
from .specimen import Region, Specimen, SpecimenSettings, draw_specimen, find_region
from .surfaces import Harmonics, Waves, draw_harmonics, draw_waves

MAX_DEFORMATION = 3.0  # standard deviations at which the deformation of a boundary is cut
PLACEMENT_TRIES = 60
TOGETHER = 10  # places that are looked at together
DIRECTIONS = 3  # in which a place beside a neighbour is sought
DISTANCES = np.arange(0.5, 2, 0.05)  # from the neighbour's centre, in diameters
FULL = 10  # cells in a row without a place, after which the volume counts as full
REGION_STEP = 0.25  # of a specimen's places, in diameters


def _place_probes(ndim: int) -> np.ndarray:
    """Place points at the centre of the unit ball and on its surface, along the axes and between them."""
    grid = np.stack(np.meshgrid(*[[-1.0, 0.0, 1.0]] * ndim), axis=-1).reshape(-1, ndim)
    return grid / np.maximum(np.linalg.norm(grid, axis=1, keepdims=True), 1)


PROBES = {ndim: _place_probes(ndim) for ndim in (2, 3)}


class NucleiSettings(NamedTuple):
    """What the nuclei of a volume are like, and where they lie."""

    diameter: float
    """Mean equivalent diameter in the plane, micrometres."""
    diameter_cv: float
    """Coefficient of variation of the diameter (log-normal)."""
    elongation: float
    """Mean ratio of the long to the short axis (normal, at least 1)."""
    elongation_sd: float
    """Standard deviation of that ratio."""
    flatness: float
    """Height along z over the diameter; 3D only."""
    roughness: float
    """Deformation of the boundary: standard deviation as a fraction of the radius."""
    surface: str
    """What deforms the boundary: waves, or harmonics of the sphere (see `surfaces`)."""
    mitotic_fraction: float
    """Share of the nuclei that divide."""
    mitotic_elongation: float
    """Mean ratio of the axes of dividing nuclei, in place of `elongation`."""
    density: float
    """Nuclei per 10,000 um^2 in 2D, per 1,000,000 um^3 in 3D; their number is Poisson distributed."""
    cluster_fraction: float
    """Share of the nuclei that are placed beside an earlier one."""
    cluster_gap_um: float
    """Mean gap to that neighbour, micrometres (exponentially distributed)."""
    layer_um: tuple[float, float] | None
    """Mean and standard deviation of the centres' distance from the first slice (cells on a cover slip), micrometres;
    None spreads them evenly. 3D only."""
    specimen: SpecimenSettings
    """Where centres lie, half a diameter below its surface."""


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


class Place(NamedTuple):
    """Where a cell lies in a volume."""

    centre: np.ndarray
    """Micrometres from voxel 0, (ndim,)."""
    region: Slices
    inside: np.ndarray
    """Bool array of the region's shape."""


def draw_cell(ndim: int, settings: NucleiSettings, rng: np.random.Generator) -> Cell:
    """Draw whether a nucleus divides, its size, axis ratio, orientation in the plane, and the deformation."""
    dividing = settings.mitotic_fraction and rng.random() < settings.mitotic_fraction
    elongation = settings.mitotic_elongation if dividing else settings.elongation
    spread = np.sqrt(np.log1p(settings.diameter_cv**2))
    diameter = settings.diameter * np.exp(spread * rng.standard_normal() - spread**2 / 2)
    ratio = np.sqrt(max(1.0, rng.normal(elongation, settings.elongation_sd)))
    semi_axes = diameter / 2 * np.array([settings.flatness, 1 / ratio, ratio])[-ndim:]
    angle = rng.uniform(0, np.pi)
    rotation = np.eye(ndim)
    rotation[-2:, -2:] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    surface = draw_harmonics(rng) if settings.surface == "harmonics" else draw_waves(ndim, rng)
    return Cell(semi_axes, rotation, surface, settings.roughness)


def rasterise(cell: Cell, centre: np.ndarray, voxel_size: np.ndarray, shape: Sequence[int]) -> Place:
    """Find the voxels of a cell inside a volume; the region, its bounding box in the volume, may be empty."""
    region = _find_box(cell, centre, voxel_size, shape)
    axes = [np.arange(part.start, part.stop) * s - c for part, s, c in zip(region, voxel_size, centre, strict=True)]
    return Place(centre, region, _covers(cell, np.ix_(*axes)))


def _find_box(cell: Cell, centre: np.ndarray, voxel_size: np.ndarray, shape: Sequence[int]) -> Slices:
    """Find where in a volume a cell can be; slices without extent if nowhere."""
    reach = cell.limit * np.linalg.norm(cell.rotation * cell.semi_axes, axis=1)
    first = np.maximum(np.floor((centre - reach) / voxel_size), 0).astype(int)
    last = np.minimum(np.ceil((centre + reach) / voxel_size) + 1, shape).astype(int)
    if (last <= first).any():
        return tuple(slice(0, 0) for _ in shape)
    return tuple(slice(a, b) for a, b in zip(first.tolist(), last.tolist(), strict=True))


def _covers(cell: Cell, axes: Sequence[np.ndarray]) -> np.ndarray:
    """Whether a cell covers places; their coordinates from its centre are arrays that broadcast, one per axis."""
    to_unit_ball = (cell.rotation / cell.semi_axes).T
    position = [_sum_up(f * axis for f, axis in zip(row, axes, strict=True) if f) for row in to_unit_ball]
    radius = np.sqrt(_sum_up(part * part for part in position))
    inside = radius <= 1 / cell.limit
    rim = ~inside & (radius <= cell.limit)  # only here the deformation decides
    radius = radius[rim]
    deformation = cell.surface(np.stack([np.broadcast_to(part, rim.shape)[rim] for part in position]) / radius)
    inside[rim] = radius <= np.exp(cell.roughness * np.clip(deformation, -MAX_DEFORMATION, MAX_DEFORMATION))
    return inside


def _sum_up(parts: Iterable[np.ndarray]) -> np.ndarray:
    """Sum up arrays that broadcast; there is at least one."""
    return reduce(add, parts)


def _is_free(occupied: np.ndarray, cell: Cell, centre: np.ndarray, voxel_size: np.ndarray) -> bool:
    """Whether a cell would cover nothing that is taken; looks only at what is taken."""
    region = _find_box(cell, centre, voxel_size, occupied.shape)
    taken = np.nonzero(occupied[region])
    if not len(taken[0]):
        return True
    parts = zip(taken, region, voxel_size, centre, strict=True)
    return not _covers(cell, [(index + part.start) * size - c for index, part, size, c in parts]).any()


def _are_blocked(occupied: np.ndarray, cell: Cell, centres: np.ndarray, voxel_size: np.ndarray) -> np.ndarray:
    """Whether a voxel is taken that a cell at these centres (n, ndim) covers however it is deformed.

    Only a few voxels are looked at: a quick test that rules out most places that are not free.
    """
    half_a_voxel = np.linalg.norm(voxel_size) / 2 / cell.semi_axes.min()
    depth = 1 / cell.limit - half_a_voxel  # at this radius the nearest voxel still lies in the cell
    if depth <= 0:
        return np.zeros(len(centres), bool)
    probes = (PROBES[occupied.ndim] * (depth * cell.semi_axes)) @ cell.rotation.T
    voxels = np.rint((centres[:, None] + probes) / voxel_size).astype(int)
    nearest = np.clip(voxels, 0, np.subtract(occupied.shape, 1))
    taken = occupied[tuple(np.moveaxis(nearest, -1, 0))] != 0
    return (taken & (nearest == voxels).all(axis=-1)).any(axis=-1)


def _find_free_place(occupied: np.ndarray, cell: Cell, centres: np.ndarray, voxel_size: np.ndarray) -> Place | None:
    """Find the first of the centres (n, ndim) at which a cell shows and overlaps no other."""
    plane = np.multiply(occupied.shape, voxel_size)[-2:]
    centres = centres[((centres[:, -2:] >= 0) & (centres[:, -2:] <= plane)).all(axis=1)]
    for first in range(0, len(centres), TOGETHER):
        some = centres[first : first + TOGETHER]
        for centre in some[~_are_blocked(occupied, cell, some, voxel_size)]:
            if _is_free(occupied, cell, centre, voxel_size):
                place = rasterise(cell, centre, voxel_size, occupied.shape)
                if place.inside.any():
                    return place
    return None


def _draw_centres(places: Region, layer: tuple[float, float] | None, rng: np.random.Generator) -> np.ndarray:
    """Draw centres (n, ndim) anywhere in the specimen, in 3D at the height of a layer if there is one."""
    centres = places.draw(PLACEMENT_TRIES, rng)
    if layer is not None and centres.shape[1] == 3:
        centres[:, 0] = rng.normal(*layer, PLACEMENT_TRIES)
    return centres


def _place_beside(
    occupied: np.ndarray,
    cell: Cell,
    rays: Iterable[tuple[np.ndarray, np.ndarray]],
    gap: float,
    voxel_size: np.ndarray,
) -> Place | None:
    """Find the free place nearest to a neighbour along one of the rays, moved on by the gap if that is free."""
    for direction, ray in rays:
        touching = _find_free_place(occupied, cell, ray, voxel_size)
        if touching is not None:
            apart = touching.centre + gap * direction
            return _find_free_place(occupied, cell, apart[None], voxel_size) or touching
    return None


def _draw_rays(
    neighbours: Sequence[np.ndarray], specimen: Specimen, diameter: float, rng: np.random.Generator
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Draw directions in the plane (ndim,), and for each the centres (n, ndim) along it that lie in the specimen."""
    for _ in range(DIRECTIONS):
        neighbour, angle = neighbours[rng.integers(len(neighbours))], rng.uniform(0, 2 * np.pi)
        direction = np.array([0, np.sin(angle), np.cos(angle)])[-len(neighbour) :]
        ray = neighbour + (DISTANCES * diameter)[:, None] * direction
        yield direction, ray[specimen.contains(ray, diameter / 2)]


def simulate_nuclei(
    shape: Sequence[int],
    voxel_size: Sequence[float],
    settings: NucleiSettings,
    rng: np.random.Generator,
    *,
    min_fraction: float = 0.1,
) -> np.ndarray:
    """Simulate the mask of one volume of nuclei.

    Parameters
    ----------
    shape : sequence of int
        Voxels, (Z, Y, X) or (Y, X).
    voxel_size : sequence of float
        Micrometres along each axis.
    settings : NucleiSettings
    rng : numpy Generator
    min_fraction : float
        Cells of which the border leaves less than this fraction of their size are left out.

    Returns
    -------
    uint16 array of `shape`, uint32 if it holds more cells than that can number
        Labels 1, 2, ... without gaps; 0 is background. A cell that finds no free place is left out.
    """
    spacing, diameter = np.asarray(voxel_size, float), settings.diameter
    margin = np.ceil(diameter / spacing).astype(int)  # cells around the volume, so that its borders cut some
    margin[:-2] = 0
    inner = tuple(slice(m, m + n) for m, n in zip(margin, shape, strict=True))
    canvas = np.asarray(shape) + 2 * margin
    specimen = draw_specimen(margin * spacing, (shape + margin) * spacing, settings.specimen, diameter, rng)
    places = find_region(specimen, 0 * canvas * spacing, canvas * spacing, REGION_STEP * diameter, diameter / 2)
    number = rng.poisson(settings.density * places.volume / 10 ** (2 * len(shape)))
    labels = np.zeros(canvas, label_type(min(number, np.prod(canvas))))
    centres: list[np.ndarray] = []
    shows, misses = [], 0
    for _ in range(number):
        cell, place = draw_cell(len(shape), settings, rng), None
        if centres and rng.random() < settings.cluster_fraction:
            gap = rng.exponential(settings.cluster_gap_um)
            place = _place_beside(labels, cell, _draw_rays(centres, specimen, diameter, rng), gap, spacing)
        if place is None:
            place = _find_free_place(labels, cell, _draw_centres(places, settings.layer_um, rng), spacing)
        misses = misses + 1 if place is None else 0
        if misses == FULL:
            break
        if place is not None:
            centres.append(place.centre)
            labels[place.region][place.inside] = len(centres)
            seen = np.count_nonzero(labels[inner][_shift(place.region, margin, shape)] == len(centres))
            shows.append(seen >= max(min_fraction * cell.voxels(spacing), 1))
    return keep_labels(labels[inner], np.array(shows, bool))


def _shift(region: Slices, margin: np.ndarray, shape: Sequence[int]) -> Slices:
    """Cut from a region of the canvas the part that lies in the volume, in the volume's own indices."""
    limits = zip(region, margin, shape, strict=True)
    return tuple(slice(*np.clip([part.start - m, part.stop - m], 0, n).tolist()) for part, m, n in limits)
