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

CELL_COLUMNS = ("label", "size", "contrast", "noise", "contrast_to_noise", "displacement", "iou", "lost")

REACH = 5.0  # how far from its boundary a cell is looked for, in voxels of the finest axis
PLATEAU = 2.0  # distance from the boundary at which a nucleus, and its background, are evenly bright
SMOOTHING = 1.0  # standard deviation of the blur under a local threshold, in voxels of the finest axis
FEWEST = 10  # voxels that a median is taken of
WELL_FOUND = 0.7  # IoU above which a cell lies where its mask is


class Surroundings(NamedTuple):
    """One cell and the voxels about it, arrays of one shape."""

    cell: np.ndarray
    distance: np.ndarray
    free: np.ndarray


def audit_cells(
    image: np.ndarray, labels: np.ndarray, voxel_size: Sequence[float], *, stain: str, min_contrast: float
) -> pd.DataFrame:
    """Measure how each cell shows in the image that it annotates.

    Intensities near a cell are averaged by their distance to its boundary. A nucleus is a plateau that falls to that
    of the background; the boundary in the image is where the mean crosses the middle between the two, and a threshold
    at that level, after a slight blur, finds the nucleus anew (without its holes, nucleoli). A membrane is a ridge;
    the boundary is its crest, and a watershed from the middle of each cell finds the cells anew. Voxels of another
    nucleus, or nearer to it, are left out, and so are boundaries that two nuclei share.

    Parameters
    ----------
    image : array (Z, Y, X) or (Y, X)
        Normalised intensities.
    labels : int array, shape of `image`
        0 is background.
    voxel_size : sequence of float
        Micrometres along each axis.
    stain : str
        nuclei or membranes.
    min_contrast : float
        Cells of a smaller contrast_to_noise are lost.

    Returns
    -------
    DataFrame
        One row a cell: label; size in voxels; contrast, normalised intensity of the cell (of its membrane) over that of
        its background (its inside); noise, standard deviation of the latter, from the median absolute deviation;
        contrast_to_noise; displacement, how far the boundary in the image lies outside that of the mask, in
        voxels of the finest axis, negative inside; iou of the cell found anew with its mask; lost. NaN, and not lost,
        where too little of a cell's inside or background can be seen; a displacement is NaN as well where no boundary
        is near.
    """
    found = _watershed(image, labels, voxel_size) if stain == "membranes" else None
    margin = np.ceil(REACH * min(voxel_size) / np.asarray(voxel_size)).astype(int)
    rows = []
    for label, box in cell_boxes(labels):
        box = tuple(slice(max(part.start - m, 0), part.stop + m) for part, m in zip(box, margin, strict=True))
        about = surroundings(labels[box], label, voxel_size)
        window = image[box].astype(np.float32)
        if found is None:
            measured = audit_nucleus(window, _smooth(window, voxel_size), about)
        else:
            measured = audit_membrane(window, found[box] == label, about)
        rows.append({"label": label, "size": int(about.cell.sum())} | measured)
    table = pd.DataFrame(rows, columns=list(CELL_COLUMNS[:-1]))
    return table.assign(lost=table["contrast_to_noise"] < min_contrast)


def surroundings(labels: np.ndarray, label: int, voxel_size: Sequence[float]) -> Surroundings:
    """Signed distance to the boundary of one cell, and the voxels that no other cell has a part in.

    Parameters
    ----------
    labels : int array (Z, Y, X) or (Y, X)
        A window on the labels, in which the cell is.
    label : int
        Of the cell.
    voxel_size : sequence of float
        Micrometres along each axis.

    Returns
    -------
    Surroundings
        cell, bool; distance of each voxel's centre to the boundary, in voxels of the finest axis, negative inside;
        free, bool: in no other cell, nearest to this one, and if inside, nearest to a boundary with the background.
    """
    size = np.asarray(voxel_size) / min(voxel_size)
    cell = labels == label
    if cell.all():
        return Surroundings(cell, np.full(cell.shape, -np.inf), cell)
    outside, _ = _distance(cell, size)
    inside, nearest = _distance(~cell, size)
    distance = np.where(cell, -inside, outside)
    others = (labels > 0) & ~cell
    free = np.where(cell, ~others[nearest], ~others)
    if others.any():
        free &= cell | (_distance(others, size)[0] > outside)
    return Surroundings(cell, distance, free)


def _distance(target: np.ndarray, size: np.ndarray) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    """Distance of each voxel's centre to the surface of the nearest voxel of the target, and that voxel's index.

    Half a step is taken off the way between the centres: the part within the ellipsoid that fits into a voxel.
    """
    length, nearest = ndimage.distance_transform_edt(~target, sampling=size, return_indices=True)
    steps = np.sqrt(((np.indices(target.shape) - nearest) ** 2).sum(axis=0))
    return length * (1 - 0.5 / np.maximum(steps, 0.5)), tuple(nearest)


