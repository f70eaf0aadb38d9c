"""The summary of one organism: scores, cost and versions in one small JSON."""

import importlib.metadata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from .. import TRAINED, __version__
from ..errors import InputError
from ..evaluation.decision import explain
from ..io.atomic import PathLike, read_json
from ..run.cost import Cost, tabulate_costs
from ..run.job import collect_versions
from .templates import describe_training

SCORES = ("pq", "sq", "rq", "det", "n_splits", "n_merges", "size_ratio", "seg", "iou_median")
TITLES = {"ap_mean": "AP", "seg": "SEG", "det": "DET", "pq": "PQ", "iou_median": "median IoU"}
COUNTS = ("n_images_scored", "n_cells", "border")
SHAPE_COLUMNS = ("synthetic_median", "real_median", "ks", "wasserstein", "relative")
COMPARISON = (
    *("model_a", "model_b", "verdict", "quantity", "unit", "n_units", "n_images", "margin"),
    *("quality_a", "quality_b", "difference", "difference_low", "difference_high", "interval"),
    *("difference_p", "equivalence_p", "difference_p_holm", "equivalence_p_holm"),
    *("ap_a", "ap_b", "ap_difference", "iou_a", "iou_b", "iou_difference"),
)


class Scored(NamedTuple):
    """The scores of all models of one organism, each from `metrics.score_images`."""

    models: Mapping[str, dict[str, Any]]
    """By model, the trained one first."""
    replicates: Sequence[dict[str, Any]]
    """Of further trainings of the first model."""
    not_available: Mapping[str, str]
    """Why a model could not be scored, by model."""


class Findings(NamedTuple):
    """What else was found out about one organism."""

    comparisons: pd.DataFrame
    """Of `comparison.compare_baselines`."""
    fidelity: dict[str, Any]
    """Of `start_sweep.choose_start`: where generation starts, and how close images come there to their originals."""
    audit: pd.DataFrame
    """The rows synthetic and references, of `audit.summarise_audit`."""
    shapes: pd.DataFrame
    """Of `shapes.compare_shapes`, by measure."""
    costs: dict[str, Cost]
    """What each rule took, from `cost.sum_costs`."""
    held_out: bool
    """Whether no scored image was trained on."""
    training: dict[str, Any]
    """Of the diffusion model, from `read_training`."""
    groups: dict[str, Any]
    """Of `independence.examine_groups`: what speaks against the independence of the images."""
    masks: dict[str, Any] | None = None
    """Of `census.summarise_census`: the density of simulated nuclei, asked and reached."""


def summarise(organism: str, scale: str, scored: Scored, findings: Findings) -> dict[str, Any]:
    """Gather the results of one organism.

    Raises
    ------
    InputError
        If the models were scored on different images or cells, or with another border.
    """
    trained = next(iter(scored.models.values()))
    compared = [row for _, row in findings.comparisons.iterrows()]
    return {
        "organism": organism,
        "scale": scale,
        **_common_counts(organism, scored.models),
        "held_out": findings.held_out,
        "groups": findings.groups,
        "models": {model: _pick_figures(scores) for model, scores in scored.models.items()},
        "not_available": dict(scored.not_available),
        "trainings": measure_spread([trained, *scored.replicates]),
        "comparisons": [row[list(COMPARISON)].to_dict() | {"sentence": explain(row)} for row in compared],
        "fidelity": findings.fidelity,
        "audit": {labels: _list_warnings(row) for labels, row in findings.audit.to_dict("index").items()},
        "masks": findings.masks,
        "shapes": findings.shapes[list(SHAPE_COLUMNS)].to_dict("index"),
        "training": findings.training | {"sentence": describe_training(findings.training)},
        **tabulate_costs(findings.costs),
        "versions": collect_all_versions(),
    }


def read_training(record: PathLike | None, checkpoint: str | None) -> dict[str, Any]:
    """Read what the training of the diffusion model took.

    Parameters
    ----------
    record : path or None
        The training.json of the training; None if nothing was trained.
    checkpoint : str or None
        File of the published network that took its place.

    Returns
    -------
    dict
        steps, seconds, device and arithmetic, or published: the name of that file; see `templates.describe_training`.
    """
    if record is None:
        return {"published": Path(str(checkpoint)).name}
    found = read_json(record)
    return {key: found[key] for key in ("steps", "seconds", "device", "arithmetic")}


