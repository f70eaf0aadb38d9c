"""Does each annotated cell show in its image, and does it lie where its annotation has it?"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import ndimage
from skimage.segmentation import watershed

from ...labels import cell_boxes
from .noise import find_levels, measure_contrast
from .splits import is_split
from .surroundings import REACH, Surroundings, measure_surroundings, scale_axes, smooth

AXES = ("z", "y", "x")
OFFSETS = tuple(f"offset_{axis}" for axis in AXES)
AUDIT_COLUMNS = (
    *("label", "size", "contrast", "noise", "contrast_to_noise", "displacement", "iou", "lost"),
    *("rounded", "inside", *OFFSETS, "offset", "split"),
)
PLATEAU = 2.0  # distance from the boundary at which a nucleus, and its background, are evenly bright
FEWEST_VOXELS = 10  # that a median is taken of


class Window(NamedTuple):
    """The part of an image about one cell, arrays of one shape."""

    image: np.ndarray
    """Normalised intensities, float32."""
    smooth: np.ndarray
    """The same, blurred slightly."""
    about: Surroundings
    levels: np.ndarray
    """The values that occur in the whole image."""


def audit_cells(
    image: np.ndarray, labels: np.ndarray, voxel_size: Sequence[float], *, touching: bool, min_contrast: float
) -> pd.DataFrame:
    """Measure how each cell shows in the image that it annotates.

    Intensities near a cell are averaged by their distance to its boundary. Across the boundary of a nucleus they fall
    from the plateau inside to that of the background. Its boundary in the image is where the mean crosses the middle
    between the two. A threshold at that level, after a slight blur, segments the nucleus again; holes such as nucleoli
    are filled. A membrane is a ridge. Its boundary in the image is the crest, and a watershed from the middle of each
    cell segments the cells again. Voxels that lie in another nucleus or nearer to it are left out, and so are
    boundaries that two nuclei share.

    Parameters
    ----------
    image : array (Z, Y, X) or (Y, X)
        Normalised intensities.
    labels : int array, shape of `image`
        0 is background.
    voxel_size : sequence of float
        Micrometres along each axis.
    touching : bool
        Whether cells touch each other and their membranes are stained; else they are stained nuclei.
    min_contrast : float
        Cells with a smaller contrast_to_noise are lost.

    Returns
    -------
    DataFrame
        Columns AUDIT_COLUMNS, one row per cell:

        - label, and size in voxels;
        - contrast, normalised intensity of the cell (of its membrane) minus that of its background (its inside);
        - noise, standard deviation of the latter, from the median absolute deviation, and at least that of rounding;
        - contrast_to_noise, their ratio;
        - displacement, how far the boundary in the image lies outside that of the mask, in voxels of the finest axis,
          negative inside; NaN where no boundary is near;
        - iou of the cell, segmented again, with its mask;
        - lost, whether the contrast is too small;
        - rounded, whether there was less noise than rounding leaves;
        - inside, the median intensity inside the cell;
        - offset_z, offset_y, offset_x, from the centroid of the mask to that of the cell, segmented again, in voxels of
          the finest axis, and offset, the length; NaN along an axis on which the image cuts the cell;
        - split, whether the mask holds two cells of the image.

        Where too little of a cell's inside or background can be seen, the measures are NaN and the cell is not lost.
    """
    found = _segment_membranes(image, labels, voxel_size) if touching else None
    levels, scale = find_levels(image), scale_axes(voxel_size)
    margin = np.ceil(REACH / scale).astype(int)
    rows = []
    for label, tight in cell_boxes(labels):
        box = tuple(slice(max(part.start - m, 0), part.stop + m) for part, m in zip(tight, margin, strict=True))
        part = image[box].astype(np.float32)
        window = Window(part, smooth(part, voxel_size), measure_surroundings(labels[box], label, voxel_size), levels)
        measured, again = audit_nucleus(window) if found is None else audit_membrane(window, found[box] == label)
        offset = _measure_offset(again, window.about.cell, _find_cut(tight, image.shape), scale)
        rows.append({"label": label, "size": int(window.about.cell.sum())} | measured | offset)
    table = pd.DataFrame(rows, columns=list(AUDIT_COLUMNS))
    lost = table["contrast_to_noise"] < min_contrast
    return table.assign(lost=lost, rounded=table["rounded"].eq(True), split=table["split"].eq(True) & ~lost)


def audit_nucleus(window: Window) -> tuple[dict[str, float | bool], np.ndarray]:
    """Measure the columns contrast to split of `audit_cells` for one nucleus.

    Returns
    -------
    dict
        The columns, without those that could not be measured, and without the offset.
    bool array
        The nucleus, segmented again.
    """
    image, about = window.image, window.about
    deep = min(PLATEAU, -about.distance.min() / 2)
    nucleus = image[about.cell & (about.distance <= -deep)]
    background = image[about.free & (about.distance >= PLATEAU) & (about.distance < REACH)]
    if not nucleus.size:
        return {}, np.zeros_like(about.cell)
    high = float(np.median(nucleus))
    if background.size < FEWEST_VOXELS:
        return {"inside": high}, np.zeros_like(about.cell)
    low = float(np.median(background))
    middle = (high + low) / 2
    near = (window.smooth > middle) & (about.cell | about.free & (about.distance < REACH))
    again = _pick_part(near, about.cell)
    return measure_contrast(high, low, background, window.levels) | {
        "inside": high,
        "displacement": _find_crossing(*_average_layers(image, about, about.free), middle),
        "iou": _measure_iou(again, about.cell),
        "split": is_split(window.smooth, about.cell, high, low),
    }, again


def audit_membrane(window: Window, again: np.ndarray) -> tuple[dict[str, float | bool], np.ndarray]:
    """Measure the same as `audit_nucleus` for one cell with a membrane, and where it was found again."""
    image, about = window.image, window.about
    inside = image[about.cell & (about.distance <= about.distance.min() / 2)]
    membrane = image[np.abs(about.distance) <= 1]
    if inside.size < FEWEST_VOXELS or not membrane.size:
        return {}, np.zeros_like(about.cell)
    low, high = float(np.median(inside)), float(membrane.mean())
    return measure_contrast(high, low, inside, window.levels) | {
        "inside": low,
        "displacement": _find_crest(*_average_layers(image, about, np.ones_like(about.cell)), low),
        "iou": _measure_iou(again, about.cell),
        "split": is_split(window.smooth, about.cell, low, high),
    }, again


def _average_layers(image: np.ndarray, about: Surroundings, where: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean distance and mean intensity of each layer, one voxel thick, from REACH inside the boundary to outside."""
    near = where & (np.abs(about.distance) < REACH)
    layer = np.floor(about.distance[near] + REACH).astype(int)
    count = np.bincount(layer)
    distance, intensity = (np.bincount(layer, values[near])[count > 0] for values in (about.distance, image))
    return distance / count[count > 0], intensity / count[count > 0]


