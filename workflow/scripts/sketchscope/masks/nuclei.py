"""Simulated instance masks of nuclei: deformed ellipsoids, single and in clusters, that never overlap."""

from collections.abc import Sequence

import numpy as np

from ..labels import keep_labels, label_type, largest_component
from .cells import Cell, NucleiSettings, Place, draw_cell, rasterise
from .census import Census, Simulated
from .crowding import check_density, scale_length
from .packing import make_bodies, push_apart
from .places import Centres, Room, Scene, find_place
from .specimen import draw_specimen, find_region

FULL = 10  # cells in a row without a place, after which no more are sought by chance
REGION_STEP = 0.5  # of a specimen's places, in diameters


def simulate_nuclei(
    shape: Sequence[int],
    voxel_size: Sequence[float],
    settings: NucleiSettings,
    rng: np.random.Generator,
    *,
    min_fraction: float = 0.1,
) -> Simulated:
    """Simulate the mask of one volume of nuclei.

    Nuclei are placed by chance one after another, as long as they find a place. Those that find none are put in
    anywhere, and all are pushed apart.

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
    Simulated

    Raises
    ------
    InputError
        If the density is higher than nuclei can be packed.
    """
    spacing, (settings, density) = np.asarray(voxel_size, float), draw_stage(settings, len(shape), rng)
    height = shape[0] * spacing[0] if len(shape) == 3 else None
    check_density(settings._asdict() | {"specimen": settings.specimen._asdict()}, height, "simulation")
    margin = np.ceil(settings.diameter / spacing).astype(int)  # cells around the volume, so that its borders cut some
    margin[:-2] = 0
    inner = tuple(slice(m, m + n) for m, n in zip(margin, shape, strict=True))
    room, size = _find_room(np.asarray(shape), margin, spacing, settings, rng)
    number = rng.poisson(density * size / 10 ** (2 * len(shape)))
    canvas = np.asarray(shape) + 2 * margin
    scene = Scene(room, np.zeros(canvas, label_type(min(number, np.prod(canvas)))), Centres(len(shape)))
    cells = _place_all(scene, number, settings, rng)
    seen = _count_voxels(scene.labels[inner], len(cells))
    whole = np.array([cell.voxels(spacing) for cell in cells])
    kept = seen >= np.maximum(min_fraction * whole, 1)
    return Simulated(keep_labels(scene.labels[inner], kept), Census(density, size, number, len(cells)))


def draw_stage(settings: NucleiSettings, ndim: int, rng: np.random.Generator) -> tuple[NucleiSettings, float]:
    """Draw the density of one volume from a range, evenly on a logarithmic scale; returns the settings for it."""
    if isinstance(settings.density, float | int):
        return settings, settings.density
    density = float(np.exp(rng.uniform(*np.log(settings.density))))
    scale = scale_length(density, settings.density, settings.size_exponent)
    spacing = settings.spacing_um and settings.spacing_um * scale_length(density, settings.density, 1 / ndim)
    return settings._replace(density=density, diameter=settings.diameter * scale, spacing_um=spacing), density


def _find_room(
    shape: np.ndarray, margin: np.ndarray, voxel_size: np.ndarray, settings: NucleiSettings, rng: np.random.Generator
) -> tuple[Room, float]:
    """Draw the specimen; returns where centres may lie, and the specimen's size in the volume and its margin."""
    diameter, extent = settings.diameter, (shape + 2 * margin) * voxel_size
    specimen = draw_specimen(margin * voxel_size, (shape + margin) * voxel_size, settings.specimen, diameter, rng)
    whole = find_region(specimen, 0 * extent, extent, REGION_STEP * diameter, 0.0)
    places = whole.keep_within(specimen, diameter / 2 - REGION_STEP * diameter / 2)
    layer = settings.layer_um if len(shape) == 3 else None
    room = Room(voxel_size, extent, specimen, places, diameter, layer, settings.spacing_um or 0.0)
    return room, whole.volume


def _place_all(scene: Scene, number: int, settings: NucleiSettings, rng: np.random.Generator) -> list[Cell]:
    """Draw and place cells in a scene; returns those that found a place, in the order of their labels."""
    if not len(
        scene.room.places.corners
    ):  # a specimen, or the part of it in the volume, that is too thin for a nucleus
        return []
    placed: list[Cell] = []
    waiting: list[Cell] = []
    misses = 0
    for _ in range(number):
        cell, gap, place = draw_cell(scene.labels.ndim, settings, rng), None, None
        if len(scene.centres) and rng.random() < settings.cluster_fraction:
            gap = rng.exponential(settings.cluster_gap_um)
        if misses < FULL:
            place = find_place(scene, cell, gap, rng)
            misses = 0 if place else misses + 1
        if place is None:
            waiting.append(cell)
        else:
            scene.add(place)
            placed.append(cell)
    if waiting:
        return _pack(scene, placed + waiting, rng)
    return placed


def _pack(scene: Scene, cells: list[Cell], rng: np.random.Generator) -> list[Cell]:
    """Place all cells of a crowd anew, those that have no place yet anywhere; returns those that found one."""
    room, ndim = scene.room, scene.labels.ndim
    start = np.concatenate([scene.centres.points, room.draw(len(cells) - len(scene.centres), rng)])
    bodies = make_bodies(np.stack([cell.semi_axes for cell in cells]), np.stack([cell.rotation for cell in cells]))
    heights = None if room.layer is None else start[:, 0]
    centres, kept = push_apart(
        start, bodies, room.spacing, lambda centres: room.keep_within(centres, bodies.reach, heights)
    )
    scene.labels[:] = 0
    scene = scene._replace(centres=Centres(ndim))
    placed = [cell for cell, stays in zip(cells, kept, strict=True) if stays]
    for cell, centre in zip(placed, centres[kept], strict=True):
        scene.add(_cut_free(scene, rasterise(cell, centre, room.voxel_size, scene.labels.shape)))
    return placed


def _cut_free(scene: Scene, place: Place) -> Place:
    """Cut from a cell what its deformed boundary shares with an earlier one, and what that cuts off."""
    free = place.inside & (scene.labels[place.region] == 0)
    return place._replace(inside=largest_component(free))


def _count_voxels(labels: np.ndarray, number: int) -> np.ndarray:
    """Voxels of labels 1 to `number`, int array (number,); slice by slice, which takes little memory."""
    count = np.zeros(number + 1, int)
    for part in labels:
        count += np.bincount(part.ravel(), minlength=number + 1)
    return count[1:]
