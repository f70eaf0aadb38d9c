"""How often each test calls two equal models different, when the cells of an image resemble each other.

    python benchmarks/null.py benchmarks/null.json --table docs/statistics.md

Both models see the same simulated cells. The IoU of a cell is a logistic function of three terms: its own difficulty,
its image, and how well the model does on this image. The cells of an image share the last two. Some cells are lost.

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
from sketchscope.evaluation.comparison import ALPHA, DRAWS, compare_images, estimate_shift

MARGIN = 0.05
CELLS = (100, 250)  # of an image
LOST = 0.04  # share of the cells that a model does not find
SCATTER = {"cell": 0.6, "image": 0.3, "noise": 0.5}  # standard deviations of the logit of the IoU
TESTS = {
    "images_t": "Student's t over images (the verdict)",
    "images_signed_rank": "signed-rank over images",
    "cells_signed_rank": "signed-rank over cells",
    "cells_ranksum": "rank-sum over cells (the paper)",
    "equivalence": "two one-sided t over images",
}
MARKS = ("<!-- begin of benchmarks/null.py -->", "<!-- end of benchmarks/null.py -->")


class Setting(NamedTuple):
    """One kind of experiment."""

    name: str
    images: int
    scatter: float
    """Standard deviation between images of how well a model does, on the logit scale."""
    shift: float
    """True difference of the mean IoU."""


SETTINGS = (
    Setting("no difference, cells independent", 8, 0.0, 0.0),
    *(Setting("no difference, cells correlate", images, 0.3, 0.0) for images in (4, 8, 20)),
    Setting("no difference, cells correlate strongly", 8, 0.6, 0.0),
    *(Setting("difference 0.03, cells correlate", images, 0.3, 0.03) for images in (4, 8, 20)),
    *(Setting("difference 0.05, the margin", images, 0.3, MARGIN) for images in (4, 8, 20)),
)


def draw(setting: Setting, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """IoU (cells,) of either model, and the image of each cell."""
    counts = rng.integers(*CELLS, size=setting.images)
    images = np.repeat(np.arange(setting.images), counts)
    common = 1.8 + rng.normal(0, SCATTER["image"], setting.images)[images]
    common = common + rng.normal(0, SCATTER["cell"], images.size)
    ious = []
    for _ in range(2):
        fares = rng.normal(0, setting.scatter, setting.images)[images]
        iou = 1 / (1 + np.exp(-common - fares - rng.normal(0, SCATTER["noise"], images.size)))
        ious.append(np.where(rng.random(images.size) < LOST, 0, iou))
    return ious[0] + setting.shift, ious[1], images


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
    iou_a, iou_b, images = draw(setting, rng)
    difference = iou_a - iou_b
    clusters = [difference[images == image] for image in range(setting.images)]
    means = np.array([cluster.mean() for cluster in clusters])
    by_image, shift = compare_images(means, MARGIN), estimate_shift(means)
    # the mean of as many images, drawn with replacement; all of one image's cells come along
    drawn = means[rng.integers(setting.images, size=(DRAWS, setting.images))].mean(1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return {
        "images_t": by_image["difference_p"] < ALPHA,
        "images_signed_rank": shift["image_signed_rank_p"] < ALPHA,
        "cells_signed_rank": stats.wilcoxon(difference[difference != 0]).pvalue < ALPHA,
        "cells_ranksum": stats.mannwhitneyu(iou_a, iou_b).pvalue < ALPHA,
        "equivalence": by_image["equivalence_p"] < ALPHA,
        "covered_t": by_image["difference_low"] <= setting.shift <= by_image["difference_high"],
        "covered_bootstrap": low <= setting.shift <= high,
        "correlation": correlation(difference, images),
    }


def run_setting(setting: Setting, repetitions: int, seed: Sequence[int]) -> dict:
    """Rates over all repetitions."""
    rngs = [np.random.default_rng([*seed, n]) for n in range(repetitions)]
    rates = pd.DataFrame([one_experiment(setting, rng) for rng in rngs]).astype(float).mean()
    print(setting.name, setting.images, rates.round(3).to_dict(), flush=True)
    return setting._asdict() | rates.round(4).to_dict()


def table(rows: list[dict]) -> str:
    """Write the rates in Markdown, in percent."""
    columns = [*TESTS, "covered_t", "covered_bootstrap"]
    heads = ["simulation", "images", "ICC", *TESTS.values(), "t interval covers", "bootstrap interval covers"]
    lines = [heads, ["---"] + ["---:"] * (len(heads) - 1)]
    for row in rows:
        rates = [f"{100 * row[column]:.1f}" for column in columns]
        lines.append([row["name"], str(row["images"]), f"{row['correlation']:.2f}", *rates])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def insert(path: Path, text: str) -> None:
    """Put the table between its marks in a page."""
    page = path.read_text(encoding="utf-8")
    before, after = page.partition(MARKS[0])[0], page.partition(MARKS[1])[2]
    path.write_text(f"{before}{MARKS[0]}\n\n{text}\n\n{MARKS[1]}{after}", encoding="utf-8")


def main() -> None:
    """Read the arguments, simulate, write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("output", type=Path, help="JSON file to write")
    parser.add_argument("--table", type=Path, help="page whose table is renewed")
    parser.add_argument("--repetitions", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    rows = [run_setting(setting, arguments.repetitions, [arguments.seed, n]) for n, setting in enumerate(SETTINGS)]
    record = {"repetitions": arguments.repetitions, "seed": arguments.seed, "margin": MARGIN, "rows": rows}
    arguments.output.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    if arguments.table:
        insert(arguments.table, table(rows))


if __name__ == "__main__":
    main()