def profile(image: np.ndarray, about: Surroundings, where: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean distance and mean intensity of the voxels in each layer, one voxel thick, from REACH inside to outside."""
    near = where & (np.abs(about.distance) < REACH)
    layer = np.floor(about.distance[near] + REACH).astype(int)
    count = np.bincount(layer)
    distance, intensity = (np.bincount(layer, values[near])[count > 0] for values in (about.distance, image))
    return distance / count[count > 0], intensity / count[count > 0]


def audit_nucleus(image: np.ndarray, smooth: np.ndarray, about: Surroundings) -> dict[str, float]:
    """The columns contrast to iou of `audit_cells`, of one nucleus in a window and that window blurred."""
    deep = min(PLATEAU, -about.distance.min() / 2)
    nucleus = image[about.cell & (about.distance <= -deep)]
    background = image[about.free & (about.distance >= PLATEAU) & (about.distance < REACH)]
    if not nucleus.size or background.size < FEWEST:
        return {}
    high, low = float(np.median(nucleus)), float(np.median(background))
    middle = (high + low) / 2
    found = (smooth > middle) & (about.cell | about.free & (about.distance < REACH))
    return _shown(high, low, background) | {
        "displacement": _crossing(*profile(image, about, about.free), middle),
        "iou": _iou(_without_holes(found, about.cell), about.cell),
    }


def audit_membrane(image: np.ndarray, found: np.ndarray, about: Surroundings) -> dict[str, float]:
    """The columns contrast to iou of `audit_cells`, of one cell in a window, and where it was found."""
    inside = image[about.cell & (about.distance <= about.distance.min() / 2)]
    membrane = image[np.abs(about.distance) <= 1]
    if inside.size < FEWEST or not membrane.size:
        return {}
    low = float(np.median(inside))
    return _shown(float(membrane.mean()), low, inside) | {
        "displacement": _crest(*profile(image, about, np.ones_like(about.cell)), low),
        "iou": _iou(found, about.cell),
    }


def _shown(high: float, low: float, background: np.ndarray) -> dict[str, float]:
    noise = GAUSSIAN_MAD * float(np.median(np.abs(background - low)))
    contrast = high - low
    return {"contrast": contrast, "noise": noise, "contrast_to_noise": contrast / max(noise, 1e-6)}


def _crossing(distance: np.ndarray, intensity: np.ndarray, level: float) -> float:
    """Where the intensity falls below a level, the one of all such distances that is nearest to 0."""
    over = intensity - level
    falls = np.flatnonzero((over[:-1] >= 0) & (over[1:] < 0))
    if not falls.size:
        return np.nan
    share = over[falls] / (over[falls] - over[falls + 1])
    places = distance[falls] + share * (distance[falls + 1] - distance[falls])
    return float(places[np.argmin(np.abs(places))])


def _crest(distance: np.ndarray, intensity: np.ndarray, low: float) -> float:
    """Centre of the ridge: mean distance of what is over half its height, without a gap from its highest point."""
    over = intensity - low
    top = int(np.argmax(over))
    if over[top] <= 0:
        return float(distance[top])
    ridge = ndimage.label(over > over[top] / 2)[0]
    chosen = ridge == ridge[top]
    return float(np.average(distance[chosen], weights=over[chosen] - over[top] / 2))


def _without_holes(found: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """The connected part of what was found that covers most of the cell, its holes filled."""
    parts, count = ndimage.label(found)
    if count == 0:
        return found
    covered = np.bincount(parts[cell], minlength=count + 1)
    covered[0] = 0
    if not covered.any():
        return np.zeros_like(found)
    return ndimage.binary_fill_holes(parts == np.argmax(covered))


def _iou(found: np.ndarray, cell: np.ndarray) -> float:
    return float((found & cell).sum() / (found | cell).sum())


def _smooth(image: np.ndarray, voxel_size: Sequence[float]) -> np.ndarray:
    return ndimage.gaussian_filter(image.astype(np.float32), sigma_in_voxels(SMOOTHING, voxel_size))


def _watershed(image: np.ndarray, labels: np.ndarray, voxel_size: Sequence[float]) -> np.ndarray:
    """Cells found anew from the inner halves of the annotated ones, and from the background far from all."""
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


def summarise_audit(cells: pd.DataFrame, threshold: float = WELL_FOUND) -> dict[str, Any]:
    """Sum up the audit of many cells.

    Parameters
    ----------
    cells : DataFrame
        Of `audit_cells`.
    threshold : float
        IoU above which a cell lies where its mask is.

    Returns
    -------
    dict
        cells, their number; measured, those with a contrast; lost, those too dim; of the measured and kept ones the
        median displacement and the median of its absolute value, the median iou, and the share over the threshold;
        None where there are none.
    """
    measured = cells[cells["contrast"].notna()]
    kept = measured[~measured["lost"].astype(bool)]
    figures = {
        "contrast_to_noise_median": measured["contrast_to_noise"].median(),
        "displacement_median": kept["displacement"].median(),
        "displacement_abs_median": kept["displacement"].abs().median(),
        "iou_median": kept["iou"].median(),
        f"iou_above_{threshold:g}": (kept["iou"] > threshold).mean(),
    }
    counts = {"cells": len(cells), "measured": len(measured), "lost": int(measured["lost"].sum())}
    return counts | {key: None if pd.isna(value) else round(float(value), 4) for key, value in figures.items()}


def read_lost(paths: Iterable[PathLike]) -> dict[str, list[int]]:
    """Labels of the lost cells of each volume that has some, from tables of `audit_cells` with a column volume."""
    tables = [pd.read_csv(path) for path in paths]
    lost = pd.concat([table[table["lost"]] for table in tables]) if tables else pd.DataFrame(columns=["volume"])
    return {volume: cells["label"].tolist() for volume, cells in lost.groupby("volume")}
