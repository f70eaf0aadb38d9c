"""The report of one organism: one HTML file that holds everything and needs no network."""

import base64
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from docutils.core import publish_parts
from docutils.utils import SystemMessage

from ..errors import InputError
from ..io.atomic import PathLike
from .style import name_model
from .summary import list_models
from .templates import fill, format_duration

PNG = b"\x89PNG\r\n\x1a\n"
PAGE_SCALE = 96 / 160  # page pixels per figure pixel; it makes letters in figures about as large as the text
MEASURES = {
    "ap_mean": "average precision, mean over IoU 0.5 to 0.95",
    "iou_median": "median IoU of a cell",
    "pq": "panoptic quality (PQ)",
    "sq": "segmentation quality (SQ)",
    "rq": "recognition quality (RQ)",
    "seg": "SEG",
    "det": "DET",
    "n_splits": "cells split",
    "n_merges": "cells merged",
    "size_ratio": "size of a predicted cell over its reference",
}
COUNTS = ("n_splits", "n_merges")


class Illustration(NamedTuple):
    """A figure as it stands on the page."""

    name: str
    title: str
    source: str
    """The PNG as a data URL."""
    width: int
    """Page pixels."""
    height: int
    """Page pixels."""
    caption: str
    """HTML."""


class Measure(NamedTuple):
    """A row of the table of scores."""

    title: str
    values: list[float | None]
    """Of each model, in their order."""
    mean: float | None
    """Over all trainings on synthetic images."""
    sd: float | None
    """Standard deviation over these trainings."""
    digits: int


class RuleCost(NamedTuple):
    """A row of the table of costs."""

    rule: str
    jobs: int
    seconds: float
    peak_memory_mb: float | None


def fill_caption(path: PathLike, values: Mapping[str, Any]) -> str:
    """Fill in a caption and turn its reStructuredText into HTML, as `snakemake --report` does; raw HTML is refused.

    Parameters
    ----------
    path : path
        The caption, a Jinja template in reStructuredText.
    values : mapping
        What the template names, such as snakemake.

    Raises
    ------
    InputError
        If it names a value that is missing, or is not valid reStructuredText.
    """
    strict = {"halt_level": 2, "report_level": 5, "raw_enabled": False, "file_insertion_enabled": False}
    text = fill(path, values, escape=False)
    try:
        return publish_parts(text, writer="html5", settings_overrides=strict)["body"]
    except SystemMessage as error:
        raise InputError(f"{path}: is no valid reStructuredText ({error})") from error


def read_illustration(path: PathLike, title: str, text: str) -> Illustration:
    """Read a PNG for the page.

    Raises
    ------
    InputError
        If the file is not a PNG.
    """
    data = Path(path).read_bytes()
    if len(data) < 24 or not data.startswith(PNG):
        raise InputError(f"{path}: is no PNG")
    width, height = struct.unpack(">II", data[16:24])
    source = "data:image/png;base64," + base64.b64encode(data).decode("ascii")
    return Illustration(Path(path).stem, title, source, round(width * PAGE_SCALE), round(height * PAGE_SCALE), text)


def list_measures(summary: Mapping[str, Any]) -> list[Measure]:
    """List the scores of all models, average precisions first and in the order of their thresholds."""
    models = [summary["models"][model] for model in list_models(summary)]
    trainings = summary["trainings"]
    precisions = [key for key in models[0] if key.startswith("ap") and key != "ap_mean"]
    thresholds = sorted(precisions, key=lambda key: float(key.removeprefix("ap")))
    others = [key for key in MEASURES if key in models[0]]
    return [
        Measure(
            title=_name_measure(key),
            values=[model[key] for model in models],
            mean=trainings["mean"][key],
            sd=trainings["sd"][key],
            digits=0 if key in COUNTS else 3,
        )
        for key in (*thresholds, *others)
    ]


def list_costs(summary: Mapping[str, Any]) -> list[RuleCost]:
    """List what each rule took, the slowest first."""
    seconds = sorted(summary["seconds"].items(), key=lambda item: -item[1])
    return [RuleCost(rule, summary["jobs"][rule], value, summary["peak_memory_mb"][rule]) for rule, value in seconds]


def render(
    template: PathLike,
    summary: Mapping[str, Any],
    statistics: pd.DataFrame,
    figures: Sequence[Illustration],
    values: Mapping[str, Any],
) -> str:
    """Make the page.

    Parameters
    ----------
    template : path
        A Jinja template in HTML; values are escaped.
    summary : dict
        Of `summary.summarise`, as read from its JSON file.
    statistics : DataFrame
        Of `comparison.compare_baselines`.
    figures : sequence of Illustration
        In the order of reading.
    values : mapping
        What else the template names.

    Returns
    -------
    str
        HTML 5.
    """
    costs, models = list_costs(summary), list_models(summary)
    computed = {
        "summary": summary,
        "statistics": {column: [_format_value(value) for value in statistics[column]] for column in statistics},
        "figures": figures,
        "models": models,
        "labels": [name_model(model) for model in models],
        "measures": list_measures(summary),
        "costs": costs,
        "total": format_duration(sum(cost.seconds for cost in costs)),
    }
    return fill(template, computed | dict(values), escape=True)


def _name_measure(key: str) -> str:
    return MEASURES.get(key) or f"average precision at IoU {float(key.removeprefix('ap')) / 100:g}"


def _format_value(value: Any) -> str:
    """Write a value of the statistics, numbers with four digits; a missing one becomes a dash."""
    if pd.isna(value):
        return "–"
    return f"{value:.4g}".replace("-", "−") if isinstance(value, float) else str(value)
