"""How often each test calls two equal models different, when cells of an image or frames of a movie are alike.

    python benchmarks/null.py benchmarks/null.json --page docs/statistics.md

First simulation: both models see the same simulated cells. The IoU of a cell is a logistic function of three terms: its
own difficulty, its image, and how well the model does on this image. The cells of an image share the last two. Some
cells are lost, and some are false. Images are independent, so each is a unit.

Second simulation: the panoptic quality of a frame is an AR(1) series in time, one for each model. A movie is a unit.

Without an effect the models are exchangeable, so a test that rejects more or less often than 5 % does not keep its
level. With an effect the same rates show the power of the tests; with an effect as large as the margin they show the
level of the equivalence test. Coverage is how often the 95 % interval contains the true value.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow/scripts"))
from sketchscope.evaluation.paired_tests import ALPHA, DRAWS, compare_units, estimate_shift
from sketchscope.evaluation.units import TERMS, compare_halves, linearise, pool_units

MARGIN = 0.05
CELLS = (100, 250)  # of an image
LOST = 0.04  # share of the cells that a model does not find
SCATTER = {"cell": 0.6, "image": 0.3, "noise": 0.5}  # standard deviations of the logit of the IoU
FALSE = 0.04  # false cells, by cell
FRAME = {"mean": 0.75, "sd": 0.04}  # of the panoptic quality of a frame
TESTS = {
    "units_t": "Student's t over images (the verdict)",
    "units_signed_rank": "signed-rank over images",
    "cells_signed_rank": "signed-rank over cells",
    "cells_ranksum": "rank-sum over cells (the paper)",
    "equivalence": "two one-sided t over images",
    "covered_t": "t interval covers",
    "covered_bootstrap": "bootstrap interval covers",
}
MOVIE_TESTS = {
    "units_t": "Student's t over movies (the verdict)",
    "frames_t": "Student's t over frames",
    "equivalence": "two one-sided t over movies",
    "covered_halves": "interval from two halves covers",
    "covered_ar1": "t interval corrected for AR(1) covers",
    "covered_blocks": "moving-block bootstrap covers",
}
MARKS = ("<!-- begin of benchmarks/null.py -->", "<!-- end of benchmarks/null.py -->")
MOVIE_MARKS = ("<!-- begin of movies of benchmarks/null.py -->", "<!-- end of movies of benchmarks/null.py -->")


class Setting(NamedTuple):
    """One kind of experiment."""

    name: str
    images: int
    scatter: float
    """Standard deviation between images of how well a model does, on the logit scale."""
    shift: float
    """True difference of the quality."""


class Movies(NamedTuple):
    """One kind of experiment with frames of movies."""

    name: str
    movies: int
    frames: int
    """Of each movie."""
    correlation: float
    """Of neighbouring frames."""
    shift: float
    """True difference of the quality."""


SETTINGS = (
    Setting("no difference, cells independent", 8, 0.0, 0.0),
    *(Setting("no difference, cells correlate", images, 0.3, 0.0) for images in (4, 8, 20)),
    Setting("no difference, cells correlate strongly", 8, 0.6, 0.0),
    *(Setting("difference 0.03, cells correlate", images, 0.3, 0.03) for images in (4, 8, 20)),
    *(Setting("difference 0.05, the margin", images, 0.3, MARGIN) for images in (4, 8, 20)),
)
MOVIES = (
    *(Movies("one movie", 1, frames, rho, 0.0) for frames in (8, 92) for rho in (0.8, 0.95)),
    *(Movies("no difference", movies, 8, 0.8, 0.0) for movies in (2, 4, 6)),
    *(Movies("no difference", movies, 20, 0.8, 0.0) for movies in (2, 4, 6)),
    *(Movies("no difference", movies, 92, 0.95, 0.0) for movies in (2, 4, 6)),
    *(Movies("difference 0.05, the margin", movies, 20, 0.8, MARGIN) for movies in (4, 6)),
)


class Drawn(NamedTuple):
    """What both models do on the same cells."""

    images: np.ndarray
    """Image of each cell (cells,)."""
    ious: list[np.ndarray]
    """IoU (cells,) of either model."""
    qualities: list[np.ndarray]
    """Panoptic quality (images,) of either model."""


def draw(setting: Setting, rng: np.random.Generator) -> Drawn:
    """Draw cells and false cells; the first model is better by the shift."""
    counts = rng.integers(*CELLS, size=setting.images)
    images = np.repeat(np.arange(setting.images), counts)
    common = 1.8 + rng.normal(0, SCATTER["image"], setting.images)[images]
    common = common + rng.normal(0, SCATTER["cell"], images.size)
    ious, qualities = [], []
    for shift in (setting.shift, 0.0):
        fares = rng.normal(0, setting.scatter, setting.images)
        iou = 1 / (1 + np.exp(-common - fares[images] - rng.normal(0, SCATTER["noise"], images.size)))
        iou = np.where(rng.random(images.size) < LOST, 0, iou)
        false = rng.poisson(FALSE * counts * np.exp(-fares))
        ious.append(iou + shift)
        qualities.append(panoptic_quality(iou, images, false) + shift)
    return Drawn(images, ious, qualities)


def panoptic_quality(iou: np.ndarray, images: np.ndarray, false: np.ndarray) -> np.ndarray:
    """Panoptic quality (images,) of images with so many false cells."""
    matched = np.bincount(images, np.where(iou > 0.5, iou, 0))
    predicted = np.bincount(images, iou > 0) + false
    return matched / ((np.bincount(images) + predicted) / 2)


def correlation(differences: np.ndarray, images: np.ndarray) -> float:
    """Intraclass correlation of the differences of cells of one image, by analysis of variance."""
    groups = pd.Series(differences).groupby(images)
    sizes, n = groups.size(), groups.ngroups
    between = (sizes * (groups.mean() - differences.mean()) ** 2).sum() / (n - 1)
    within = (groups.var() * (sizes - 1)).sum() / (sizes.sum() - n)
    typical = (sizes.sum() - (sizes**2).sum() / sizes.sum()) / (n - 1)
    return float((between - within) / (between + (typical - 1) * within))


def one_experiment(setting: Setting, rng: np.random.Generator) -> dict[str, float]:
    """Return which tests reject, and which intervals contain the true value."""
    drawn = draw(setting, rng)
    (iou_a, iou_b), difference = drawn.ious, drawn.qualities[0] - drawn.qualities[1]
    by_unit, shift = compare_units(difference, MARGIN), estimate_shift(difference)
    means = difference[rng.integers(setting.images, size=(DRAWS, setting.images))].mean(1)
    cells = iou_a - iou_b
    return {
        "units_t": by_unit["difference_p"] < ALPHA,
        "units_signed_rank": shift["unit_signed_rank_p"] < ALPHA,
        "cells_signed_rank": stats.wilcoxon(cells[cells != 0]).pvalue < ALPHA,
        "cells_ranksum": stats.mannwhitneyu(iou_a, iou_b).pvalue < ALPHA,
        "equivalence": by_unit["equivalence_p"] < ALPHA,
        "covered_t": by_unit["difference_low"] <= setting.shift <= by_unit["difference_high"],
        "covered_bootstrap": covers(np.quantile(means, [ALPHA / 2, 1 - ALPHA / 2]), setting.shift),
        "correlation": correlation(cells, drawn.images),
    }


def draw_movies(setting: Movies, rng: np.random.Generator) -> pd.DataFrame:
    """Terms of the panoptic quality of each frame of each movie; see `units.pair_terms`."""
    shape = setting.movies, setting.frames
    terms = {"group": np.repeat(np.arange(setting.movies), setting.frames)}
    cells = rng.integers(*CELLS, size=shape)
    for model, shift in (("a", setting.shift), ("b", 0.0)):
        series = rng.normal(size=shape)
        for frame in range(1, setting.frames):
            fresh = np.sqrt(1 - setting.correlation**2) * series[:, frame]
            series[:, frame] = setting.correlation * series[:, frame - 1] + fresh
        quality = FRAME["mean"] + shift + FRAME["sd"] * series
        terms |= {f"numerator_{model}": (quality * cells).ravel(), f"denominator_{model}": cells.ravel()}
    return pd.DataFrame(terms)[["group", *TERMS]]


def one_experiment_with_movies(setting: Movies, rng: np.random.Generator) -> dict[str, float]:
    """Return which tests reject, and which intervals within a single movie contain the true value."""
    terms = draw_movies(setting, rng)
    frames = terms["numerator_a"] / terms["denominator_a"] - terms["numerator_b"] / terms["denominator_b"]
    found = {"frames_t": compare_units(frames.to_numpy(), MARGIN)["difference_p"] < ALPHA}
    if setting.movies > 1:
        by_unit = compare_units(pool_units(terms)["difference"].to_numpy(), MARGIN)
        named = {"units_t": "difference_p", "equivalence": "equivalence_p"}
        return found | {name: by_unit[p] < ALPHA for name, p in named.items()}
    values = linearise(terms)
    intervals = {
        "covered_halves": compare_halves(values),
        "covered_ar1": estimate_ar1_interval(values),
        "covered_blocks": bootstrap_blocks(values, rng),
    }
    return found | {name: covers(interval, setting.shift) for name, interval in intervals.items()}


def covers(interval: Sequence[float], value: float) -> bool:
    """Whether an interval contains a value."""
    return bool(interval[0] <= value <= interval[1])


def estimate_ar1_interval(values: np.ndarray) -> tuple[float, float]:
    """Interval of the mean by Student's t, as if there were n_eff values.

    The lag-1 correlation is corrected for its bias, to (n r + 1) / (n - 4) (Marriott & Pope 1954,
    doi:10.1093/biomet/41.3-4.390), and the variance for that of the mean.
    """
    n, centred = values.size, values - values.mean()
    r = (centred[1:] @ centred[:-1]) / (centred @ centred)
    r, lags = np.clip((n * r + 1) / (n - 4), 0, 0.99), np.arange(1, n)
    inflation = 1 + 2 * ((1 - lags / n) * r**lags).sum()
    variance = values.var(ddof=1) / max(1 - (inflation - 1) / (n - 1), 1 / n)
    freedom = max(n / inflation - 1, 1)
    reach = stats.t.ppf(1 - ALPHA / 2, freedom) * np.sqrt(variance * inflation / n)
    return values.mean() - reach, values.mean() + reach


def bootstrap_blocks(values: np.ndarray, rng: np.random.Generator) -> tuple[float, float]:
    """Percentile interval of the mean by moving blocks of a quarter of the frames (Künsch 1989)."""
    n, length = values.size, max(2, values.size // 4)
    first = rng.integers(n - length + 1, size=(DRAWS, -(-n // length)))
    drawn = (first[:, :, None] + np.arange(length)).reshape(DRAWS, -1)[:, :n]
    low, high = np.quantile(values[drawn].mean(1), [ALPHA / 2, 1 - ALPHA / 2])
    return float(low), float(high)


def run_setting(setting: Setting | Movies, repetitions: int, seed: Sequence[int]) -> dict:
    """Rates over all repetitions."""
    experiment = one_experiment if isinstance(setting, Setting) else one_experiment_with_movies
    rngs = [np.random.default_rng([*seed, n]) for n in range(repetitions)]
    rates = pd.DataFrame([experiment(setting, rng) for rng in rngs]).astype(float).mean()
    print(*setting, rates.round(3).to_dict(), flush=True)
    return setting._asdict() | rates.round(4).to_dict()


def table(rows: list[dict]) -> str:
    """Write the rates with independent images in Markdown, in percent."""
    heads = {"name": "simulation", "images": "images", "correlation": "ICC"}
    return write_markdown(rows, heads, TESTS)


def table_of_movies(rows: list[dict]) -> str:
    """Write the rates with frames of movies in Markdown, in percent; a dash where a test does not exist."""
    heads = {"name": "simulation", "movies": "movies", "frames": "frames of each", "correlation": "correlation"}
    return write_markdown(rows, heads, MOVIE_TESTS)


def write_markdown(rows: list[dict], heads: dict[str, str], tests: dict[str, str]) -> str:
    """Write columns of facts and of rates."""
    titles = [*heads.values(), *tests.values()]
    lines = [titles, ["---"] + ["---:"] * (len(titles) - 1)]
    for row in rows:
        facts = [f"{row[name]:.2f}" if isinstance(row[name], float) else str(row[name]) for name in heads]
        rates = [f"{100 * row[name]:.1f}" if name in row else "–" for name in tests]
        lines.append([*facts, *rates])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def insert(path: Path, text: str, marks: tuple[str, str]) -> None:
    """Put a table between its marks in a page."""
    page = path.read_text(encoding="utf-8")
    before, after = page.partition(marks[0])[0], page.partition(marks[1])[2]
    path.write_text(f"{before}{marks[0]}\n\n{text}\n\n{marks[1]}{after}", encoding="utf-8")


def main() -> None:
    """Read the arguments, simulate, write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("output", type=Path, help="JSON file to write")
    parser.add_argument("--page", type=Path, help="page whose tables are renewed")
    parser.add_argument("--repetitions", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    rows, movies = (
        [run_setting(setting, arguments.repetitions, [arguments.seed, kind, n]) for n, setting in enumerate(settings)]
        for kind, settings in enumerate((SETTINGS, MOVIES))
    )
    record = {"repetitions": arguments.repetitions, "seed": arguments.seed, "margin": MARGIN}
    record |= {"rows": rows, "movies": movies}
    arguments.output.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    if arguments.page:
        insert(arguments.page, table(rows), MARKS)
        insert(arguments.page, table_of_movies(movies), MOVIE_MARKS)


if __name__ == "__main__":
    main()
