"""The summary of one organism: scores, cost and versions in one small JSON."""

import importlib.metadata
from collections.abc import Sequence
from typing import Any

import pandas as pd

from .. import TRAINED, __version__
from ..errors import InputError
from ..evaluation.comparison import explain
from ..run.cost import Cost, as_tables
from ..run.job import package_versions

SCORES = ("pq", "sq", "rq", "det", "n_splits", "n_merges", "size_ratio", "seg", "iou_median")
TITLES = {"ap_mean": "AP", "seg": "SEG", "det": "DET", "pq": "PQ", "iou_median": "median IoU"}
COMPARISON = (
    *("verdict", "difference", "difference_low", "difference_high", "difference_p"),
    *("equivalence_p", "margin", "n_images"),
)


def all_versions() -> dict[str, str]:
    """Versions of the packages that decide the numbers, of this library and of Snakemake."""
    versions = package_versions() | {"sketchscope": __version__}
    try:
        versions["snakemake"] = importlib.metadata.version("snakemake")
    except importlib.metadata.PackageNotFoundError:
        versions.pop("snakemake", None)
    return versions


def summarise(
    trained: dict[str, Any],
    baseline: dict[str, Any],
    *,
    replicates: Sequence[dict[str, Any]] = (),
    organism: str,
    scale: str,
    baseline_name: str,
    comparison: pd.Series,
    fidelity: dict[str, Any],
    audit: pd.DataFrame,
    shapes: pd.DataFrame,
    costs: dict[str, Cost],
    held_out: bool,
) -> dict[str, Any]:
    """Gather what one organism has reached.

    Parameters
    ----------
    trained, baseline : dict
        Scores of the two models on the same images, from `metrics.score_images`.
    replicates : sequence of dict
        Scores of further trainings of the trained model.
    organism, scale, baseline_name : str
        Names.
    comparison : Series
        The row of `statistics.compare_models`.
    fidelity : dict
        Of `start.choose_start`: where generation starts, and how close images come there to those they are sketches of.
    audit : DataFrame
        The rows synthetic and references, of `audit.summarise_audit`.
    shapes : DataFrame
        Of `shapes.compare`, by measure.
    costs : dict
        What each rule took, from `cost.rule_costs`.
    held_out : bool
        Whether no scored image was trained on.

    Raises
    ------
    InputError
        If the two models were scored on different images or cells, or with another border.
    """
    counts = {key: trained[key] for key in ("n_images_scored", "n_cells", "border")}
    others = {key: baseline[key] for key in counts}
    if counts != others:
        raise InputError(
            f"{organism}: {TRAINED} was scored on {counts} and {baseline_name} on {others}; "
            "both must be scored on the same images"
        )
    return {
        "organism": organism,
        "scale": scale,
        **counts,
        "held_out": held_out,
        "trained": _figures(trained),
        "trainings": spread([trained, *replicates]),
        "baseline": _figures(baseline) | {"name": baseline_name},
        "comparison": {key: comparison[key] for key in COMPARISON} | {"sentence": explain(comparison)},
        "fidelity": fidelity,
        "audit": audit.to_dict("index"),
        "shapes": shapes[["synthetic_median", "real_median", "ks", "wasserstein", "relative"]].to_dict("index"),
        **as_tables(costs),
        "versions": all_versions(),
    }


def _figures(scores: dict[str, Any]) -> dict[str, float | None]:
    """The figures of merit: average precisions and SCORES."""
    wanted = [key for key in scores if key.startswith("ap")]
    return {key: scores[key] for key in (*wanted, *SCORES)}


def spread(trainings: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """How far the scores of one model depend on its training.

    Parameters
    ----------
    trainings : sequence of dict
        Scores of each, from `metrics.score_images`.

    Returns
    -------
    dict
        count; of each figure of merit its mean and its standard deviation (of a sample) over the trainings, None
        where nothing was scored, and of a single training.
    """
    table = pd.DataFrame([_figures(scores) for scores in trainings], dtype=float)
    mean, sd = (
        {key: None if pd.isna(value) else value for key, value in row.items()} for row in (table.mean(), table.std())
    )
    return {"count": len(trainings), "mean": mean, "sd": sd}


def format_summary(summary: dict[str, Any]) -> str:
    """Format a summary as a small table to read on a terminal; a dash where nothing was scored."""
    trained, baseline = summary["trained"], summary["baseline"]
    keys = [key for key in trained if key.startswith("ap") or key in TITLES]
    rows = [["model", *(_title(key) for key in keys)]]
    for name, figures in ((TRAINED, trained), (baseline["name"], baseline)):
        rows.append([name, *(_number(figures[key]) for key in keys)])
    trainings = summary["trainings"]
    if trainings["count"] > 1:
        for name in ("mean", "sd"):
            title = f"{name.replace('sd', 'SD')} of {trainings['count']} trainings"
            rows.append([title, *(_number(trainings[name][key]) for key in keys)])
    n_images, n_cells = summary["n_images_scored"], summary["n_cells"]
    held_out = "" if summary.get("held_out", True) else " (not held out: also trained on)"
    lines = [f"{summary['organism']}, scale {summary['scale']}: {n_cells} cells in {n_images} images{held_out}"]
    lines += [*_aligned(rows), summary["comparison"]["sentence"]]
    seconds = summary["seconds"]
    if seconds:
        slowest = sorted(seconds.items(), key=lambda item: -item[1])
        lines += ["", *_aligned([[rule, f"{value:.1f} s"] for rule, value in slowest])]
        gpus = f"{summary['gpu_hours']:.2f} GPU hours" if summary["gpu_hours"] else "on CPU"
        lines += [f"all rules {sum(seconds.values()):.1f} s, {gpus}"]
    return "\n".join(lines)


def _title(key: str) -> str:
    return TITLES.get(key) or f"AP@{float(key.removeprefix('ap')) / 100:g}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _aligned(rows: list[list[str]]) -> list[str]:
    """Rows as lines: the first column flush left, the others flush right."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return [
        "  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))])
        for row in rows
    ]
