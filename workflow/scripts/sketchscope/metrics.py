"""How well a segmentation fits its reference: IoU of each cell, average precision, SEG.

Overlaps are counted as a list of the pairs of labels that touch, never as a labels x labels matrix,
so memory grows with the voxels and not with the square of the number of cells.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching, min_weight_full_bipartite_matching

from .errors import InputError

THRESHOLDS = (0.5, 0.75, 0.9)
CELL_COLUMNS = ("image", "label", "area", "iou", "matched", "best_iou", "seg")
_LARGEST_LABEL = 2**32 - 1


class Overlaps(NamedTuple):
    """Which of R reference cells overlap which of P predicted cells, as K pairs.

    `row` and `column` index `reference` and `predicted`; pairs come in the order of `row`.
    """

    reference: np.ndarray  # (R,) labels, ascending
    predicted: np.ndarray  # (P,) labels, ascending
    reference_area: np.ndarray  # (R,) voxels
    predicted_area: np.ndarray  # (P,) voxels
    row: np.ndarray  # (K,)
    column: np.ndarray  # (K,)
    voxels: np.ndarray  # (K,) voxels that the pair shares, at least 1

    @property
    def iou(self) -> np.ndarray:
        """Intersection over union of each pair, array (K,)."""
        union = self.reference_area[self.row] + self.predicted_area[self.column] - self.voxels
        return self.voxels / union


class Counts(NamedTuple):
    """True positives, false positives and false negatives at one IoU threshold."""

    tp: int
    fp: int
    fn: int

    @property
    def average_precision(self) -> float | None:
        """TP / (TP + FP + FN); None where there is neither a reference nor a predicted cell."""
        return self.tp / sum(self) if sum(self) else None


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
    foreground = (reference != 0) | (predicted != 0)
    pair = reference[foreground].astype(np.uint64) << np.uint64(32)
    pair |= predicted[foreground].astype(np.uint64)
    pair, voxels = np.unique(pair, return_counts=True)
    ref, pred = pair >> np.uint64(32), pair & np.uint64(_LARGEST_LABEL)
    both = (ref != 0) & (pred != 0)
    ref_labels, ref_area = _areas(ref, voxels)
    pred_labels, pred_area = _areas(pred, voxels)
    row, column = np.searchsorted(ref_labels, ref[both]), np.searchsorted(pred_labels, pred[both])
    return Overlaps(ref_labels, pred_labels, ref_area, pred_area, row, column, voxels[both])


def _check_labels(labels: np.ndarray, name: str) -> None:
    if not np.issubdtype(labels.dtype, np.integer):
        raise InputError(f"{name} labels are {labels.dtype}; integers are needed, 0 for background")
    if labels.size and (labels.min() < 0 or labels.max() > _LARGEST_LABEL):
        found = f"{labels.min()} to {labels.max()}"
        raise InputError(f"{name} labels run from {found}; 0 to {_LARGEST_LABEL} are allowed")


def _areas(labels: np.ndarray, voxels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct labels other than 0, ascending, and the voxels of each."""
    labels, voxels = labels[labels != 0], voxels[labels != 0]
    labels, index = np.unique(labels, return_inverse=True)
    area = np.zeros(labels.size, np.int64)
    np.add.at(area, index, voxels)
    return labels.astype(np.int64), area


def best_iou(overlaps: Overlaps) -> np.ndarray:
    """Largest IoU of each reference cell with any predicted cell, array (R,); 0 where none overlaps.

    Two reference cells may share a predicted cell.
    """
    best = np.zeros(overlaps.reference.size)
    np.maximum.at(best, overlaps.row, overlaps.iou)
    return best


