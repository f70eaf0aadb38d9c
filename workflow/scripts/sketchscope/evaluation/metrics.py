"""How well a segmentation fits its reference: IoU of each cell, average precision, panoptic quality, SEG, DET."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching, min_weight_full_bipartite_matching

from ..errors import InputError
from .overlaps import Overlaps, count_overlaps, keep_inside_field

AP_THRESHOLDS = tuple(twentieth / 20 for twentieth in range(10, 20))  # 0.5:0.05:0.95
IOU_COLUMNS = (
    *("image", "plane", "label", "area", "iou", "matched", "matched_area"),
    *("best_iou", "seg", "pieces", "sharing"),
)
WHOLE_IMAGE = -1  # in the column plane, where all of an image is labelled
_SPLIT_COST, _MISSED_COST, _FALSE_COST = 5, 10, 1  # weights of AOGM-D


class LabelPair(NamedTuple):
    """What is scored together."""

    name: str
    """Name of the image."""
    reference: np.ndarray
    """Labels (Z, Y, X) or (Y, X), 0 is background; those of one plane (Y, X) if `plane` says which."""
    predicted: np.ndarray
    """Labels (Z, Y, X) or (Y, X) of the whole image."""
    plane: int | None = None
    """Position along Z of the only plane that the reference covers; then it need not hold all cells of it."""


class Counts(NamedTuple):
    """True positives, false positives and false negatives at one IoU threshold."""

    tp: int
    fp: int
    fn: int

    @property
    def average_precision(self) -> float | None:
        """TP / (TP + FP + FN); None where there is neither a reference nor a predicted cell."""
        return self.tp / sum(self) if sum(self) else None


def best_iou(overlaps: Overlaps) -> np.ndarray:
    """Find the largest IoU of each reference cell with any predicted cell, array (R,); 0 where none overlaps.

    Two reference cells may share a predicted cell.
    """
    best = np.zeros(overlaps.reference.size)
    np.maximum.at(best, overlaps.row, overlaps.iou)
    return best


def match_cells(overlaps: Overlaps) -> tuple[np.ndarray, np.ndarray]:
    """Match reference and predicted cells one to one, such that the sum of their IoU is largest.

    Returns
    -------
    iou : array (R,)
        Of each reference cell with its match, 0 where it has none.
    matched : integer array (R,)
        Label of the match, 0 where there is none.
    """
    n_ref, n_pred = overlaps.reference.size, overlaps.predicted.size
    if n_ref == 0:
        return np.zeros(0), np.zeros(0, np.int64)
    # Each row has a spare column of its own that stands for "unmatched", so that a full matching always exists.
    # Every weight is raised by 1, because the solver takes a weight of 0 for a missing edge.
    rows = np.arange(n_ref)
    row = np.concatenate([overlaps.row, rows])
    column = np.concatenate([overlaps.column, n_pred + rows])
    weight = 1 + np.concatenate([overlaps.iou, np.zeros(n_ref)])
    graph = coo_array((weight, (row, column)), shape=(n_ref, n_pred + n_ref)).tocsr()
    row, column = min_weight_full_bipartite_matching(_use_int32_indices(graph), maximize=True)
    chosen = np.empty(n_ref, np.int64)
    chosen[row] = column
    kept = overlaps.column == chosen[overlaps.row]
    iou, matched = np.zeros(n_ref), np.zeros(n_ref, np.int64)
    iou[overlaps.row[kept]] = overlaps.iou[kept]
    matched[overlaps.row[kept]] = overlaps.predicted[overlaps.column[kept]]
    return iou, matched


def seg_scores(overlaps: Overlaps) -> np.ndarray:
    """Compute SEG of each reference cell, array (R,), as the Cell Tracking Challenge defines it.

    It is the IoU with the predicted cell that covers more than half of the reference cell, else 0
    (Maška et al. 2014, doi:10.1093/bioinformatics/btu080). At most one predicted cell covers that much.
    """
    seg = np.zeros(overlaps.reference.size)
    seg[overlaps.row[overlaps.covers]] = overlaps.iou[overlaps.covers]
    return seg


def detection_accuracy(images: Iterable[Overlaps]) -> float | None:
    """Compute DET of all images together, as the Cell Tracking Challenge defines it.

    DET is 1 - min(AOGM-D, AOGM-D0) / AOGM-D0 (Matula et al. 2015, doi:10.1371/journal.pone.0144959). AOGM-D is the
    cost of correcting the detections: 5 for every merged cell that must be split off, 10 for a missed cell, 1 for a
    false one. AOGM-D0 is the cost of adding all cells to an empty result. A cell is found where a predicted one
    covers more than half of it.

    Returns
    -------
    float or None
        None without a reference cell.
    """
    cost = n_reference = 0
    for overlaps in images:
        covered = overlaps.covered
        found, used = covered.sum(), np.count_nonzero(covered)
        cost += _SPLIT_COST * (found - used) + _FALSE_COST * (covered.size - used)
        cost += _MISSED_COST * (overlaps.reference.size - found)
        n_reference += overlaps.reference.size
    return max(0.0, 1 - float(cost) / (_MISSED_COST * n_reference)) if n_reference else None


def panoptic_quality(images: Iterable[Overlaps]) -> dict[str, float | None]:
    """Compute the panoptic quality of all images together (Kirillov et al. 2019, arXiv:1801.00868).

    Cells whose IoU exceeds 0.5 match. No cell has a second such partner.

    Returns
    -------
    dict
        sq, mean IoU of the matches; rq, TP / (TP + FP / 2 + FN / 2); pq, their product. None where a denominator is
        0.
    """
    ious, n_cells = [], 0
    for overlaps in images:
        ious.append(overlaps.iou[overlaps.iou > 0.5])
        n_cells += overlaps.reference.size + overlaps.predicted.size
    iou = np.concatenate([np.zeros(0), *ious])
    quality, recognised = (2 * float(total) / n_cells if n_cells else None for total in (iou.sum(), iou.size))
    return {"pq": quality, "sq": _mean_or_none(iou), "rq": recognised}


def count_matches(overlaps: Overlaps, threshold: float) -> Counts:
    """Count hits and misses at one threshold, as Cellpose and StarDist do.

    TP is the size of the largest one-to-one matching among the pairs whose IoU is at least `threshold`
    (Schmidt et al. 2018, arXiv:1806.03535; Stringer et al. 2021, doi:10.1038/s41592-020-01018-x).
    """
    n_ref, n_pred = overlaps.reference.size, overlaps.predicted.size
    hit = overlaps.iou >= threshold
    if not hit.any():
        return Counts(0, n_pred, n_ref)
    edges = (np.ones(hit.sum()), (overlaps.row[hit], overlaps.column[hit]))
    graph = _use_int32_indices(coo_array(edges, shape=(n_ref, n_pred)).tocsr())
    tp = int((maximum_bipartite_matching(graph, perm_type="column") >= 0).sum())
    return Counts(tp, n_pred - tp, n_ref - tp)


def tabulate_cells(overlaps: Overlaps) -> pd.DataFrame:
    """Make a table with one row per reference cell.

    Returns
    -------
    DataFrame
        - label, and area in voxels;
        - iou, of the matching of `match_cells`; matched and matched_area, the label of the match and its voxels, or 0;
        - best_iou, the largest IoU with any predicted cell, which several reference cells may share (the per-cell IoU
          of Eschweiler et al. 2024);
        - seg, of the Cell Tracking Challenge;
        - pieces, the predicted cells that lie mostly in this cell; it is split if they are several;
        - sharing, the reference cells, this one included, that lie mostly in the predicted cell that covers most of
          this one; they are merged if they are several, and 0 means that none covers it.

        For every cell best_iou >= iou and best_iou >= seg.
    """
    iou, matched = match_cells(overlaps)
    columns = {"label": overlaps.reference, "area": overlaps.reference_area, "iou": iou, "matched": matched}
    area = np.append(overlaps.predicted_area, 0)[np.searchsorted(overlaps.predicted, matched)]
    columns |= {"matched_area": np.where(matched > 0, area, 0)}
    sharing = np.zeros(overlaps.reference.size, np.int64)
    sharing[overlaps.row[overlaps.covers]] = overlaps.covered[overlaps.column[overlaps.covers]]
    columns |= {"best_iou": best_iou(overlaps), "seg": seg_scores(overlaps)}
    return pd.DataFrame(columns | {"pieces": overlaps.pieces, "sharing": sharing})


def score_overlaps(images: Sequence[Overlaps], thresholds: Sequence[float]) -> dict[str, Any]:
    """Score images in which all cells are annotated.

    Returns
    -------
    dict
        - ap50 and so on, by threshold in percent: the mean over images of each image's average precision, as in the
          Cellpose and StarDist papers;
        - ap_mean, the mean of those at 0.5, 0.55, ..., 0.95, and average_precision, these by threshold;
        - pq, sq, rq and det of all images together;
        - n_splits and n_merges, the reference cells that are split and the predicted cells that merge several;
        - size_ratio, the median size of a predicted cell over that of its reference cell, where their IoU exceeds 0.5.

        None where there is nothing to score.
    """
    curve = {f"{threshold:g}": _average_precision(images, threshold) for threshold in AP_THRESHOLDS}
    ratios = [image.predicted_area[image.column] / image.reference_area[image.row] for image in images]
    matched = [ratio[image.iou > 0.5] for ratio, image in zip(ratios, images, strict=True)]
    return {
        **{f"ap{100 * threshold:g}": _average_precision(images, threshold) for threshold in thresholds},
        "ap_mean": _mean_or_none([value for value in curve.values() if value is not None]),
        "average_precision": curve,
        **panoptic_quality(images),
        "det": detection_accuracy(images),
        "n_splits": sum(int((image.pieces > 1).sum()) for image in images),
        "n_merges": sum(int((image.covered > 1).sum()) for image in images),
        "size_ratio": _median_or_none(np.concatenate([np.zeros(0), *matched])),
    }


def score_images(
    images: Iterable[LabelPair], thresholds: Sequence[float], border: int
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Score several images, one in memory at a time.

    Parameters
    ----------
    images : iterable of LabelPair
        Or tuples like it. Where the reference holds only some cells of one plane, as the sparse gold truth of the
        Cell Tracking Challenge does, only that plane is scored, by the IoU and SEG of the annotated cells. A predicted
        cell without a partner may then be right.
    thresholds : sequence of float
        IoU thresholds in (0, 1].
    border : int
        Reference and predicted cells that lie wholly in a rim of this width, in voxels, do not count; see
        `keep_inside_field`.

    Returns
    -------
    cells : DataFrame
        Columns IOU_COLUMNS, one row per reference cell of any image; see `tabulate_cells`.
    scores : dict
        n_images_scored, n_planes_scored (of sparse truth), n_cells and border; seg and iou_median over all
        reference cells; all of `score_overlaps` over the images in which all cells are annotated; per_image, with
        the counts of each. None where there is nothing to score. The counts of an image in which all cells are
        annotated are n_reference and n_predicted; iou_sum, over the cells that match for the panoptic quality; and
        found_by_iou, TP at each of AP_THRESHOLDS.

    Raises
    ------
    InputError
        If the labels of an image do not fit each other, or the border leaves nothing of it.
    """
    tables, per_image, complete = [make_empty_table()], [], []
    for image in images:
        overlaps, plane = _count_in_field(LabelPair(*image), border)
        cells = tabulate_cells(overlaps).assign(image=image[0], plane=plane)
        tables.append(cells[list(IOU_COLUMNS)])
        if plane == WHOLE_IMAGE:
            complete.append(overlaps)
            scores = _score_image(overlaps, cells, thresholds)
        else:
            scores = {"plane": plane, "n_reference": len(cells), "seg": _mean_or_none(cells["seg"])}
        per_image.append({"image": image[0]} | scores)
    cells = pd.concat([table for table in tables if len(table)] or tables[:1], ignore_index=True)
    summary = {
        "n_images_scored": len({image["image"] for image in per_image}),
        "n_planes_scored": len(per_image) - len(complete),
        "n_cells": len(cells),
        "border": border,
        **_score_complete(complete, thresholds),
    }
    summary |= {"seg": _mean_or_none(cells["seg"]), "iou_median": _median_or_none(cells["iou"])}
    return cells, summary | {"per_image": per_image}


