"""Places for nuclei, found by chance one after another: anywhere in a specimen, or beside an earlier nucleus."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

from .cells import Cell, Place, covers, find_box, rasterise
from .specimen import Region, Specimen

PLACEMENT_TRIES = 60
TOGETHER = 10  # places that are looked at together
RECENT = 64  # centres that are compared one by one
DIRECTIONS = 3  # in which a place beside a neighbour is sought
DISTANCES = np.arange(0.5, 2, 0.05)  # from the neighbour's centre, in diameters


def _place_probes(ndim: int) -> np.ndarray:
    """Place points at the centre of the unit ball and on its surface, along the axes and between them."""
    grid = np.stack(np.meshgrid(*[[-1.0, 0.0, 1.0]] * ndim), axis=-1).reshape(-1, ndim)
    return grid / np.maximum(np.linalg.norm(grid, axis=1, keepdims=True), 1)


PROBES = {ndim: _place_probes(ndim) for ndim in (2, 3)}


class Room(NamedTuple):
    """Where the centres of nuclei may lie: in a volume with a margin around it, and in a specimen."""

    voxel_size: np.ndarray
    """Micrometres along each axis."""
    extent: np.ndarray
    """Of the volume with its margin, micrometres."""
    specimen: Specimen
    places: Region
    """From which centres are drawn."""
    diameter: float
    """Mean diameter of the nuclei, micrometres."""
    layer: tuple[float, float] | None
    """Mean and standard deviation of the height of centres, micrometres; None spreads them evenly, as in 2D."""
    spacing: float
    """Smallest distance between two centres, micrometres; 0 for none."""

    def draw(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Draw centres (count, ndim) anywhere in the specimen, in 3D at the height of a layer if there is one."""
        centres = self.places.draw(count, rng)
        if self.layer is not None:
            centres[:, 0] = rng.normal(*self.layer, count)
        return centres

    def keep_within(self, centres: np.ndarray, reach: np.ndarray, heights: np.ndarray | None) -> np.ndarray:
        """Bring centres (n, ndim) of cells that reach so far (n,) back into volume, specimen and heights (if any)."""
        within = self.specimen.bring_within(np.clip(centres, 0, self.extent), reach)
        if heights is not None:
            within[:, 0] = heights
        return within


class Centres:
    """Centres of the cells that have a place; they grow in number, and are asked for the nearest."""

    def __init__(self, ndim: int) -> None:
        self._points = np.empty((RECENT, ndim))
        self._count = 0
        self._tree, self._grown = None, 0  # of the first centres; the few that came later are compared one by one

    def __len__(self) -> int:
        return self._count

    @property
    def points(self) -> np.ndarray:
        """All centres (n, ndim), micrometres."""
        return self._points[: self._count]

    def append(self, centre: np.ndarray) -> None:
        """Add one centre (ndim,)."""
        if self._count == len(self._points):
            self._points = np.concatenate([self._points, np.empty_like(self._points)])
        self._points[self._count] = centre
        self._count += 1

    def distance(self, points: np.ndarray) -> np.ndarray:
        """Distance of points (n, ndim) to the nearest centre, micrometres (n,); infinite without one."""
        if self._count - self._grown >= RECENT:
            self._tree, self._grown = cKDTree(self.points), self._count
        recent = cdist(points, self.points[self._grown :]).min(axis=1, initial=np.inf)
        return recent if self._tree is None else np.minimum(recent, self._tree.query(points)[0])


class Scene(NamedTuple):
    """What has been placed so far."""

    room: Room
    labels: np.ndarray
    """Int array (Z, Y, X) or (Y, X), changed in place; 0 is free."""
    centres: Centres
    """Of labels 1, 2, ...; grows."""

    def add(self, place: Place) -> None:
        """Give the next label to a place."""
        self.centres.append(place.centre)
        self.labels[place.region][place.inside] = len(self.centres)


def find_place(scene: Scene, cell: Cell, gap: float | None, rng: np.random.Generator) -> Place | None:
    """Find a free place by chance: beside an earlier cell with a gap (micrometres) if one is given, or anywhere."""
    if gap is not None:
        beside = _place_beside(scene, cell, _draw_rays(scene.centres.points, scene.room.diameter, rng), gap)
        if beside is not None:
            return beside
    return _find_free_place(scene, cell, scene.room.draw(PLACEMENT_TRIES, rng))


def _place_beside(scene: Scene, cell: Cell, rays: Iterator[tuple[np.ndarray, np.ndarray]], gap: float) -> Place | None:
    """Find the free place nearest to a neighbour along one of the rays, moved on by the gap if that is free."""
    for direction, ray in rays:
        touching = _find_free_place(scene, cell, ray)
        if touching is not None:
            apart = touching.centre + gap * direction
            return _find_free_place(scene, cell, apart[None]) or touching
    return None


def _draw_rays(
    neighbours: np.ndarray, diameter: float, rng: np.random.Generator
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Draw directions in the plane (ndim,), and for each the centres (n, ndim) along it."""
    for _ in range(DIRECTIONS):
        neighbour, angle = neighbours[rng.integers(len(neighbours))], rng.uniform(0, 2 * np.pi)
        direction = np.array([0, np.sin(angle), np.cos(angle)])[-len(neighbour) :]
        yield direction, neighbour + (DISTANCES * diameter)[:, None] * direction


def _find_free_place(scene: Scene, cell: Cell, centres: np.ndarray) -> Place | None:
    """Find the first of the centres (n, ndim) at which a cell shows, overlaps no other and is not too near to one."""
    labels, voxel_size = scene.labels, scene.room.voxel_size
    centres = _choose_possible(scene, cell, centres)
    for first in range(0, len(centres), TOGETHER):
        some = centres[first : first + TOGETHER]
        for centre in some[~_are_blocked(labels, cell, some, voxel_size)]:
            if _is_free(labels, cell, centre, voxel_size):
                place = rasterise(cell, centre, voxel_size, labels.shape)
                if place.inside.any():
                    return place
    return None


def _choose_possible(scene: Scene, cell: Cell, centres: np.ndarray) -> np.ndarray:
    """Choose the centres (n, ndim) in the volume at which a cell lies in the specimen, far enough from all others."""
    plane = scene.room.extent[-2:]
    centres = centres[((centres[:, -2:] >= 0) & (centres[:, -2:] <= plane)).all(axis=1)]
    centres = centres[scene.room.specimen.contains(centres, cell.reach)]
    if scene.room.spacing and len(centres):
        centres = centres[scene.centres.distance(centres) >= scene.room.spacing]
    return centres


def _is_free(occupied: np.ndarray, cell: Cell, centre: np.ndarray, voxel_size: np.ndarray) -> bool:
    """Whether a cell would cover nothing that is taken; looks only at what is taken."""
    region = find_box(cell, centre, voxel_size, occupied.shape)
    taken = np.nonzero(occupied[region])
    if not len(taken[0]):
        return True
    parts = zip(taken, region, voxel_size, centre, strict=True)
    return not covers(cell, [(index + part.start) * size - c for index, part, size, c in parts]).any()


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
