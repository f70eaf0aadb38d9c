"""What looks like a cell and has no label."""

import numpy as np
import pandas as pd
from scipy import ndimage

from ...geometry import GAUSSIAN_MAD, Slices, VoxelSize, ball_volume
from ...labels import cell_boxes
from .surroundings import measure_depth, scale_axes, smooth

CLEAR = 2.0  # voxels of the finest axis from any mask in which a boundary may still be blurred
LEAST_SIZE = 0.15  # of an unlabelled cell, as a fraction of the median size of the labelled ones
LEAST_THICKNESS = 0.4  # the same of the thickness
DIM_QUANTILE = 0.1  # of the contrasts of labelled cells; half of it makes an unlabelled one
FIELD = 3.0  # width of the window in which the background is averaged, in diameters of a cell
CLOSED = 0.3  # of the contrast of membranes: a ridge as high as this, after the blur, encloses a cell
ROUNDS = 3  # in which what is bright is left out of the background
LEAST_SIGMAS = 3.0  # of the blurred background, by which an unlabelled nucleus exceeds it


def count_unlabelled(
    image: np.ndarray,
    labels: np.ndarray,
    voxel_size: VoxelSize,
    cells: pd.DataFrame,
    *,
    touching: bool,
    border: int = 0,
) -> int:
    """Count the cells that show in an image and have no label.

    Nuclei are parts of the background, away from all masks, that are brighter than the background near them, by half
    the contrast of dim labelled ones. Cells with membranes are parts of the background that a ridge encloses. Both are
    as large and as thick as cells are; where masks are too small, what is left of their nuclei is a thin ring. Two such
    nuclei that touch may count as one.

    Parameters
    ----------
    image, labels, voxel_size
        See `cells.audit_cells`.
    cells : DataFrame
        Of `cells.audit_cells`; without cells of measured contrast there is nothing to compare with, and none is found.
    touching : bool
        Whether membranes are stained.
    border : int
        Width of the rim in y and x, voxels, in which cells may lack a label.
    """
    shown = cells[cells["contrast"].notna() & ~cells["lost"]]
    if shown.empty or labels.all():
        return 0
    blurred = smooth(image, voxel_size)
    if touching:
        dark = blurred < float((shown["inside"] + CLOSED * shown["contrast"]).median())
        parts, usual = _drop_cut(ndimage.label(dark & (labels == 0))[0]), np.where(dark, labels, 0)
    else:
        outside = measure_depth(labels == 0, voxel_size) > CLEAR
        bright = _find_bright(blurred, outside, _find_diameter(labels, shown, voxel_size), shown["contrast"])
        parts, usual = ndimage.label(bright)[0], labels
    return _count_alike(parts, usual, voxel_size, border)


def _find_diameter(labels: np.ndarray, cells: pd.DataFrame, voxel_size: VoxelSize) -> np.ndarray:
    """Diameter of a disc or ball of a typical cell's size, in voxels along each axis."""
    scale = scale_axes(voxel_size)
    return 2 * (cells["size"].median() * scale.prod() / ball_volume(1.0, labels.ndim)) ** (1 / labels.ndim) / scale


def _find_bright(blurred: np.ndarray, outside: np.ndarray, diameter: np.ndarray, contrasts: pd.Series) -> np.ndarray:
    """Find what is brighter than the background near it; what was found once is left out of the background."""
    width = np.maximum(np.rint(FIELD * diameter), 3).astype(int).tolist()
    bright = np.zeros_like(outside)
    for _ in range(ROUNDS):
        empty = outside & ~bright
        if not empty.any():
            return bright
        over = blurred - _average_near(blurred, empty, width)
        noise = GAUSSIAN_MAD * float(np.median(np.abs(over[empty] - np.median(over[empty]))))
        bright = outside & (over > max(contrasts.quantile(DIM_QUANTILE) / 2, LEAST_SIGMAS * noise))
    return bright


def _average_near(image: np.ndarray, chosen: np.ndarray, width: list[int]) -> np.ndarray:
    """Mean over the chosen voxels of a window about each voxel; over all that are chosen where the window has none."""
    share = ndimage.uniform_filter(chosen.astype(np.float32), width)
    total = ndimage.uniform_filter(np.where(chosen, image, 0).astype(np.float32), width)
    return np.where(share > 1e-3, total / np.maximum(share, 1e-3), image[chosen].mean())


def _drop_cut(parts: np.ndarray) -> np.ndarray:
    """Make parts at the border of the image 0: a ridge that encloses them cannot be seen."""
    axes = range(parts.ndim)
    cut = np.concatenate([np.take(parts, end, axis).ravel() for axis in axes for end in (0, -1)])
    return np.where(np.isin(parts, cut), 0, parts)


def _count_alike(parts: np.ndarray, usual: np.ndarray, voxel_size: VoxelSize, border: int) -> int:
    """Count parts that are about as large and thick as usual ones and whose middle does not lie in the rim."""
    masks = [usual[box] == label for label, box in cell_boxes(usual)]
    if not masks:
        return 0
    size = LEAST_SIZE * np.median([mask.sum() for mask in masks])
    thickness = LEAST_THICKNESS * np.median([_measure_thickness(mask, voxel_size) for mask in masks])
    count = 0
    for label, box in cell_boxes(parts):
        part = parts[box] == label
        if part.sum() >= size and _measure_thickness(part, voxel_size) >= thickness:
            count += _is_in_field(part, box, parts.shape, border)
    return count


def _measure_thickness(mask: np.ndarray, voxel_size: VoxelSize) -> float:
    """Radius of the largest ball in a mask, in voxels of the finest axis; the array's edge is outside."""
    return float(measure_depth(np.pad(mask, 1), voxel_size).max())


def _is_in_field(part: np.ndarray, box: Slices, shape: tuple[int, ...], border: int) -> bool:
    """Whether the middle of a part lies farther than the border from the ends of y and x."""
    middle = [place.mean() + extent.start for place, extent in zip(np.nonzero(part), box, strict=True)]
    pairs = zip(middle[-2:], shape[-2:], strict=True)
    return all(border <= place <= size - 1 - border for place, size in pairs)
