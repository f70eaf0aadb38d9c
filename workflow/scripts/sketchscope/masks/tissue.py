"""Simulated instance masks of tissue: cells that touch, each a weighted Voronoi cell inside a specimen."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from ..geometry import Slices, VoxelSize, ball_volume
from ..labels import cell_boxes, keep_labels
from .census import Simulated
from .power_diagram import power_diagram
from .specimen import Region, Specimen, SpecimenSettings, draw_specimen, find_boxes

LEAST_SIZE = 0.1  # of a mean cell; what is smaller, at borders for example, falls to the neighbours
SAMPLES = {2: 100, 3: 30}  # points per cell by which its size and centre are estimated, by dimension
ROUNDS = 6  # in which centres move to the middle of their cells, and weights change
LAST_ROUNDS = 10  # in which only weights change
GAIN = 1.3  # of the weights; less than what a cell alone would need, since its neighbours change as well
BEYOND = 0.75  # diameters that the tissue goes on beyond the volume, which cuts its cells
FAR = 100  # diameters by which layers are kept apart while their cells are placed
MERGING_ROUNDS = 10  # after which what is still loose becomes background


class TissueSettings(NamedTuple):
    """What the cells of a tissue are like, and where they lie."""

    diameter: float
    """Mean diameter of the disc or ball of a cell's size, micrometres; at the specimen's surface."""
    diameter_cv: float
    """Coefficient of variation of the diameter (log-normal)."""
    layers: int
    """Layers of cells that lie side by side below the specimen's surface, each a diameter thick; a box has none."""
    size_gradient: float
    """Growth of the diameter with each 100 micrometres below the surface, as a fraction."""
    specimen: SpecimenSettings


def simulate_tissue(
    shape: Sequence[int], voxel_size: Sequence[float], settings: TissueSettings, rng: np.random.Generator
) -> Simulated:
    """Simulate the mask of one volume of tissue, as its membranes show it.

    The cells are a power diagram (Aurenhammer 1987, SIAM J. Comput. 16) of centres that lie evenly in the specimen,
    after the weighted Voronoi cells of Eschweiler et al. 2021, PLOS ONE 16(12).

    Parameters
    ----------
    shape : sequence of int
        Voxels, (Z, Y, X) or (Y, X).
    voxel_size : sequence of float
        Micrometres along each axis.
    settings : TissueSettings
    rng : numpy Generator

    Returns
    -------
    Simulated
        Each label is one face-connected piece; 0 is outside the specimen.
    """
    spacing, diameter = np.asarray(voxel_size, float), settings.diameter
    extent, beyond = np.asarray(shape) * spacing, BEYOND * diameter
    body = draw_specimen(0 * extent, extent, settings.specimen, diameter, rng)
    step = (ball_volume(diameter / 2, len(shape)) / SAMPLES[len(shape)]) ** (1 / len(shape))
    places = find_boxes(body, 0 * extent - beyond, extent + beyond, step, 0.0)
    centres, weights = place_cells(places, body, settings, rng)
    if not len(centres):
        return Simulated(np.zeros(shape, np.uint16))
    labels = power_diagram(shape, spacing, centres, weights, body)
    merge_loose_pieces(labels, LEAST_SIZE * ball_volume(diameter / 2, len(shape)) / spacing.prod(), spacing)
    shows = np.array([box is not None for box in ndimage.find_objects(labels)], bool)
    return Simulated(keep_labels(labels, shows))