def matched_iou(overlaps: Overlaps) -> tuple[np.ndarray, np.ndarray]:
    """IoU of each reference cell under the one-to-one matching with the largest sum of IoU.

    Returns
    -------
    iou : array (R,)
        0 where no predicted cell is left for a reference cell.
    matched : integer array (R,)
        Label of the predicted cell, 0 for none.
    """
    n_ref, n_pred = overlaps.reference.size, overlaps.predicted.size
    if n_ref == 0:
        return np.zeros(0), np.zeros(0, np.int64)
    # A private spare column per row stands for "unmatched", so that a full matching always exists;
    # every weight is raised by 1 because the solver takes a weight of 0 for a missing edge.
    rows = np.arange(n_ref)
    row = np.concatenate([overlaps.row, rows])
    column = np.concatenate([overlaps.column, n_pred + rows])
    weight = 1 + np.concatenate([overlaps.iou, np.zeros(n_ref)])
    graph = coo_array((weight, (row, column)), shape=(n_ref, n_pred + n_ref)).tocsr()
    row, column = min_weight_full_bipartite_matching(_int32_indices(graph), maximize=True)
    chosen = np.empty(n_ref, np.int64)
    chosen[row] = column
    kept = overlaps.column == chosen[overlaps.row]
    iou, matched = np.zeros(n_ref), np.zeros(n_ref, np.int64)
    iou[overlaps.row[kept]] = overlaps.iou[kept]
    matched[overlaps.row[kept]] = overlaps.predicted[overlaps.column[kept]]
    return iou, matched


def _int32_indices(graph: csr_array) -> csr_array:
    """The same graph with the only index type that csgraph's matchings accept in every SciPy."""
    graph.indices, graph.indptr = graph.indices.astype(np.int32), graph.indptr.astype(np.int32)
    return graph


def seg_scores(overlaps: Overlaps) -> np.ndarray:
    """SEG of each reference cell, array (R,), as the Cell Tracking Challenge defines it.

    The IoU with the predicted cell that covers more than half of the reference cell, else 0
    (Maška et al. 2014, doi:10.1093/bioinformatics/btu080). At most one predicted cell can.
    """
    covers = 2 * overlaps.voxels > overlaps.reference_area[overlaps.row]
    seg = np.zeros(overlaps.reference.size)
    seg[overlaps.row[covers]] = overlaps.iou[covers]
    return seg


def count_matches(overlaps: Overlaps, threshold: float) -> Counts:
    """Count hits and misses at one threshold, as Cellpose and StarDist do.

    TP is the size of the largest one-to-one matching among the pairs whose IoU is `threshold` or more
    (Schmidt et al. 2018, arXiv:1806.03535; Stringer et al. 2021, doi:10.1038/s41592-020-01018-x).
    """
    n_ref, n_pred = overlaps.reference.size, overlaps.predicted.size
    hit = overlaps.iou >= threshold
    if not hit.any():
        return Counts(0, n_pred, n_ref)
    edges = (np.ones(hit.sum()), (overlaps.row[hit], overlaps.column[hit]))
    graph = _int32_indices(coo_array(edges, shape=(n_ref, n_pred)).tocsr())
    tp = int((maximum_bipartite_matching(graph, perm_type="column") >= 0).sum())
    return Counts(tp, n_pred - tp, n_ref - tp)


def cell_table(overlaps: Overlaps) -> pd.DataFrame:
    """One row a reference cell.

    Columns: `label`; `area` in voxels; `iou`, of the one-to-one matching with the largest sum of IoU;
    `matched`, the predicted label of that matching or 0; `best_iou`, the largest overlap with any
    predicted cell, which several reference cells may share (the per-cell IoU of Eschweiler et al. 2024);
    `seg`, the Cell Tracking Challenge's value. For a given cell best_iou >= iou and best_iou >= seg.
    """
    iou, matched = matched_iou(overlaps)
    columns = {"label": overlaps.reference, "area": overlaps.reference_area, "iou": iou, "matched": matched}
    return pd.DataFrame(columns | {"best_iou": best_iou(overlaps), "seg": seg_scores(overlaps)})


