"""Does what parts two touching cells show in the image: a valley between nuclei, a ridge between membranes?"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd

from ...geometry import VoxelSize
from .surroundings import scale_axes

BORDER_COLUMNS = ("first", "second", "voxels", "height", "error", "hidden")
CLEAR = 2.0  # distance from any third cell or background of the voxels that count, in voxels of the finest axis
COARSE = 2.0  # voxels longer than this, of the finest axis, do not resolve a valley or ridge across them
FEWEST_VOXELS = 6  # of a border that is measured
LEAST_HEIGHT = 0.18  # of a valley or ridge, as a fraction of the contrast
LEAST_ERRORS = 3.0  # the same in standard errors of the mean over the border


class Contacts(NamedTuple):
    """Voxels at which two cells touch: each stands at the border of its own cell, arrays (N,) and places (N, ndim)."""

    places: np.ndarray
    own: np.ndarray
    """Label of the cell that it lies in."""
    other: np.ndarray
    """Label of the cell beyond the border."""


def audit_borders(
    image: np.ndarray, labels: np.ndarray, voxel_size: VoxelSize, cells: pd.DataFrame, *, touching: bool
) -> pd.DataFrame:
    """Measure the valley or ridge on the border of each two touching cells.

    The mean over the voxels on both sides of the border is compared with the mean of the medians inside the two cells,
    which is what lies between them where nothing parts them. A nucleus that two masks share has no valley there; where
    a membrane is missing, there is no ridge.

    Parameters
    ----------
    image, labels, voxel_size
        See `cells.audit_cells`.
    cells : DataFrame
        Of `cells.audit_cells`.
    touching : bool
        Whether membranes are stained, and ridges looked for.

    Returns
    -------
    DataFrame
        Columns BORDER_COLUMNS, one row per border that can be measured:

        - the labels first and second, and the number of voxels;
        - height of the ridge over what is inside, as a fraction of the contrast of all membranes; for nuclei depth of
          the valley, as a fraction of the contrast of the two;
        - error, the standard error of the mean over the border, in the same unit;
        - hidden, whether height is below LEAST_HEIGHT or LEAST_ERRORS of its standard errors.

        Left out are borders of few voxels away from third cells and the background, those across slices that are far
        apart, and those of nuclei that are lost or unmeasured.
    """
    contacts = _keep_clear(labels, find_contacts(labels, voxel_size), scale_axes(voxel_size))
    borders = _average_borders(image, contacts)
    inside = _list_by_label(cells, "inside", chosen=None if touching else ~cells["lost"])
    between = inside[borders[["first", "second"]].to_numpy(int)].mean(axis=1)
    background = float((cells["inside"] - cells["contrast"]).median())
    contrast = np.full(len(borders), cells["contrast"].median()) if touching else between - background
    contrast[~(contrast > 0)] = np.nan
    sign = 1 if touching else -1
    height, error = sign * (borders["mean"] - between) / contrast, borders["error"] / contrast
    table = borders.assign(height=height, error=error, hidden=height < np.maximum(LEAST_HEIGHT, LEAST_ERRORS * error))
    kept = np.isfinite(table["height"]) & (table["voxels"] >= FEWEST_VOXELS)
    return table.loc[kept, list(BORDER_COLUMNS)].reset_index(drop=True)


def find_contacts(labels: np.ndarray, voxel_size: VoxelSize) -> Contacts:
    """Find the voxels whose face is that of a voxel of another cell, along axes that resolve what lies between."""
    found = []
    for axis, size in enumerate(scale_axes(voxel_size)):
        if size <= COARSE:
            found += list(_find_along(labels, axis))
    return Contacts(*(np.concatenate(part) for part in zip(*found, strict=True)))


def _find_along(labels: np.ndarray, axis: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    before, after = (np.moveaxis(labels, axis, 0)[part] for part in (slice(None, -1), slice(1, None)))
    places = np.argwhere((before != after) & (before > 0) & (after > 0))
    one, two = (side[tuple(places.T)].astype(np.int64) for side in (before, after))
    for own, other, shift in ((one, two, 0), (two, one, 1)):
        moved = places.copy()
        moved[:, 0] += shift
        yield np.insert(moved[:, 1:], axis, moved[:, 0], axis=1), own, other


def _keep_clear(labels: np.ndarray, contacts: Contacts, scale: np.ndarray) -> Contacts:
    """Leave out voxels near a third cell or the background, whose own boundary shows there."""
    reach = np.floor(CLEAR / scale).astype(int)
    steps = np.stack(np.meshgrid(*[np.arange(-n, n + 1) for n in reach], indexing="ij"), -1).reshape(-1, labels.ndim)
    last, clear = np.array(labels.shape) - 1, np.ones(len(contacts.own), bool)
    for step in steps[np.linalg.norm(steps * scale, axis=1) <= CLEAR]:
        near = labels[tuple(np.clip(contacts.places + step, 0, last).T)]
        clear &= (near == contacts.own) | (near == contacts.other)
    return Contacts(*(part[clear] for part in contacts))


def _average_borders(image: np.ndarray, contacts: Contacts) -> pd.DataFrame:
    """Mean intensity over the voxels of each border, and its standard error; by the two labels."""
    pairs = np.sort(np.stack([contacts.own, contacts.other]), axis=0)
    values = image[tuple(contacts.places.T)].astype(np.float64)
    voxels = pd.DataFrame({"first": pairs[0], "second": pairs[1], "value": values})
    table = voxels.groupby(["first", "second"])["value"].agg(["size", "mean", "sem"]).reset_index()
    return table.rename(columns={"size": "voxels", "sem": "error"})


def _list_by_label(cells: pd.DataFrame, column: str, chosen: pd.Series | None) -> np.ndarray:
    """List a column of the table of cells by label; NaN where there is no such cell, or it was not chosen."""
    values = np.full(int(cells["label"].max()) + 1 if len(cells) else 1, np.nan)
    values[cells["label"].to_numpy(int)] = cells[column] if chosen is None else cells[column].where(chosen)
    return values
