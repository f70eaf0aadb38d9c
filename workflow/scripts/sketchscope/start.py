"""The start and the blur that are chosen by the scores of a sweep; what is taken where a setting is auto."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from .files import PathLike, read_json

AUTO = "auto"  # in place of a number: to be chosen or measured


def settle(settings: Mapping[str, Any], files: Sequence[PathLike]) -> dict[str, Any]:
    """Settings in which what is auto has become what was found, read from JSON files with these keys."""
    chosen = {key: value for file in files for key, value in read_json(file).items()}
    return {key: chosen[key] if value == AUTO else value for key, value in settings.items()}


def choose_start(
    scores: pd.DataFrame,
    max_divergence: float,
    max_spectrum: float,
    *,
    t_start: int | str = AUTO,
    sigma: float | str = AUTO,
) -> dict[str, Any]:
    """Choose the earliest t_start, and for it the smallest sigma, of those that are good enough.

    Good enough is where noised sketches cannot be told from noised images, a divergence of at most `max_divergence`
    (or the least there is), and of these, where the generated images have the texture of real ones, a spectrum at most
    `max_spectrum` farther from theirs than the best. The earliest such start keeps cells closest to their masks.

    Parameters
    ----------
    scores : DataFrame
        Rows of `sweep.sweep`.
    max_divergence : float
        Bits.
    max_spectrum : float
        dB.
    t_start, sigma : number or 'auto'
        A number is set already, and must be in the grid.

    Returns
    -------
    dict
        t_start, sigma, and all other columns of the row chosen.
    """
    for name, value in (("t_start", t_start), ("sigma", sigma)):
        if value != AUTO:
            scores = scores[np.isclose(scores[name], value)]
    alike = scores[scores["divergence"] <= max(max_divergence, scores["divergence"].min())]
    good = alike[alike["spectrum"] <= alike["spectrum"].min() + max_spectrum]
    chosen = good.sort_values(["t_start", "sigma"]).iloc[0]
    return {name: chosen[name].item() for name in scores.columns} | {"t_start": int(chosen["t_start"])}