def place_cells(
    places: Region, body: Specimen, settings: TissueSettings, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Place the centres of cells evenly and weigh them so that their sizes are spread as they should be.

    Lloyd's algorithm on random points, as in Balzer et al. 2009 (ACM Trans. Graph. 28): each round, a centre moves to
    the middle of its points, and its weight grows with what its cell lacks.

    Returns
    -------
    centres : array (n, ndim)
        Micrometres.
    weights : array (n,)
        Square micrometres.
    """
    diameter, layers = settings.diameter, settings.layers
    ndim, spread = len(places.step), np.sqrt(np.log1p(settings.diameter_cv**2))
    mean_size = ball_volume(diameter / 2, ndim) * np.exp(ndim * (ndim - 1) / 2 * spread**2)
    points, share, number = _draw_points(places, body, mean_size, settings.size_gradient, rng)
    if not number:
        return points[:0], np.zeros(0)
    wanted = np.exp(spread * rng.standard_normal(number))
    wanted *= (number / np.sum(wanted**ndim)) ** (1 / ndim)
    layer = _layer(body.depth(points), diameter, layers)
    centres, weights = points[:number], np.zeros(number)
    radius = diameter / 2 * _growth(body.depth(centres), settings.size_gradient)
    apart = layer[:, None] * FAR * diameter if layers else np.zeros((len(points), 0))
    lifted = np.column_stack([points, np.zeros(len(points)), apart])
    for round in range(ROUNDS + LAST_ROUNDS):
        sites = np.column_stack([centres, np.sqrt(weights.max() - weights), apart[:number]])
        owner = cKDTree(sites).query(lifted)[1]
        size = np.bincount(owner, share, number)
        if round < ROUNDS:
            total = np.stack([np.bincount(owner, axis * share, number) for axis in points.T], axis=1)
            centres = np.where(size[:, None] > 0, total / np.maximum(size, 1e-9)[:, None], centres)
        found = (size * number / share.sum()) ** (1 / ndim)
        weights += GAIN * (wanted**2 - found**2) * radius**2
    layered = layer[:number] < layers
    off = (layer[:number] + 0.5) * diameter - body.depth(centres)
    return body.move_down(centres, np.where(layered, off, 0), diameter / 100), weights


def _draw_points(
    places: Region, body: Specimen, mean_size: float, size_gradient: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, int]:
    """Draw a point from each box of a region, in random order.

    Returns
    -------
    points : array (n, ndim)
        The first ones are fit to be centres: the smaller the cells there are, the more there are.
    share : array (n,)
        Cells that the box of each point holds, up to a factor.
    number : int
        Of cells in the region.
    """
    points = places.corners + rng.random(places.corners.shape) * places.step
    share = _growth(body.depth(points), size_gradient) ** -len(places.step)
    number = rng.poisson(np.prod(places.step) / mean_size * share.sum())
    order = np.argsort(rng.exponential(size=len(points)) / share)  # drawn without replacement, by their shares
    return points[order], share[order], min(number, len(points))


def _growth(depth: np.ndarray, size_gradient: float) -> np.ndarray:
    """Diameter of a cell at a depth over that of one at the surface."""
    return 1 + size_gradient / 100 * np.where(np.isfinite(depth), np.maximum(depth, 0), 0)


def _layer(depth: np.ndarray, diameter: float, layers: int) -> np.ndarray:
    """Number of the layer at a depth, from 0; `layers` below them all."""
    return np.clip(np.minimum(depth, layers * diameter) // diameter, 0, layers)


def merge_loose_pieces(labels: np.ndarray, smallest: float, voxel_size: VoxelSize) -> None:
    """Give small or cut-off pieces to the neighbours, in place, until each label is one piece and large enough.

    Parameters
    ----------
    labels : int array (Z, Y, X) or (Y, X)
        0 is background. A piece without a neighbour becomes background too.
    smallest : float
        Voxels of the smallest cell.
    voxel_size : sequence of float
        Micrometres along each axis.
    """
    suspects: set[int] | None = None
    for _ in range(MERGING_ROUNDS):
        loose = []
        for label, box in cell_boxes(labels):
            if suspects is None or label in suspects:
                loose += [(box, piece) for piece in _loose_pieces(labels[box] == label, smallest)]
        for box, piece in loose:
            labels[box][piece] = 0
        suspects = set()
        for box, piece in loose:
            suspects |= _give_away(labels, box, piece, voxel_size)
        if not suspects:
            return
    for label, box in cell_boxes(labels):
        for piece in _loose_pieces(labels[box] == label, smallest):
            labels[box][piece] = 0


def _loose_pieces(cell: np.ndarray, smallest: float) -> list[np.ndarray]:
    """Face-connected pieces of a cell that must go: all but the largest, and that too if it is small."""
    parts, count = ndimage.label(cell)
    sizes = np.bincount(parts.ravel())[1:]
    kept = int(np.argmax(sizes)) + 1 if sizes.max() >= max(smallest, 1) else 0
    return [parts == part for part in range(1, count + 1) if part != kept]


def _give_away(labels: np.ndarray, box: Slices, piece: np.ndarray, voxel_size: VoxelSize) -> set[int]:
    """Give each voxel of a piece to the nearest cell around; returns who has received any."""
    around = tuple(slice(max(part.start - 1, 0), part.stop + 1) for part in box)
    grown = np.pad(piece, [(part.start - wide.start, 1) for part, wide in zip(box, around, strict=True)])
    part = labels[around]
    grown = grown[tuple(slice(size) for size in part.shape)]
    if not part.any():
        return set()
    nearest = ndimage.distance_transform_edt(part == 0, voxel_size, return_distances=False, return_indices=True)
    part[grown] = part[tuple(nearest)][grown]
    return set(np.unique(part[grown]).tolist())
