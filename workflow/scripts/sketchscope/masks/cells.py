"""One simulated nucleus: a deformed ellipsoid, and the voxels that it covers."""

from collections.abc import Iterable, Sequence
from functools import reduce
from operator import add
from typing import NamedTuple

import numpy as np

from ..geometry import Slices, ball_volume
from .specimen import SpecimenSettings
from .surfaces import Harmonics, Waves, draw_harmonics, draw_waves

MAX_DEFORMATION = 3.0  # standard deviations at which the deformation of a boundary is cut


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
    density: float | Sequence[float]
    """Nuclei per 10,000 um^2 of the specimen in 2D, per 1,000,000 um^3 in 3D; their number is Poisson distributed. Two
    numbers are a range, from which that of each volume is drawn evenly on a logarithmic scale."""
    size_exponent: float
    """The diameter falls with this power of a density that is drawn; that of the middle of the range is `diameter`."""
    spacing_um: float | None
    """Smallest distance between the centres of two nuclei, micrometres; in a range of densities that of the middle, and
    elsewhere as large in proportion to their mean distance. None leaves it to the sizes."""
    cluster_fraction: float
    """Share of the nuclei that are placed beside an earlier one."""
    cluster_gap_um: float
    """Mean gap to that neighbour, micrometres (exponentially distributed)."""
    layer_um: tuple[float, float] | None
    """Mean and standard deviation of the centres' distance from the first slice (cells on a cover slip), micrometres;
    None spreads them evenly. 3D only."""
    specimen: SpecimenSettings
    """What the nuclei lie within."""


class Cell(NamedTuple):
    """One drawn cell: semi-axes in micrometres, rotation, deformation of its boundary."""

    semi_axes: np.ndarray
    rotation: np.ndarray
    surface: Waves | Harmonics
    roughness: float

    @property
    def reach(self) -> float:
        """Longest semi-axis, micrometres."""
        return float(self.semi_axes.max())

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
    region = find_box(cell, centre, voxel_size, shape)
    axes = [np.arange(part.start, part.stop) * s - c for part, s, c in zip(region, voxel_size, centre, strict=True)]
    return Place(centre, region, covers(cell, np.ix_(*axes)))


def find_box(cell: Cell, centre: np.ndarray, voxel_size: np.ndarray, shape: Sequence[int]) -> Slices:
    """Find where in a volume a cell can be; slices without extent if nowhere."""
    reach = cell.limit * np.linalg.norm(cell.rotation * cell.semi_axes, axis=1)
    first = np.maximum(np.floor((centre - reach) / voxel_size), 0).astype(int)
    last = np.minimum(np.ceil((centre + reach) / voxel_size) + 1, shape).astype(int)
    if (last <= first).any():
        return tuple(slice(0, 0) for _ in shape)
    return tuple(slice(a, b) for a, b in zip(first.tolist(), last.tolist(), strict=True))


def covers(cell: Cell, axes: Sequence[np.ndarray]) -> np.ndarray:
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