def _find_crossing(distance: np.ndarray, intensity: np.ndarray, level: float) -> float:
    """The distance at which the intensity falls below a level; of several, the one nearest to 0."""
    over = intensity - level
    falls = np.flatnonzero((over[:-1] >= 0) & (over[1:] < 0))
    if not falls.size:
        return np.nan
    share = over[falls] / (over[falls] - over[falls + 1])
    places = distance[falls] + share * (distance[falls + 1] - distance[falls])
    return float(places[np.argmin(np.abs(places))])


def _find_crest(distance: np.ndarray, intensity: np.ndarray, low: float) -> float:
    """Centre of the ridge: mean distance of the layers around its highest point that exceed half its height."""
    over = intensity - low
    top = int(np.argmax(over))
    if over[top] <= 0:
        return float(distance[top])
    ridge = ndimage.label(over > over[top] / 2)[0]
    chosen = ridge == ridge[top]
    return float(np.average(distance[chosen], weights=over[chosen] - over[top] / 2))


def _pick_part(found: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """The connected part of what was found that covers most of the cell, its holes filled."""
    parts, count = ndimage.label(found)
    if count == 0:
        return found
    covered = np.bincount(parts[cell], minlength=count + 1)
    covered[0] = 0
    if not covered.any():
        return np.zeros_like(found)
    return ndimage.binary_fill_holes(parts == np.argmax(covered))


def _measure_iou(found: np.ndarray, cell: np.ndarray) -> float:
    return float((found & cell).sum() / (found | cell).sum())


def _find_cut(box: tuple[slice, ...], shape: Sequence[int]) -> np.ndarray:
    """Find the axes along which a cell reaches the border of the image, which may cut it: bool (ndim,)."""
    return np.array([part.start == 0 or part.stop == size for part, size in zip(box, shape, strict=True)])


def _measure_offset(found: np.ndarray, cell: np.ndarray, cut: np.ndarray, scale: np.ndarray) -> dict[str, float]:
    """Offset of the centroid of what was found from that of the mask, by axis, and its length."""
    if not found.any() or cut.all():
        return {}
    centres = [np.array([np.mean(places) for places in np.nonzero(mask)]) for mask in (found, cell)]
    offset = np.where(cut, np.nan, (centres[0] - centres[1]) * scale)
    named = dict(zip(OFFSETS[-cell.ndim :], offset.tolist(), strict=True))
    return named | {"offset": float(np.sqrt(np.nansum(offset**2)))}


def _segment_membranes(image: np.ndarray, labels: np.ndarray, voxel_size: Sequence[float]) -> np.ndarray:
    """Segment the cells again, from the inner halves of the annotated ones and from background far from all cells."""
    markers = np.zeros(labels.shape, np.int64)
    size = scale_axes(voxel_size)
    for label, box in cell_boxes(labels):
        depth = ndimage.distance_transform_edt(np.pad(labels[box] == label, 1), sampling=size)
        depth = depth[(slice(1, -1),) * labels.ndim]
        markers[box][depth > depth.max() / 2] = label
    background = labels.max() + 1
    if not labels.all():
        markers[ndimage.distance_transform_edt(labels == 0, sampling=size) > REACH] = background
    found = watershed(smooth(image, voxel_size), markers)
    return np.where(found == background, 0, found)
