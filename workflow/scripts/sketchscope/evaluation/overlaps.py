"""Which cells of a segmentation overlap which cells of its reference, and by how many voxels.

Overlaps are counted as a list of the pairs of labels that touch, never as a labels x labels matrix,
so memory grows with the voxels and not with the square of the number of cells.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from ..errors import InputError

_LARGEST_LABEL = 2**32 - 1


class Overlaps(NamedTuple):
    """Which of R reference cells overlap which of P predicted cells, as K pairs in the order of the reference."""

    reference: np.ndarray
    """Labels (R,), ascending."""
    predicted: np.ndarray
    """Labels (P,), ascending."""
    reference_area: np.ndarray
    """Voxels of each reference cell, (R,)."""
    predicted_area: np.ndarray
    """Voxels of each predicted cell, (P,)."""
    row: np.ndarray
    """Index into `reference` of each pair, (K,)."""
    column: np.ndarray
    """Index into `predicted` of each pair, (K,)."""
    voxels: np.ndarray
    """Voxels that each pair shares, at least 1, (K,)."""

    @property
    def iou(self) -> np.ndarray:
        """Intersection over union of each pair, array (K,)."""
        union = self.reference_area[self.row] + self.predicted_area[self.column] - self.voxels
        return self.voxels / union

    @property
    def covers(self) -> np.ndarray:
        """Whether each pair shares more than half of its reference cell, array (K,); one pair per cell at most."""
        return 2 * self.voxels > self.reference_area[self.row]

    @property
    def contains(self) -> np.ndarray:
        """Whether each pair shares more than half of its predicted cell, array (K,); one pair per cell at most."""
        return 2 * self.voxels > self.predicted_area[self.column]

    @property
    def pieces(self) -> np.ndarray:
        """Number of predicted cells that lie mostly in each reference cell, array (R,); with several it is split."""
        return np.bincount(self.row[self.contains], minlength=self.reference.size)

    @property
    def covered(self) -> np.ndarray:
        """Number of reference cells that lie mostly in each predicted cell, array (P,); several are merged."""
        return np.bincount(self.column[self.covers], minlength=self.predicted.size)


def count_overlaps(reference: np.ndarray, predicted: np.ndarray) -> Overlaps:
    """Count the voxels that each pair of cells shares.

    Parameters
    ----------
    reference, predicted : integer array (Z, Y, X) or (Y, X)
        Instance labels, 0 is background; labels need not be consecutive.

    Raises
    ------
    InputError
        If the shapes differ or an array does not hold labels.
    """
    if reference.shape != predicted.shape:
        raise InputError(f"predicted labels have shape {predicted.shape}, the reference {reference.shape}")
    _check_labels(reference, "reference")
    _check_labels(predicted, "predicted")
    reference, predicted = reference.ravel(), predicted.ravel()
    first, length = _find_runs(reference, predicted)
    pair = reference[first].astype(np.uint64) << np.uint64(32)
    pair |= predicted[first].astype(np.uint64)
    pair, voxels = _sum_counts(pair, length)
    ref, pred = pair >> np.uint64(32), pair & np.uint64(_LARGEST_LABEL)
    both = (ref != 0) & (pred != 0)
    ref_labels, ref_area = _measure_areas(ref, voxels)
    pred_labels, pred_area = _measure_areas(pred, voxels)
    row, column = np.searchsorted(ref_labels, ref[both]), np.searchsorted(pred_labels, pred[both])
    return Overlaps(ref_labels, pred_labels, ref_area, pred_area, row, column, voxels[both])


def keep_inside_field(labels: np.ndarray, border: int) -> np.ndarray:
    """Keep the cells that reach into the field of interest: the image without a rim in the plane.

    The Cell Tracking Challenge annotates these cells, and removes all others from the results before it scores them.
    The width of the rim is its parameter E, 25 pixels for Fluo-N2DL-HeLa ("Naming and file content conventions",
    public.celltrackingchallenge.net/documents).

    Parameters
    ----------
    labels : integer array (Z, Y, X) or (Y, X)
        Instance labels, 0 is background.
    border : int
        Width of the rim in Y and X, voxels, in every slice of a stack.

    Returns
    -------
    array
        Labels of the same shape and dtype. Cells that lie wholly within the rim are 0; all others are whole.

    Raises
    ------
    InputError
        If the rim is negative or leaves no field.

    Examples
    --------
    >>> keep_inside_field(np.array([[1, 1, 0, 2], [0, 0, 2, 2], [0, 0, 0, 0]]), 1)
    array([[0, 0, 0, 2],
           [0, 0, 2, 2],
           [0, 0, 0, 0]])
    """
    if border == 0:
        return labels
    if not 0 < 2 * border < min(labels.shape[-2:]):
        raise InputError(f"evaluation.border: found {border}, which leaves nothing of an image {labels.shape}")
    field, flat = labels[..., border:-border, border:-border].ravel(), labels.ravel()
    inside = np.unique(field[_find_runs(field)[0]])
    first, length = _find_runs(flat)
    kept = np.where(np.isin(flat[first], inside), flat[first], 0).astype(labels.dtype)
    return np.repeat(kept, length).reshape(labels.shape)


def _check_labels(labels: np.ndarray, name: str) -> None:
    if not np.issubdtype(labels.dtype, np.integer):
        raise InputError(f"{name} labels are {labels.dtype}; integers are needed, 0 for background")
    if labels.size and (labels.min() < 0 or labels.max() > _LARGEST_LABEL):
        found = f"{labels.min()} to {labels.max()}"
        raise InputError(f"{name} labels run from {found}; 0 to {_LARGEST_LABEL} are allowed")


def _find_runs(*arrays: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First index and length of each stretch within which none of the flat arrays changes.

    Cells are solid, so a volume has many times fewer such stretches than voxels.
    """
    begins = np.ones(arrays[0].size, bool)
    begins[1:] = False
    for array in arrays:
        begins[1:] |= array[1:] != array[:-1]
    first = np.flatnonzero(begins)
    return first, np.diff(first, append=begins.size)


def _sum_counts(keys: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct keys, ascending, and the sum of the counts of each."""
    total = pd.Series(counts).groupby(keys).sum()  # hashing takes a fifth of the time of sorting
    return total.index.to_numpy(keys.dtype), total.to_numpy(np.int64)


def _measure_areas(labels: np.ndarray, voxels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct labels other than 0, ascending, and the voxels of each."""
    labels, area = _sum_counts(labels[labels != 0], voxels[labels != 0])
    return labels.astype(np.int64), area