def make_empty_table() -> pd.DataFrame:
    """Make the table of cells of `score_images` without a row."""
    return pd.DataFrame(columns=list(IOU_COLUMNS))


def _use_int32_indices(graph: csr_array) -> csr_array:
    """Convert the indices of a graph to the only type that the matchings of csgraph accept in every SciPy."""
    graph.indices, graph.indptr = graph.indices.astype(np.int32), graph.indptr.astype(np.int32)
    return graph


def _average_precision(images: Sequence[Overlaps], threshold: float) -> float | None:
    values = [count_matches(image, threshold).average_precision for image in images]
    return _mean_or_none([value for value in values if value is not None])


def _score_image(overlaps: Overlaps, cells: pd.DataFrame, thresholds: Sequence[float]) -> dict[str, Any]:
    scores: dict[str, Any] = {
        "n_reference": len(cells),
        "n_predicted": overlaps.predicted.size,
        "seg": _mean_or_none(cells["seg"]),
    }
    scores["iou_sum"] = float(overlaps.iou[overlaps.iou > 0.5].sum())
    scores["found_by_iou"] = [count_matches(overlaps, threshold).tp for threshold in AP_THRESHOLDS]
    for threshold in thresholds:
        counts = count_matches(overlaps, threshold)
        scores |= {f"{name}{100 * threshold:g}": count for name, count in counts._asdict().items()}
    return scores | score_overlaps([overlaps], thresholds)


def _count_in_field(image: LabelPair, border: int) -> tuple[Overlaps, int]:
    """Count overlaps within the field of interest of an image or plane; return them and the plane."""
    plane = WHOLE_IMAGE if image.plane is None else image.plane
    predicted = image.predicted if image.plane is None else image.predicted[image.plane]
    try:
        fields = keep_inside_field(image.reference, border), keep_inside_field(predicted, border)
        return count_overlaps(*fields), plane
    except InputError as error:
        where = image.name if image.plane is None else f"{image.name}, plane {image.plane}"
        raise InputError(f"{where}: {error}") from None


def _score_complete(images: Sequence[Overlaps], thresholds: Sequence[float]) -> dict[str, Any]:
    """Score images in which all cells are annotated; without any, the counts are None, too."""
    scores = score_overlaps(images, thresholds)
    return scores if images else scores | {"n_splits": None, "n_merges": None}


def _mean_or_none(values: Sequence[float] | np.ndarray | pd.Series) -> float | None:
    return float(np.mean(values)) if len(values) else None


def _median_or_none(values: Sequence[float] | np.ndarray | pd.Series) -> float | None:
    return float(np.median(values)) if len(values) else None
