"""Choose where to start and how much to blur, from the scores of a sweep and from what chance does to them."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from ..errors import InputError

ALPHA = 0.05  # intervals hold 1 - ALPHA
FEWEST_PIXELS = 1000  # of cells that a choice may rest on
FEWEST_WINDOWS = 6  # of which the interval holds what it says; it cannot reach beyond the windows that there are


class Draws(NamedTuple):
    """Scores of every point of a sweep, as often as its windows were drawn again with replacement.

    The same windows were drawn for every point, so differences of points are those of pairs.
    """

    divergence: np.ndarray
    """(points, draws), bits."""
    spectrum: np.ndarray
    """(points, draws), dB."""
    windows: np.ndarray
    """(points,), how many windows hold a cell."""


class Limits(NamedTuple):
    """How much a point may fall short."""

    max_divergence: float
    """Bits."""
    max_spectrum: float
    """dB."""
    max_lost: float
    """Share of the cells, beyond that of the point that loses fewest."""


def find_interval(draws: np.ndarray, windows: int) -> tuple[np.ndarray, np.ndarray]:
    """Find the 95 % interval over the last axis, wide enough for few windows.

    The percentile interval of a bootstrap of n windows is too narrow, since it takes the normal for Student's
    distribution and n for n - 1. Its percentiles are moved outwards by as much (Hesterberg 2015,
    doi:10.1080/00031305.2015.1089789). NaN where there are fewer than two windows.
    """
    if windows < 2:
        return np.full(draws.shape[:-1], np.nan), np.full(draws.shape[:-1], np.nan)
    tail = stats.norm.cdf(np.sqrt(windows / (windows - 1)) * stats.t.ppf(ALPHA / 2, windows - 1))
    low, high = np.nanquantile(draws, [tail, 1 - tail], axis=-1)
    return low, high


def choose_start(
    scores: pd.DataFrame, draws: Draws, limits: Limits, *, t_start: int | None = None, sigma: float | None = None
) -> dict[str, Any]:
    """Choose the earliest t_start, and for it the smallest sigma, of those that are good enough.

    1. Cells show: no more than `max_lost` of them are lost beyond those of the point that loses fewest.
    2. Of these, noised sketches look like noised images inside the cells: the divergence is shown to be at most
       `max_divergence`. If it is so nowhere, the points stay whose divergence is not shown to exceed the least.
    3. Of these, the power spectrum is not shown to be more than `max_spectrum` farther from the real one than that of
       the best.
    4. Of these, the earliest start keeps cells closest to their masks.

    Shown means that the 95 % interval over the windows says so, not the estimate alone.

    Parameters
    ----------
    scores : DataFrame
        Of `start_sweep.sweep`, one row per point; those without a network (t_start 0) are never chosen.
    draws : Draws
        Of the same points, in the same order.
    limits : Limits
    t_start, sigma : number, optional
        Where one is set already; it must be in the grid.

    Returns
    -------
    dict
        t_start, sigma, and all other columns of the row chosen; sketch_psnr and sketch_zncc, of its sketches without a
        network.

    Raises
    ------
    InputError
        If something is to be chosen and there are too few cells to do it by.
    """
    if t_start is None or sigma is None:
        _check_evidence(int(scores["pixels"].min()), int(draws.windows.min()))
    kept = scores["t_start"].to_numpy() > 0
    for name, value in (("t_start", t_start), ("sigma", sigma)):
        if value is not None:
            kept &= np.isclose(scores[name], value)
    lost = (scores["lost"] / scores["cells"].clip(lower=1)).to_numpy()
    kept &= lost <= lost[kept].min() + limits.max_lost
    alike = _find_alike(scores, draws, kept, limits.max_divergence)
    best = draws.spectrum[alike][np.argmin(scores["spectrum"][alike])]
    good = alike & ~(_find_limits(draws.spectrum - best, draws.windows.min())[0] > limits.max_spectrum)
    chosen = scores[good].sort_values(["t_start", "sigma"]).iloc[0]
    sketch = scores[(scores["t_start"] == 0) & (scores["sigma"] == chosen["sigma"])].iloc[0]
    of_sketch = {f"sketch_{name}": _plain(sketch[name]) for name in ("psnr", "zncc")}
    return {name: _plain(chosen[name]) for name in scores.columns} | {"t_start": int(chosen["t_start"])} | of_sketch


def _check_evidence(pixels: int, windows: int) -> None:
    if pixels < FEWEST_PIXELS:
        raise InputError(
            f"sweep: found {pixels} voxels of cells in {windows} windows of training images; a choice needs"
            f" {FEWEST_PIXELS}: raise sweep.images, or set generation.t_start and sketch.sigma"
        )
    if windows < FEWEST_WINDOWS:
        print(f"warning: the intervals rest on {windows} windows and are too narrow; give {FEWEST_WINDOWS} or more")


def _find_alike(scores: pd.DataFrame, draws: Draws, kept: np.ndarray, limit: float) -> np.ndarray:
    """Find the points, bool array (points,), whose sketches look like images, or come nearest to it."""
    windows = draws.windows.min()
    alike = kept & (_find_limits(draws.divergence, windows)[1] <= limit)
    if alike.any():
        return alike
    nearest = draws.divergence[kept][np.argmin(scores["divergence"][kept])]
    return kept & ~(_find_limits(draws.divergence - nearest, windows)[0] > 0)


def _find_limits(draws: np.ndarray, windows: int) -> tuple[np.ndarray, np.ndarray]:
    """Find the interval to decide by: of a single window, which has none, the estimate itself."""
    if windows < 2:
        return np.nanmedian(draws, axis=-1), np.nanmedian(draws, axis=-1)
    return find_interval(draws, windows)


def _plain(value: Any) -> Any:
    """Turn a value of a table into one of Python; a missing one into None."""
    return None if pd.isna(value) else getattr(value, "item", lambda: value)()


def tell_choice(choice: Mapping[str, Any]) -> str:
    """Say in a line what was chosen, and with which sampler it was scored."""
    return f"t_start {choice['t_start']}, sigma {choice['sigma']:g}, scored with {choice['sampler']}"
