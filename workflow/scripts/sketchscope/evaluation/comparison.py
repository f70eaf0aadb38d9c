"""Do two models segment the same images differently, and is the difference large enough to matter?

The verdict is about the panoptic quality of independent units, since the IoU of reference cells does not see false
cells, and since frames of one movie are no independent observations.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ..errors import InputError
from .decision import decide, explain
from .paired_tests import (
    Numbers,
    bootstrap_by_unit,
    compare_cells,
    compare_units,
    correct_holm,
    estimate_shift,
    rank_biserial,
)
from .units import (
    Segmented,
    choose_quantity,
    compare_halves,
    linearise,
    name_unit,
    pair_terms,
    pool_ious,
    pool_precision,
    pool_units,
)

NOTE = (
    "a small p says that the models differ, not that they are comparable; the verdict rests on the units, "
    "which must be independent"
)
CELL_KEY = ["image", "plane", "label"]  # the columns that identify a cell
P_VALUES = ("difference_p", "equivalence_p")


def compare_pair(
    models: tuple[Segmented, Segmented], groups: Mapping[str, str], names: Sequence[str], *, margin: float, seed: int
) -> dict[str, Any]:
    """Compare two models on the same images; every difference is a - b.

    Parameters
    ----------
    models : tuple of Segmented
        Model a and model b.
    groups : mapping of str to str
        The unit of each image: images of one unit may depend on each other; units must be independent.
    names : sequence of str
        Organism, model a and model b, for errors.
    margin : float
        Largest difference of the quantity at which models still count as equivalent.
    seed : int
        Of the bootstrap.

    Returns
    -------
    comparison : dict
        - verdict, of `decide` without correction for other comparisons;
        - quantity, of `choose_quantity`; unit, of `name_unit`; n_units, n_images, n_cells and margin;
        - quality_a and quality_b, means over units; all of `compare_units`, with the interval of `compare_halves`
          where there is one unit; interval, which of the two it is;
        - ap_a, ap_b, iou_a, iou_b, means over units, and their differences;
        - all of `estimate_shift`, over units, and of `compare_cells`; rank_biserial_low and rank_biserial_high, its
          interval over units; note.

        None where there are too few units or cells.

    Raises
    ------
    InputError
        If the models were not scored on the same images and cells.
    """
    iou_a, iou_b, images = _pair_ious(models, names)
    terms = pair_terms(*models, groups, names)
    units = pool_units(terms)
    terms = terms[terms["group"].isin(units.index)]
    differences = units["difference"].to_numpy()
    numbers = compare_units(differences, margin)
    if len(units) == 1:
        numbers |= dict(zip(("difference_low", "difference_high"), compare_halves(linearise(terms)), strict=True))
    clusters = pd.Series(iou_a - iou_b).groupby([groups[image] for image in images])
    return {
        "verdict": decide(len(units), *(numbers[name] for name in ("difference", *P_VALUES))),
        "quantity": choose_quantity(models[0].images),
        "unit": name_unit(terms["group"]),
        "n_units": len(units),
        "n_images": len(terms),
        "n_cells": iou_a.size,
        "margin": margin,
        **{f"quality_{model}": _average(units[f"quality_{model}"]) for model in "ab"},
        **numbers,
        "interval": _name_interval(len(units), numbers),
        **_compare_scores(models, groups),
        **estimate_shift(differences),
        **compare_cells(iou_a, iou_b),
        **_bootstrap_rank_biserial([cluster.to_numpy() for _, cluster in clusters], seed),
        "note": NOTE,
    }


def compare_baselines(
    models: Mapping[str, Segmented], groups: Mapping[str, str], *, organism: str, margin: float, seed: int
) -> pd.DataFrame:
    """Compare one model with each of several others on the images of one organism.

    Parameters
    ----------
    models : mapping of str to Segmented
        By model, first the one that is compared with the others.
    groups : mapping of str to str
        The unit of each image.
    organism : str
        Name of the organism.
    margin, seed
        See `compare_pair`.

    Returns
    -------
    DataFrame
        One row per other model. Columns organism, model_a (the first model) and model_b, then those of
        `compare_pair`, with the p-values and the verdict of `correct_family` over all rows.

    Raises
    ------
    InputError
        If the models were not scored on the same images and cells.
    """
    first, *others = models
    empty = Segmented(pd.DataFrame(columns=[*CELL_KEY, "iou"]), [])
    nothing = compare_pair((empty, empty), {}, [organism, first, first], margin=margin, seed=seed)
    rows = [
        {"organism": organism, "model_a": first, "model_b": other}
        | compare_pair((models[first], models[other]), groups, [organism, first, other], margin=margin, seed=seed)
        for other in others
    ]
    return correct_family(pd.DataFrame(rows, columns=["organism", "model_a", "model_b", *nothing]))


def compare_organisms(comparisons: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Gather the comparisons of all organisms and correct for their number.

    Parameters
    ----------
    comparisons : sequence of DataFrame
        Of `compare_baselines`, one for each organism.

    Returns
    -------
    DataFrame
        One row per organism and baseline, with the p-values and the verdict of `correct_family` over all rows; and a
        sentence on it.
    """
    rows = [row for comparison in comparisons for row in comparison.to_dict("records")]
    table = correct_family(pd.DataFrame(rows, columns=comparisons[0].columns))
    table["sentence"] = [explain(row) for _, row in table.iterrows()]
    return table


