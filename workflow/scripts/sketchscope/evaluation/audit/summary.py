"""The audit of many images in a few figures."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from ...io.atomic import PathLike
from .alarms import name_faults
from .cells import AXES

COUNTED = ("split", "unlabelled", "borders", "hidden_borders")
FOUND = (0.7, 0.9)  # IoU above which a cell lies well, and very well, where its mask is


def summarise_audit(cells: pd.DataFrame, images: pd.DataFrame | None = None) -> dict[str, Any]:
    """Sum up the audit of many cells and images.

    Parameters
    ----------
    cells : DataFrame
        Of `cells.audit_cells`.
    images : DataFrame, optional
        The rows `image` of `pairs.audit_pair`.

    Returns
    -------
    dict
        cells, their number; measured, those with a contrast; lost, those too dim, and lost_share; rounded_share, with
        less noise than rounding leaves; contrast_to_noise_median of the measured cells. Of the measured cells that are
        not lost: displacement_median; displacement_abs_median, of the absolute values; iou_median; iou_above_0.7 and
        iou_above_0.9, shares; offset_median, of the lengths; shift_z, shift_y, shift_x, the mean offset, and shift, its
        length; split, masks with two cells, and split_share. With images: unlabelled, cells without a mask;
        unlabelled_per_image; unlabelled_share, of all cells that have a mask or show; borders and hidden_borders of
        touching cells; hidden_share. warnings, a list of what is wrong (`alarms.name_faults`). None where there is
        nothing to measure.
    """
    measured = cells[cells["contrast"].notna()]
    kept = measured[~measured["lost"].astype(bool)]
    counts = {"cells": len(cells), "measured": len(measured), "lost": int(measured["lost"].sum())}
    figures = _describe_contrast(measured) | _describe_fit(kept) | _describe_places(kept)
    figures |= {} if images is None else _describe_images(images)
    rounded = {key: None if pd.isna(value) else round(float(value), 4) for key, value in figures.items()}
    whole = {key: int(rounded[key] or 0) for key in COUNTED if key in rounded}
    summary: dict[str, Any] = counts | rounded | whole
    return summary | {"warnings": name_faults(summary)}


def read_lost(paths: Iterable[PathLike]) -> dict[str, list[int]]:
    """Read the labels of the lost cells of each volume that has some, from tables of `audit_cells` by volume."""
    tables = [pd.read_csv(path) for path in paths]
    lost = pd.concat([table[table["lost"]] for table in tables]) if tables else pd.DataFrame(columns=["volume"])
    return {str(volume): cells["label"].tolist() for volume, cells in lost.groupby("volume")}


def _describe_contrast(measured: pd.DataFrame) -> dict[str, float]:
    return {
        "contrast_to_noise_median": measured["contrast_to_noise"].median(),
        "lost_share": measured["lost"].astype(float).mean(),
        "rounded_share": measured["rounded"].astype(float).mean(),
    }


def _describe_fit(kept: pd.DataFrame) -> dict[str, float]:
    return {
        "displacement_median": kept["displacement"].median(),
        "displacement_abs_median": kept["displacement"].abs().median(),
        "iou_median": kept["iou"].median(),
        **{f"iou_above_{least:g}": (kept["iou"] > least).mean() for least in FOUND},
    }


def _describe_places(kept: pd.DataFrame) -> dict[str, float]:
    means = {axis: kept[f"offset_{axis}"].astype(float).mean() for axis in AXES}
    length = np.sqrt(np.nansum(np.square(list(means.values())))) if kept["offset"].notna().any() else np.nan
    return {
        "offset_median": kept["offset"].astype(float).median(),
        **{f"shift_{axis}": mean for axis, mean in means.items()},
        "shift": length,
        "split": kept["split"].astype(float).sum(),
        "split_share": kept["split"].astype(float).mean(),
    }


def _describe_images(images: pd.DataFrame) -> dict[str, float]:
    count = {name: images[name].sum() for name in ("cells", "unlabelled", "borders", "hidden_borders")}
    shown = count["cells"] + count["unlabelled"]
    return {
        "unlabelled": count["unlabelled"],
        "unlabelled_per_image": count["unlabelled"] / len(images) if len(images) else np.nan,
        "unlabelled_share": count["unlabelled"] / shown if shown else np.nan,
        "borders": count["borders"],
        "hidden_borders": count["hidden_borders"],
        "hidden_share": count["hidden_borders"] / count["borders"] if count["borders"] else np.nan,
    }
