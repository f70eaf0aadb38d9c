"""Do two models segment the same cells differently?"""

from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from .errors import InputError

NOTE = "a small p means the models differ; a large p does not mean they are alike"
_NUMBERS = (
    *("median_a", "median_b", "median_difference"),
    *("ranksum_statistic", "ranksum_p", "signed_rank_statistic", "signed_rank_p"),
)


def compare_ious(iou_a: np.ndarray, iou_b: np.ndarray) -> dict[str, Any]:
    """Compare the IoU of the same cells under two models.

    Parameters
    ----------
    iou_a, iou_b : array (cells,)
        IoU of each cell under either model, in the same order.

    Returns
    -------
    comparison : dict
        n_cells, median_a, median_b, median_difference (median of b - a over the cells);
        ranksum_statistic and ranksum_p, the two-sided Wilcoxon rank-sum test of Eschweiler et al. 2024
        (Mann and Whitney's U of a, corrected for ties), which ignores the pairing;
        signed_rank_statistic and signed_rank_p, the two-sided Wilcoxon signed-rank test on the pairs,
        equal pairs left out; note. None where there is no cell.

    Raises
    ------
    ValueError
        If the arrays differ in length.
    """
    iou_a, iou_b = np.asarray(iou_a, float), np.asarray(iou_b, float)
    if iou_a.shape != iou_b.shape:
        raise ValueError(f"paired samples differ in length: {iou_a.size} and {iou_b.size}")
    numbers: dict[str, float | None] = dict.fromkeys(_NUMBERS)
    if iou_a.size:
        numbers |= {"median_a": float(np.median(iou_a)), "median_b": float(np.median(iou_b))}
        numbers["median_difference"] = float(np.median(iou_b - iou_a))
        numbers["ranksum_statistic"], numbers["ranksum_p"] = _rank_sum(iou_a, iou_b)
        numbers["signed_rank_statistic"], numbers["signed_rank_p"] = _signed_rank(iou_a, iou_b)
    return {"n_cells": iou_a.size} | numbers | {"note": NOTE}


def _rank_sum(iou_a: np.ndarray, iou_b: np.ndarray) -> tuple[float, float]:
    if np.ptp(np.concatenate([iou_a, iou_b])) == 0:
        return iou_a.size * iou_b.size / 2, 1.0  # one value throughout: the variance of U is 0
    result = stats.mannwhitneyu(iou_a, iou_b, alternative="two-sided")
    return float(result.statistic), float(result.pvalue)


def _signed_rank(iou_a: np.ndarray, iou_b: np.ndarray) -> tuple[float, float]:
    difference = (iou_b - iou_a)[iou_a != iou_b]
    if difference.size == 0:
        return 0.0, 1.0  # SciPy gives NaN
    result = stats.wilcoxon(difference)
    return float(result.statistic), float(result.pvalue)


def compare_models(
    cells_a: pd.DataFrame, cells_b: pd.DataFrame, *, organism: str, model_a: str, model_b: str
) -> pd.DataFrame:
    """Compare two models on the cells of one organism.

    Parameters
    ----------
    cells_a, cells_b : DataFrame
        Columns image, label and iou, one row a reference cell, in any order.
    organism, model_a, model_b : str
        Names for the first columns.

    Returns
    -------
    comparison : DataFrame
        One row; the columns after the names are those of `compare_ious`.

    Raises
    ------
    InputError
        If the two tables do not hold the same cells.
    """
    key = ["image", "label"]
    ious_a, ious_b = cells_a.set_index(key)["iou"], cells_b.set_index(key)["iou"]
    if len(ious_a) != len(ious_b) or set(ious_a.index) != set(ious_b.index):
        raise InputError(
            f"{organism}: {model_a} was scored on {len(ious_a)} cells and {model_b} on {len(ious_b)}; "
            "a comparison needs the same cells of the same images"
        )
    names = {"organism": organism, "model_a": model_a, "model_b": model_b}
    return pd.DataFrame([names | compare_ious(ious_a, ious_b.reindex(ious_a.index))])