def correct_family(table: pd.DataFrame) -> pd.DataFrame:
    """Correct the p-values of all rows and of both questions together, and decide by what results.

    Parameters
    ----------
    table : DataFrame
        Rows of `compare_pair`.

    Returns
    -------
    DataFrame
        With difference_p_holm and equivalence_p_holm (Holm 1979, www.jstor.org/stable/4615733), one family of twice
        as many tests as rows, and with the verdict by these.
    """
    p = table[list(P_VALUES)].to_numpy(float)
    corrected = pd.DataFrame(correct_holm(p.ravel()).reshape(p.shape), columns=[f"{name}_holm" for name in P_VALUES])
    places = {name: table.columns.get_loc("equivalence_p") + 1 for name in corrected if name not in table}
    table = table.reset_index(drop=True)
    for name, place in reversed(places.items()):
        table.insert(place, name, 0.0)
    table[corrected.columns] = corrected
    decided = table[["n_units", "difference", *corrected.columns]].itertuples(index=False)
    return table.assign(verdict=[decide(*numbers) for numbers in decided])


def _name_interval(n_units: int, numbers: Numbers) -> str | None:
    """Say what difference_low and difference_high are."""
    if numbers["difference_low"] is None:
        return None
    return "95 %, Student's t over units" if n_units > 1 else "the two halves of one movie or specimen"


def _compare_scores(models: tuple[Segmented, Segmented], groups: Mapping[str, str]) -> Numbers:
    """Compare two further scores of the units, which no verdict rests on: average precision and IoU."""
    scores = {
        "ap": [pool_precision(model.images, groups) for model in models],
        "iou": [pool_ious(model.cells, groups) for model in models],
    }
    numbers: Numbers = {}
    for name, (of_a, of_b) in scores.items():
        numbers |= {
            f"{name}_a": _average(of_a),
            f"{name}_b": _average(of_b),
            f"{name}_difference": _average(of_a - of_b),
        }
    return numbers


def _pair_ious(models: tuple[Segmented, Segmented], names: Sequence[str]) -> tuple[np.ndarray, np.ndarray, pd.Index]:
    """Find the IoU of each cell under either model, and the image of each cell.

    Raises
    ------
    InputError
        If the tables of the two models do not hold the same cells.
    """
    ious_a, ious_b = (model.cells.set_index(CELL_KEY)["iou"].astype(float).sort_index() for model in models)
    if not ious_a.index.equals(ious_b.index):
        organism, model_a, model_b = names
        raise InputError(
            f"{organism}: {model_a} was scored on {len(ious_a)} cells and {model_b} on {len(ious_b)}; "
            "a comparison needs the same cells of the same images"
        )
    return ious_a.to_numpy(), ious_b.to_numpy(), ious_a.index.get_level_values("image")


def _bootstrap_rank_biserial(clusters: Sequence[np.ndarray], seed: int) -> Numbers:
    if len(clusters) < 2:
        return {"rank_biserial_low": None, "rank_biserial_high": None}
    low, high = bootstrap_by_unit(clusters, rank_biserial, seed)
    return {"rank_biserial_low": low, "rank_biserial_high": high}


def _average(values: pd.Series) -> float | None:
    values = values.dropna()
    return float(values.mean()) if len(values) else None