def measure_spread(trainings: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Measure how far the scores of one model vary from training to training.

    Parameters
    ----------
    trainings : sequence of dict
        Scores of each, from `metrics.score_images`.

    Returns
    -------
    dict
        count, the number of trainings; mean and sd (standard deviation of a sample), each by figure of merit. None
        where nothing was scored; sd is None for a single training, too.
    """
    table = pd.DataFrame([_pick_figures(scores) for scores in trainings], dtype=float)
    mean, sd = (
        {key: None if pd.isna(value) else value for key, value in row.items()} for row in (table.mean(), table.std())
    )
    return {"count": len(trainings), "mean": mean, "sd": sd}


def list_models(summary: Mapping[str, Any]) -> list[str]:
    """List the models that were scored: the trained one, then the baselines in the order of their comparisons."""
    return [TRAINED, *(comparison["model_b"] for comparison in summary["comparisons"])]


def format_summary(summary: dict[str, Any]) -> str:
    """Format a summary as a small table to read on a terminal; a dash where nothing was scored."""
    n_images, n_cells = summary["n_images_scored"], summary["n_cells"]
    held_out = "" if summary["held_out"] else " (not held out: also trained on)"
    lines = [f"{summary['organism']}, scale {summary['scale']}: {n_cells} cells in {n_images} images{held_out}"]
    lines += _align(_tabulate_scores(summary))
    lines += [f"{model}: not fetched ({reason})" for model, reason in summary["not_available"].items()]
    lines += [comparison["sentence"] for comparison in summary["comparisons"]]
    lines += [f"warning: {warning}" for warning in summary["groups"]["warnings"]]
    lines += [f"diffusion model: {summary['training']['sentence']}"]
    if summary["masks"] and not summary["masks"]["enough"]:
        lines.append(f"warning: only {summary['masks']['share']:.0%} of the simulated nuclei found a place")
    seconds = summary["seconds"]
    if seconds:
        slowest = sorted(seconds.items(), key=lambda item: -item[1])
        lines += ["", *_align([[rule, f"{value:.1f} s"] for rule, value in slowest])]
        gpus = f"{summary['gpu_hours']:.2f} GPU hours" if summary["gpu_hours"] else "on CPU"
        lines += [f"all rules {sum(seconds.values()):.1f} s, {gpus}"]
    return "\n".join(lines)


def collect_all_versions() -> dict[str, str]:
    """Collect the versions of the packages that decide the numbers, of this library and of Snakemake."""
    versions = collect_versions() | {"sketchscope": __version__}
    try:
        versions["snakemake"] = importlib.metadata.version("snakemake")
    except importlib.metadata.PackageNotFoundError:
        versions.pop("snakemake", None)
    return versions


def _list_warnings(row: dict[str, Any]) -> dict[str, Any]:
    """Turn the warnings of an audit, one string in its table and empty if there are none, into a list."""
    if "warnings" not in row:
        return row
    return row | {"warnings": [] if pd.isna(row["warnings"]) else row["warnings"].split("; ")}


def _common_counts(organism: str, models: Mapping[str, dict[str, Any]]) -> dict[str, int]:
    """Find the images, cells and border that all models were scored with."""
    found = {model: {key: scores[key] for key in COUNTS} for model, scores in models.items()}
    trained, counts = next(iter(found.items()))
    for model, others in found.items():
        if others != counts:
            raise InputError(
                f"{organism}: {trained} was scored on {counts} and {model} on {others}; "
                "all models must be scored on the same images"
            )
    return counts


def _pick_figures(scores: dict[str, Any]) -> dict[str, float | None]:
    """Pick the figures of merit: average precisions and SCORES."""
    wanted = [key for key in scores if key.startswith("ap")]
    return {key: scores[key] for key in (*wanted, *SCORES)}


def _tabulate_scores(summary: dict[str, Any]) -> list[list[str]]:
    """Write one row per model, and mean and standard deviation of several trainings."""
    figures = {model: summary["models"][model] for model in list_models(summary)}
    trainings = summary["trainings"]
    if trainings["count"] > 1:
        figures |= {f"{name} of {trainings['count']} trainings": trainings[name.lower()] for name in ("mean", "SD")}
    keys = [key for key in next(iter(figures.values())) if key.startswith("ap") or key in TITLES]
    rows = [[name, *(_format_score(found[key]) for key in keys)] for name, found in figures.items()]
    return [["model", *(_abbreviate(key) for key in keys)], *rows]


def _abbreviate(key: str) -> str:
    return TITLES.get(key) or f"AP@{float(key.removeprefix('ap')) / 100:g}"


def _format_score(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _align(rows: list[list[str]]) -> list[str]:
    """Turn rows into lines: the first column flush left, the others flush right."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return [
        "  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))])
        for row in rows
    ]
