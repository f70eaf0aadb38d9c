"""What holds of a model beside another one, in a word and in a sentence."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from .paired_tests import ALPHA
from .units import ONE_IMAGE, SEG

NO_VERDICT = "no verdict"
QUALITIES = {"PQ": "panoptic quality", "SEG": "SEG of the annotated cells"}
WITHIN_MOVIE = (82, 94)  # per cent of simulated movies whose interval held the truth, benchmarks/null.json


def decide(n_units: int, difference: float | None, difference_p: float | None, equivalence_p: float | None) -> str:
    """Say in a word what holds of model a beside model b.

    Returns
    -------
    str
        no verdict, if there are fewer than two units; equivalent, if the difference is shown to be within the margin,
        whether it is zero or not; else better or worse, if there is a difference; else undecided: the units are too
        few to tell. No true difference is both zero and beyond the margin, so at most one of the two tests can err.

    Examples
    --------
    >>> decide(8, 0.01, 0.001, 0.0001), decide(8, -0.2, 0.001, 0.9), decide(8, 0.01, 0.4, 0.2)
    ('equivalent', 'worse', 'undecided')
    >>> decide(1, 0.3, None, None)
    'no verdict'
    """
    if n_units < 2 or difference is None:
        return NO_VERDICT
    if equivalence_p is not None and equivalence_p < ALPHA:
        return "equivalent"
    if difference_p is not None and difference_p < ALPHA:
        return "better" if difference > 0 else "worse"
    return "undecided"


def explain(row: pd.Series) -> str:
    """Say in one sentence what a row of `compare_organisms` or `compare_baselines` means.

    Examples
    --------
    >>> numbers = {"difference": 0.0125, "difference_low": -0.001, "difference_high": 0.026, "margin": 0.05}
    >>> names = {"model_a": "sketchscope", "model_b": "classical", "verdict": "equivalent", "quantity": "PQ"}
    >>> explain(pd.Series(names | numbers | {"unit": "image", "n_units": 8}))  # doctest: +NORMALIZE_WHITESPACE
    'sketchscope is equivalent to classical: its panoptic quality is 0.013 higher (95 % interval -0.001 to 0.026,
    8 images), within the margin of 0.05'
    """
    if pd.isna(row["difference"]):
        return f"{NO_VERDICT}: no test image has a cell to compare"
    if row["verdict"] == NO_VERDICT:
        return _describe(row)
    low, high = row["difference_low"], row["difference_high"]
    interval = f"(95 % interval {low:.3f} to {high:.3f}, {count_units(row)})"
    opening, closing = {
        "equivalent": ("is equivalent to", f"within the margin of {row['margin']:g}"),
        "better": ("is better than", "more than chance explains"),
        "worse": ("is worse than", "more than chance explains"),
        "undecided": ("may be as good as, better or worse than", f"too few {_name_units(row)} to tell"),
    }[row["verdict"]]
    difference = f"its {_say_difference(row)} {interval}"
    return f"{row['model_a']} {opening} {row['model_b']}: {difference}, {closing}{_warn_sparse(row)}"


def count_units(row: Mapping[str, Any]) -> str:
    """Say how many units there are, and of what kind.

    >>> count_units({"n_units": 8, "unit": "image"}), count_units({"n_units": 1, "unit": "movie or specimen"})
    ('8 images', '1 movie or specimen')
    """
    return f"{row['n_units']} {row['unit'] if row['n_units'] == 1 else _name_units(row)}"


def _describe(row: pd.Series) -> str:
    """Describe a difference within one movie or specimen."""
    where = "there is one test image" if row["n_images"] == 1 else "all test images are of one movie or specimen"
    said = f"{NO_VERDICT}: {where}; there the {_say_difference(row, of=row['model_a'])} than that of {row['model_b']}"
    if pd.notna(row["difference_low"]):
        low, high = WITHIN_MOVIE
        said += (
            f" (interval from the two halves of its {row['n_images']} images: {row['difference_low']:.3f} to "
            f"{row['difference_high']:.3f}; such an interval, meant to hold the mean of the movie in 95 %, held it in "
            f"{low} to {high} % of simulated movies), which says nothing about other movies"
        )
    return said + _warn_sparse(row)


def _say_difference(row: pd.Series, of: str | None = None) -> str:
    owner = f" of {of}" if of else ""
    direction = "higher" if row["difference"] >= 0 else "lower"
    return f"{QUALITIES[row['quantity']]}{owner} is {abs(row['difference']):.3f} {direction}"


def _name_units(row: Mapping[str, Any]) -> str:
    return "images" if row["unit"] == ONE_IMAGE else "movies or specimens"


def _warn_sparse(row: pd.Series) -> str:
    return "; only some cells are annotated, so false cells are not seen" if row["quantity"] == SEG else ""
