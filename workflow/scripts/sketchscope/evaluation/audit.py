"""Does each annotated cell show in its image, and does its boundary lie where the annotation has it?"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import ndimage
from skimage.segmentation import watershed

from ..geometry import GAUSSIAN_MAD, sigma_in_voxels
from ..io.atomic import PathLike
from ..labels import cell_boxes

AUDIT_COLUMNS = ("label", "size", "contrast", "noise", "contrast_to_noise", "displacement", "iou", "lost")
REACH = 5.0  # how far from its boundary a cell is looked for, in voxels of the finest axis
PLATEAU = 2.0  # distance from the boundary at which a nucleus, and its background, are evenly bright
SMOOTHING = 1.0  # standard deviation of the blur under a local threshold, in voxels of the finest axis
FEWEST_VOXELS = 10  # that a median is taken of
WELL_FOUND = 0.7  # IoU above which a cell lies where its mask is


class Surroundings(NamedTuple):
    """One cell and the voxels about it, arrays of one shape."""

    cell: np.ndarray
    """bool: in the cell."""
    distance: np.ndarray
    """From each voxel's centre to the boundary, in voxels of the finest axis, negative inside."""
    free: np.ndarray
    """bool: in no other cell and nearest to this one; inside, nearest to a boundary with the background."""


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
        - noise, standard deviation of the latter, from the median absolute deviation;
        - contrast_to_noise, their ratio;
        - displacement, how far the boundary in the image lies outside that of the mask, in voxels of the finest axis,
          negative inside; NaN where no boundary is near;
        - iou of the cell, segmented again, with its mask;
        - lost, whether the contrast is too small.

        Where too little of a cell's inside or background can be seen, the measures are NaN and the cell is not lost.
    """
    found = _segment_membranes(image, labels, voxel_size) if touching else None
    margin = np.ceil(REACH * min(voxel_size) / np.asarray(voxel_size)).astype(int)
    rows = []
    for label, box in cell_boxes(labels):
        box = tuple(slice(max(part.start - m, 0), part.stop + m) for part, m in zip(box, margin, strict=True))
        about = measure_surroundings(labels[box], label, voxel_size)
        window = image[box].astype(np.float32)
        if found is None:
            measured = audit_nucleus(window, _smooth(window, voxel_size), about)
        else:
            measured = audit_membrane(window, found[box] == label, about)
        rows.append({"label": label, "size": int(about.cell.sum())} | measured)
    table = pd.DataFrame(rows, columns=list(AUDIT_COLUMNS[:-1]))
    return table.assign(lost=table["contrast_to_noise"] < min_contrast)


def measure_surroundings(labels: np.ndarray, label: int, voxel_size: Sequence[float]) -> Surroundings:
    """Measure distances to the boundary of one cell, and find the voxels that belong to no other cell.

    Parameters
    ----------
    labels : int array (Z, Y, X) or (Y, X)
        A window on the labels that holds the cell.
    label : int
        Of the cell.
    voxel_size : sequence of float
        Micrometres along each axis.
    """
    size = np.asarray(voxel_size) / min(voxel_size)
    cell = labels == label
    if cell.all():
        return Surroundings(cell, np.full(cell.shape, -np.inf), cell)
    outside, _ = _measure_distance(cell, size)
    inside, nearest = _measure_distance(~cell, size)
    distance = np.where(cell, -inside, outside)
    others = (labels > 0) & ~cell
    free = np.where(cell, ~others[nearest], ~others)
    if others.any():
        free &= cell | (_measure_distance(others, size)[0] > outside)
    return Surroundings(cell, distance, free)


def audit_nucleus(image: np.ndarray, smooth: np.ndarray, about: Surroundings) -> dict[str, float]:
    """Measure the columns contrast to iou of `audit_cells` for one nucleus, in a window and that window blurred."""
    deep = min(PLATEAU, -about.distance.min() / 2)
    nucleus = image[about.cell & (about.distance <= -deep)]
    background = image[about.free & (about.distance >= PLATEAU) & (about.distance < REACH)]
    if not nucleus.size or background.size < FEWEST_VOXELS:
        return {}
    high, low = float(np.median(nucleus)), float(np.median(background))
    middle = (high + low) / 2
    found = (smooth > middle) & (about.cell | about.free & (about.distance < REACH))
    return _measure_contrast(high, low, background) | {
        "displacement": _find_crossing(*_average_layers(image, about, about.free), middle),
        "iou": _measure_iou(_pick_part(found, about.cell), about.cell),
    }


def audit_membrane(image: np.ndarray, found: np.ndarray, about: Surroundings) -> dict[str, float]:
    """Measure the columns contrast to iou of `audit_cells` for one cell, in a window and where it was found there."""
    inside = image[about.cell & (about.distance <= about.distance.min() / 2)]
    membrane = image[np.abs(about.distance) <= 1]
    if inside.size < FEWEST_VOXELS or not membrane.size:
        return {}
    low = float(np.median(inside))
    return _measure_contrast(float(membrane.mean()), low, inside) | {
        "displacement": _find_crest(*_average_layers(image, about, np.ones_like(about.cell)), low),
        "iou": _measure_iou(found, about.cell),
    }


def summarise_audit(cells: pd.DataFrame) -> dict[str, Any]:
    """Sum up the audit of many cells.

    Parameters
    ----------
    cells : DataFrame
        Of `audit_cells`.

    Returns
    -------
    dict
        cells, their number; measured, those with a contrast; lost, those too dim; contrast_to_noise_median of the
        measured cells. Of the measured cells that are not lost: displacement_median; displacement_abs_median, of the
        absolute values; iou_median; iou_above_0.7, the share above WELL_FOUND. None where there are none.
    """
    measured = cells[cells["contrast"].notna()]
    kept = measured[~measured["lost"].astype(bool)]
    figures = {
        "contrast_to_noise_median": measured["contrast_to_noise"].median(),
        "displacement_median": kept["displacement"].median(),
        "displacement_abs_median": kept["displacement"].abs().median(),
        "iou_median": kept["iou"].median(),
        f"iou_above_{WELL_FOUND:g}": (kept["iou"] > WELL_FOUND).mean(),
    }
    counts = {"cells": len(cells), "measured": len(measured), "lost": int(measured["lost"].sum())}
    return counts | {key: None if pd.isna(value) else round(float(value), 4) for key, value in figures.items()}


def read_lost(paths: Iterable[PathLike]) -> dict[str, list[int]]:
    """Read the labels of the lost cells of each volume that has some, from tables of `audit_cells` by volume."""
    tables = [pd.read_csv(path) for path in paths]
    lost = pd.concat([table[table["lost"]] for table in tables]) if tables else pd.DataFrame(columns=["volume"])
    return {str(volume): cells["label"].tolist() for volume, cells in lost.groupby("volume")}


def _measure_distance(target: np.ndarray, size: np.ndarray) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    """Distance of each voxel's centre to the surface of the nearest voxel of the target, and that voxel's index.

    The way between the two centres is shortened by half a step, the part that lies in the ellipsoid within a voxel.
    """
    length, nearest = ndimage.distance_transform_edt(~target, sampling=size, return_indices=True)
    steps = np.sqrt(((np.indices(target.shape) - nearest) ** 2).sum(axis=0))
    return length * (1 - 0.5 / np.maximum(steps, 0.5)), tuple(nearest)


def _average_layers(image: np.ndarray, about: Surroundings, where: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean distance and mean intensity of each layer, one voxel thick, from REACH inside the boundary to outside."""
    near = where & (np.abs(about.distance) < REACH)
    layer = np.floor(about.distance[near] + REACH).astype(int)
    count = np.bincount(layer)
    distance, intensity = (np.bincount(layer, values[near])[count > 0] for values in (about.distance, image))
    return distance / count[count > 0], intensity / count[count > 0]


