"""New instance masks out of segmented images: cleaned, turned, deformed, and some of the cells at other places."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from ..labels import cell_boxes, clean_labels, keep_labels, label_type, largest_component

PLACEMENT_TRIES = 60


class View(NamedTuple):
    """Where in a frame each voxel of a new volume lies."""

    indices: tuple[np.ndarray, ...]
    """Nearest voxel of the frame along each axis, arrays that broadcast to the volume."""
    outside: np.ndarray
    """Bool array of the volume's shape: beyond the frame."""
    lift: int
    """Slices from the first one of the volume up to the first one of the frame; 0 in 2D."""


class Cutting(NamedTuple):
    """A cell cut out of a frame."""

    mask: np.ndarray
    """Bool array (Z, Y, X) or (Y, X)."""
    height: int
    """Slice of the frame in which it begins; 0 in 2D."""


def new_layout(
    frame: np.ndarray,
    shape: Sequence[int],
    voxel_size: Sequence[float],
    *,
    cell_diameter: float,
    tissue: bool,
    shuffle: float,
    elastic: float,
    min_fraction: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """Make the mask of a new volume out of one segmented frame.

    A part of the frame is taken, mirrored and turned in the plane, and deformed elastically there. Then nuclei at
    which the frame ended are removed, a fraction of the others too, and as many as are missing at the density of
    the frame are cut out of it and put, mirrored and turned each by itself, to free places, at their own height
    unless the volume is deeper than the frame.
    Tissue stays as it is: it is turned by right angles where the part fits into the frame so, by half turns
    otherwise.

    Parameters
    ----------
    frame : int array (Z, Y, X) or (Y, X)
        Clean labels, see `clean_labels`.
    shape : sequence of int
        Voxels of the volume; where it exceeds the frame it is background, or holds nuclei that are placed there.
    voxel_size : sequence of float
        Micrometres along each axis, of the frame and the volume.
    cell_diameter : float
        Mean diameter of a cell, micrometres: how far the deformation reaches.
    tissue : bool
        Whether the cells share their boundaries.
    shuffle : float
        Fraction of the nuclei that go to other places.
    elastic : float
        Standard deviation of the elastic displacement as a fraction of `cell_diameter`.
    min_fraction : float
        Cells of less than this fraction of the median size are left out, also where the border cuts them.
    rng : numpy Generator

    Returns
    -------
    uint16 array of `shape`, uint32 if it holds more cells than that can number
        Labels 1, 2, ... without gaps, one piece each; 0 is background.
    """
    angle, mirrored = _draw_turn(frame.shape, shape, voxel_size, tissue, rng), bool(rng.integers(2))
    view = _draw_view(frame.shape, shape, voxel_size, angle, mirrored, elastic * cell_diameter, cell_diameter, rng)
    labels = clean_labels(np.where(view.outside, 0, frame[view.indices]), min_fraction)
    if tissue:
        return labels
    beside = np.unique(labels[ndimage.binary_dilation(view.outside) & (labels > 0)]).astype(int) - 1
    kept = rng.random(labels.max(initial=0)) >= shuffle
    kept[beside] = True
    cuttings = cut_out(frame, whole_slices=frame.shape[:-2] == tuple(shape)[:-2])
    # of the cells that a border cuts, half have their centres within
    centres = (len(cuttings) + frame.max(initial=0)) / 2
    missing = centres * np.count_nonzero(view.outside) / frame.size + len(beside) / 2
    wanted = round(np.count_nonzero(~kept) + missing)
    kept[beside] = False
    labels = keep_labels(labels, kept)
    lift = view.lift if frame.shape[:-2] >= labels.shape[:-2] else None
    return place_cuttings(labels, cuttings, wanted, voxel_size, lift, min_fraction, rng)


def _draw_turn(
    frame_shape: Sequence[int],
    shape: Sequence[int],
    voxel_size: Sequence[float],
    tissue: bool,
    rng: np.random.Generator,
) -> float:
    """Angle in the plane: any for nuclei, a right one for tissue if the frame holds the volume so."""
    if not tissue:
        return rng.uniform(0, 2 * np.pi)
    turned = np.multiply(shape, voxel_size)[-2:][::-1]
    fits = (turned <= np.multiply(frame_shape, voxel_size)[-2:] * (1 + 1e-6)).all()
    return rng.integers(4) * np.pi / 2 if fits else rng.integers(2) * np.pi


def _rotation(angle: float, mirrored: bool) -> np.ndarray:
    """Matrix (2, 2) for (y, x)."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, -sin], [sin, cos]]) * [1, -1 if mirrored else 1]


def _draw_view(
    frame_shape: Sequence[int],
    shape: Sequence[int],
    voxel_size: Sequence[float],
    angle: float,
    mirrored: bool,
    displacement: float,
    reach: float,
    rng: np.random.Generator,
) -> View:
    """Draw the part of a frame that becomes a volume; all slices are turned and deformed alike."""
    pixel, plane = np.asarray(voxel_size[-2:], float), tuple(shape[-2:])
    half = [(n - 1) / 2 * s for n, s in zip(plane, pixel, strict=True)]
    target = np.stack(
        np.meshgrid(*[np.arange(n) * s - h for n, s, h in zip(plane, pixel, half, strict=True)], indexing="ij")
    )
    rotation = _rotation(angle, mirrored)
    middle = (np.array(frame_shape[-2:]) - 1) / 2 * pixel
    room = np.abs(middle - np.abs(rotation) @ half)  # within the frame, or of the frame within the volume
    position = np.tensordot(rotation, target, 1) + (middle + rng.uniform(-room, room))[:, None, None]
    position += _displacements(plane, pixel, displacement, reach, rng)
    indices = list(np.rint(position / pixel[:, None, None]).astype(int))
    lift = 0
    if len(shape) == 3:
        spare = frame_shape[0] - shape[0]
        lift = -int(rng.integers(min(spare, 0), max(spare, 0) + 1))
        indices.insert(0, np.arange(shape[0])[:, None, None] - lift)
    parts = list(zip(indices, frame_shape, strict=True))
    outside = np.logical_or.reduce(np.broadcast_arrays(*[(index < 0) | (index >= n) for index, n in parts]))
    return View(tuple(np.clip(index, 0, n - 1) for index, n in parts), outside, lift)


def _displacements(
    plane: Sequence[int], pixel: np.ndarray, displacement: float, reach: float, rng: np.random.Generator
) -> np.ndarray:
    """Smooth random displacements (2, Y, X) in micrometres, of this standard deviation and correlation length."""
    if not displacement:
        return np.zeros((2, *plane))
    sigma = reach / pixel
    field = ndimage.gaussian_filter(rng.standard_normal((2, *plane)), (0, *sigma), mode="wrap", truncate=3)
    # of white noise, a Gaussian filter leaves a standard deviation of 1 / sqrt(4 pi sigma_y sigma_x)
    return displacement * np.sqrt(4 * np.pi * sigma.prod()) * field


def cut_out(frame: np.ndarray, *, whole_slices: bool = True) -> list[Cutting]:
    """Cut out the cells that no border in the plane cuts.

    Parameters
    ----------
    frame : int array (Z, Y, X) or (Y, X)
        0 is background.
    whole_slices : bool
        Whether cells in the first and last slice count too, as they may where heights stay as they are.

    Returns
    -------
    list of Cutting
        By label.
    """
    cuttings = []
    limits = np.array(frame.shape)
    for label, box in cell_boxes(frame):
        first, last = np.array([[part.start, part.stop] for part in box]).T
        cut = (first == 0) | (last == limits)
        if not (cut[-2:].any() if whole_slices else cut.any()):
            cuttings.append(Cutting(frame[box] == label, box[0].start if frame.ndim == 3 else 0))
    return cuttings


def turn(mask: np.ndarray, pixel: Sequence[float], angle: float, mirrored: bool) -> np.ndarray:
    """Mirror and turn a cell in the plane.

    Parameters
    ----------
    mask : bool array (Z, Y, X) or (Y, X)
    pixel : sequence of float
        Micrometres along Y and X.

    Returns
    -------
    bool array
        Its own bounding box in the plane; the slices stay.
    """
    scale = np.diag(np.asarray(pixel, float))
    matrix = np.linalg.inv(scale) @ _rotation(angle, mirrored) @ scale
    size = np.array(mask.shape[-2:])
    plane = np.ceil(np.abs(np.linalg.inv(matrix)) @ size).astype(int) + 2
    offset = (size - 1) / 2 - matrix @ ((plane - 1) / 2)
    planes = mask.reshape(-1, *size).astype(np.float32)
    turned = np.stack([ndimage.affine_transform(one, matrix, offset, tuple(plane), order=1) for one in planes]) > 0.5
    rows, columns = turned.any(axis=(0, 2)).nonzero()[0], turned.any(axis=(0, 1)).nonzero()[0]
    if not rows.size:
        return mask
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    return turned[:, *box].reshape(*mask.shape[:-2], *turned[0][box].shape)


def place_cuttings(
    labels: np.ndarray,
    cuttings: Sequence[Cutting],
    count: int,
    voxel_size: Sequence[float],
    lift: int | None,
    min_fraction: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """Put cells that are drawn from the cuttings to free places; those that find none are left out.

    Parameters
    ----------
    labels : int array (Z, Y, X) or (Y, X)
        Cells 1, 2, ..., n that are there already.
    cuttings : sequence of Cutting
    count : int
        Number of cells to put in.
    voxel_size : sequence of float
        Micrometres along each axis.
    lift : int or None
        Slices by which the cuttings' frame lies above the volume's first slice; None for any height.
    min_fraction : float
        Least part of a cell that the border leaves of it.
    rng : numpy Generator

    Returns
    -------
    int array, shape of `labels`
        The new cells follow as n + 1, n + 2, ...
    """
    present = int(labels.max(initial=0))
    placed = labels.astype(label_type(present + count))
    for _ in range(count if cuttings else 0):
        cutting = cuttings[rng.integers(len(cuttings))]
        mask = turn(cutting.mask, voxel_size[-2:], rng.uniform(0, 2 * np.pi), bool(rng.integers(2)))
        for corner in _corners(placed.shape, mask.shape, None if lift is None else cutting.height + lift, rng):
            region, part = _within(placed.shape, mask, corner)
            if not placed[region][part].any() and np.count_nonzero(part) >= max(min_fraction * mask.sum(), 1):
                present += 1
                placed[region][largest_component(part)] = present
                break
    return placed


def _corners(shape: Sequence[int], size: Sequence[int], height: int | None, rng: np.random.Generator) -> np.ndarray:
    """Places to try, (n, ndim): anywhere with the middle in the plane, at this height if the volume has it."""
    lower = -(np.array(size) // 2)
    corners = rng.integers(lower, lower + shape, (PLACEMENT_TRIES, len(shape)))
    if len(shape) == 3:
        highest = shape[0] - size[0]
        keeps = height is not None and 0 <= height <= highest
        corners[:, 0] = height if keeps else rng.integers(0, max(highest, 0) + 1, PLACEMENT_TRIES)
    return corners


def _within(shape: Sequence[int], mask: np.ndarray, corner: np.ndarray) -> tuple[tuple[slice, ...], np.ndarray]:
    """The region of a volume that a mask at a corner covers, and the part of the mask in it."""
    first = np.maximum(corner, 0)
    last = np.minimum(corner + mask.shape, shape)
    region = tuple(slice(a, b) for a, b in zip(first.tolist(), last.tolist(), strict=True))
    part = tuple(slice(a, b) for a, b in zip((first - corner).tolist(), (last - corner).tolist(), strict=True))
    return region, mask[part]