def score_image(
    reference: np.ndarray, predicted: np.ndarray, thresholds: Sequence[float] = THRESHOLDS
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Score one image.

    Parameters
    ----------
    reference, predicted : integer array (Z, Y, X) or (Y, X)
        Instance labels, 0 is background.
    thresholds : sequence of float
        IoU thresholds in (0, 1]; 0.75 makes the keys ap75, tp75, fp75 and fn75.

    Returns
    -------
    cells : DataFrame
        See `cell_table`.
    scores : dict
        n_reference, n_predicted, seg (None without a reference cell), and ap, tp, fp, fn at each
        threshold (ap is None where there is nothing at all, 0 where all is false).

    Raises
    ------
    InputError
        See `count_overlaps`.
    """
    overlaps = count_overlaps(reference, predicted)
    cells = cell_table(overlaps)
    scores = {"n_reference": len(cells), "n_predicted": overlaps.predicted.size, "seg": _mean(cells["seg"])}
    for threshold in thresholds:
        counts = count_matches(overlaps, threshold)
        percent = f"{100 * threshold:g}"
        scores[f"ap{percent}"] = counts.average_precision
        scores |= {f"{name}{percent}": count for name, count in counts._asdict().items()}
    return cells, scores


def inside_field(labels: np.ndarray, border: int) -> np.ndarray:
    """Leave out the cells that do not reach into the field of interest, the image without a rim in the plane.

    The Cell Tracking Challenge annotates the cells that reach into the field of interest and takes all others out
    of the results before it scores them. The width of the rim is its parameter E, 25 pixels for Fluo-N2DL-HeLa
    ("Naming and file content conventions", public.celltrackingchallenge.net/documents).

    Parameters
    ----------
    labels : integer array (Z, Y, X) or (Y, X)
        Instance labels, 0 is background.
    border : int
        Width of the rim in Y and X, voxels; every slice of a stack has it.

    Returns
    -------
    array
        Labels of the same shape and dtype; cells that lie wholly within the rim are 0, all others whole.

    Raises
    ------
    InputError
        If the rim is negative or leaves no field.

    Examples
    --------
    >>> inside_field(np.array([[1, 1, 0, 2], [0, 0, 2, 2], [0, 0, 0, 0]]), 1)
    array([[0, 0, 0, 2],
           [0, 0, 2, 2],
           [0, 0, 0, 0]])
    """
    if border == 0:
        return labels
    if not 0 < 2 * border < min(labels.shape[-2:]):
        raise InputError(f"evaluation.border: found {border}, which leaves nothing of an image {labels.shape}")
    field = labels[..., border:-border, border:-border]
    return np.where(np.isin(labels, np.unique(field)), labels, 0)


def score_images(
    images: Iterable[tuple[str, np.ndarray, np.ndarray]],
    thresholds: Sequence[float] = THRESHOLDS,
    *,
    border: int = 0,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Score several images, one in memory at a time.

    Parameters
    ----------
    images : iterable of (name, reference, predicted)
        Instance labels (Z, Y, X) or (Y, X), see `score_image`.
    thresholds : sequence of float
        IoU thresholds in (0, 1].
    border : int
        Cells that lie wholly within so many voxels of the border in Y and X do not count, neither those of the
        reference nor those predicted; see `inside_field`.

    Returns
    -------
    cells : DataFrame
        Columns CELL_COLUMNS, one row a reference cell of any image; see `cell_table`.
    scores : dict
        n_images_scored, n_cells, border; ap50, ap75 and ap90, the mean over images of each image's average
        precision, as in the Cellpose and StarDist papers; seg and iou_median over all reference cells;
        per_image with the counts. None where there is nothing to score.

    Raises
    ------
    InputError
        If labels do not fit each other, or an image is all border; names the image.
    """
    tables, per_image = [pd.DataFrame(columns=list(CELL_COLUMNS))], []
    for name, reference, predicted in images:
        try:
            fields = inside_field(reference, border), inside_field(predicted, border)
            cells, scores = score_image(*fields, thresholds)
        except InputError as error:
            raise InputError(f"{name}: {error}") from None
        tables.append(cells.assign(image=name)[list(CELL_COLUMNS)])
        per_image.append({"image": name} | scores)
    cells = pd.concat([table for table in tables if len(table)] or tables[:1], ignore_index=True)
    summary = {"n_images_scored": len(per_image), "n_cells": len(cells), "border": border}
    for key in (f"ap{100 * threshold:g}" for threshold in thresholds):
        summary[key] = _mean([scores[key] for scores in per_image if scores[key] is not None])
    summary |= {"seg": _mean(cells["seg"]), "iou_median": _median(cells["iou"])}
    return cells, summary | {"per_image": per_image}


def _mean(values: Sequence[float] | pd.Series) -> float | None:
    return float(np.mean(values)) if len(values) else None


def _median(values: Sequence[float] | pd.Series) -> float | None:
    return float(np.median(values)) if len(values) else None
