"""New instance masks from segmented images: turned, deformed, and with some of the cells at other places."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from ..geometry import Slices
from ..labels import cell_boxes, clean_labels, keep_labels, label_type, largest_component

PLACES_TRIED = 60  # for each cell that goes to another place


class Rearrangement(NamedTuple):
    """How new masks differ from the segmented images that they are made from."""

    touching: bool
    """Whether the cells share their boundaries, as in tissue."""
    shuffle: float
    """Fraction of the nuclei that go to other places."""
    elastic: float
    """Standard deviation of the elastic displacement as a fraction of `cell_diameter`."""
    min_size: float
    """Cells of less than this fraction of the median size are left out, also where the border cuts them."""
    cell_diameter: float
    """Mean diameter of a cell, micrometres: how far the deformation reaches."""


class Part(NamedTuple):
    """Which part of a frame becomes a volume, and how it is turned in the plane."""

    frame_shape: Sequence[int]
    shape: Sequence[int]
    """Of the volume, voxels."""
    voxel_size: Sequence[float]
    angle: float
    mirrored: bool


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


def rearrange(
    frame: np.ndarray,
    shape: Sequence[int],
    voxel_size: Sequence[float],
    settings: Rearrangement,
    rng: np.random.Generator,
) -> np.ndarray:
    """Make the mask of a new volume from one segmented frame.

    A part of the frame is mirrored and turned in the plane, and deformed elastically there. Then nuclei at which the
    frame ended are removed, and a fraction of the others. As many as are now missing at the density of the frame are
    cut out of it, mirrored and turned one by one, and put to free places; at their own height unless the volume is
    deeper than the frame.
    Tissue stays as it is. It is turned by right angles where the part fits into the frame so, by half turns otherwise.

    Parameters
    ----------
    frame : int array (Z, Y, X) or (Y, X)
        Clean labels, see `labels.clean_labels`.
    shape : sequence of int
        Voxels of the volume; where it exceeds the frame it is background, or holds nuclei that are placed there.
    voxel_size : sequence of float
        Micrometres along each axis, of the frame and the volume.
    settings : Rearrangement
    rng : numpy Generator

    Returns
    -------
    uint16 array of `shape`, uint32 if it holds more cells than that can number
        Labels 1, 2, ... without gaps, one piece each; 0 is background.
    """
    angle = _draw_angle(frame.shape, shape, voxel_size, settings.touching, rng)
    part = Part(frame.shape, shape, voxel_size, angle, bool(rng.integers(2)))
    view = _draw_view(part, settings, rng)
    labels = clean_labels(np.where(view.outside, 0, frame[view.indices]), settings.min_size)
    if settings.touching:
        return labels
    beside = np.unique(labels[ndimage.binary_dilation(view.outside) & (labels > 0)]).astype(int) - 1
    kept = rng.random(labels.max(initial=0)) >= settings.shuffle
    kept[beside] = True
    cuttings = cut_cells(frame, whole_slices=frame.shape[:-2] == tuple(shape)[:-2])
    # of the cells that a border cuts, half have their centres within
    centres = (len(cuttings) + frame.max(initial=0)) / 2
    missing = centres * np.count_nonzero(view.outside) / frame.size + len(beside) / 2
    wanted = round(np.count_nonzero(~kept) + missing)
    kept[beside] = False
    labels = keep_labels(labels, kept)
    lift = view.lift if frame.shape[:-2] >= labels.shape[:-2] else None
    return place_cuttings(labels, cuttings, wanted, voxel_size, lift, settings.min_size, rng)


def _draw_angle(
    frame_shape: Sequence[int],
    shape: Sequence[int],
    voxel_size: Sequence[float],
    touching: bool,
    rng: np.random.Generator,
) -> float:
    """Draw an angle in the plane: any for nuclei, a right one for tissue if the frame holds the volume so."""
    if not touching:
        return rng.uniform(0, 2 * np.pi)
    turned = np.multiply(shape, voxel_size)[-2:][::-1]
    fits = (turned <= np.multiply(frame_shape, voxel_size)[-2:] * (1 + 1e-6)).all()
    return rng.integers(4) * np.pi / 2 if fits else rng.integers(2) * np.pi


def _rotation(angle: float, mirrored: bool) -> np.ndarray:
    """Matrix (2, 2) for (y, x)."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, -sin], [sin, cos]]) * [1, -1 if mirrored else 1]