def _measure_contrast(high: float, low: float, background: np.ndarray) -> dict[str, float]:
    noise = GAUSSIAN_MAD * float(np.median(np.abs(background - low)))
    contrast = high - low
    return {"contrast": contrast, "noise": noise, "contrast_to_noise": contrast / max(noise, 1e-6)}


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


def _smooth(image: np.ndarray, voxel_size: Sequence[float]) -> np.ndarray:
    return ndimage.gaussian_filter(image.astype(np.float32), sigma_in_voxels(SMOOTHING, voxel_size))


def _segment_membranes(image: np.ndarray, labels: np.ndarray, voxel_size: Sequence[float]) -> np.ndarray:
    """Segment the cells again, from the inner halves of the annotated ones and from background far from all cells."""
    markers = np.zeros(labels.shape, np.int64)
    size = np.asarray(voxel_size) / min(voxel_size)
    for label, box in cell_boxes(labels):
        depth = ndimage.distance_transform_edt(np.pad(labels[box] == label, 1), sampling=size)
        depth = depth[(slice(1, -1),) * labels.ndim]
        markers[box][depth > depth.max() / 2] = label
    background = labels.max() + 1
    if not labels.all():
        markers[ndimage.distance_transform_edt(labels == 0, sampling=size) > REACH] = background
    found = watershed(_smooth(image, voxel_size), markers)
    return np.where(found == background, 0, found)