def _draw_view(part: Part, settings: Rearrangement, rng: np.random.Generator) -> View:
    """Draw the part of a frame that becomes a volume; all slices are turned and deformed alike."""
    frame_shape, shape = part.frame_shape, part.shape
    pixel, plane = np.asarray(part.voxel_size[-2:], float), tuple(shape[-2:])
    half = [(n - 1) / 2 * s for n, s in zip(plane, pixel, strict=True)]
    target = np.stack(
        np.meshgrid(*[np.arange(n) * s - h for n, s, h in zip(plane, pixel, half, strict=True)], indexing="ij")
    )
    rotation = _rotation(part.angle, part.mirrored)
    middle = (np.array(frame_shape[-2:]) - 1) / 2 * pixel
    room = np.abs(middle - np.abs(rotation) @ half)  # within the frame, or of the frame within the volume
    position = np.tensordot(rotation, target, 1) + (middle + rng.uniform(-room, room))[:, None, None]
    reach = settings.cell_diameter
    position += _draw_displacements(plane, pixel, settings.elastic * reach, reach, rng)
    indices = list(np.rint(position / pixel[:, None, None]).astype(int))
    lift = 0
    if len(shape) == 3:
        spare = frame_shape[0] - shape[0]
        lift = -int(rng.integers(min(spare, 0), max(spare, 0) + 1))
        indices.insert(0, np.arange(shape[0])[:, None, None] - lift)
    inside = list(zip(indices, frame_shape, strict=True))
    outside = np.logical_or.reduce(np.broadcast_arrays(*[(index < 0) | (index >= n) for index, n in inside]))
    return View(tuple(np.clip(index, 0, n - 1) for index, n in inside), outside, lift)


def _draw_displacements(
    plane: Sequence[int], pixel: np.ndarray, displacement: float, reach: float, rng: np.random.Generator
) -> np.ndarray:
    """Draw smooth displacements (2, Y, X) in micrometres, of this standard deviation and correlation length."""
    if not displacement:
        return np.zeros((2, *plane))
    sigma = reach / pixel
    field = ndimage.gaussian_filter(rng.standard_normal((2, *plane)), (0, *sigma), mode="wrap", truncate=3)
    # of white noise, a Gaussian filter leaves a standard deviation of 1 / sqrt(4 pi sigma_y sigma_x)
    return displacement * np.sqrt(4 * np.pi * sigma.prod()) * field


def cut_cells(frame: np.ndarray, *, whole_slices: bool = True) -> list[Cutting]:
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


def turn_cell(mask: np.ndarray, pixel: Sequence[float], angle: float, mirrored: bool) -> np.ndarray:
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
        mask = turn_cell(cutting.mask, voxel_size[-2:], rng.uniform(0, 2 * np.pi), bool(rng.integers(2)))
        for corner in _draw_corners(placed.shape, mask.shape, None if lift is None else cutting.height + lift, rng):
            region, part = _clip_to_volume(placed.shape, mask, corner)
            if not placed[region][part].any() and np.count_nonzero(part) >= max(min_fraction * mask.sum(), 1):
                present += 1
                placed[region][largest_component(part)] = present
                break
    return placed


def _draw_corners(
    shape: Sequence[int], size: Sequence[int], height: int | None, rng: np.random.Generator
) -> np.ndarray:
    """Draw places to try, (n, ndim): anywhere with the middle in the plane, at this height if the volume has it."""
    lower = -(np.array(size) // 2)
    corners = rng.integers(lower, lower + shape, (PLACES_TRIED, len(shape)))
    if len(shape) == 3:
        highest = shape[0] - size[0]
        keeps = height is not None and 0 <= height <= highest
        corners[:, 0] = height if keeps else rng.integers(0, max(highest, 0) + 1, PLACES_TRIED)
    return corners


def _clip_to_volume(shape: Sequence[int], mask: np.ndarray, corner: np.ndarray) -> tuple[Slices, np.ndarray]:
    """Find the region of a volume that a mask at a corner covers, and the part of the mask in it."""
    first = np.maximum(corner, 0)
    last = np.minimum(corner + mask.shape, shape)
    region = tuple(slice(a, b) for a, b in zip(first.tolist(), last.tolist(), strict=True))
    part = tuple(slice(a, b) for a, b in zip((first - corner).tolist(), (last - corner).tolist(), strict=True))
    return region, mask[part]
