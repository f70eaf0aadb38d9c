"""Figures that show numbers."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..evaluation.decision import NO_VERDICT, count_units
from ..sequences import spread_out
from .style import (
    BLUE,
    GREEN,
    SKY,
    VERMILION,
    YELLOW,
    choose_limits,
    colour_models,
    draw_message,
    draw_scale_bar,
    flatten,
    name_model,
    outline,
    show,
    write_plain_ticks,
)

VERDICT_COLOURS = {"equivalent": BLUE, "better": GREEN, "worse": VERMILION, "undecided": "0.45", NO_VERDICT: "0.45"}
VERDICT_COLUMNS = {"difference": 1.03, "p (differ)": 1.19, "p (equivalent)": 1.35, "verdict": 1.56}
SIGMA_COLOURS = [SKY, BLUE, GREEN, YELLOW, VERMILION]
SWEPT = {
    "divergence": "divergence in cells, noised (bits)",
    "spectrum": "spectrum from real (dB)",
    "psnr": "PSNR (dB)",
    "zncc": "ZNCC",
    "displacement": "boundary displaced (pixels)",
}
AUDITED = {"references": ("0.55", "real, reference labels"), "synthetic": (BLUE, "synthetic")}
FARTHEST = 3.0  # pixels by which an offset is drawn; farther ones are drawn there
WRONG = {
    "lost_share": "cells too dim",
    "unlabelled_share": "cells without a mask",
    "hidden_share": "borders that do not show",
    "split_share": "masks with two cells",
    "rounded_share": "noise rounded away",
}
LIKENESS = ("psnr", "zncc")
SHAPE_NAMES = {
    "density": "density",
    "volume": "volume",
    "height": "height",
    "area": "area seen along z",
    "eccentricity": "eccentricity",
    "neighbour": "nearest neighbour",
}


class AuditExample(NamedTuple):
    """A synthetic image, its mask, and the cells that do not show in it."""

    image: np.ndarray
    """Intensities (Z, Y, X) or (Y, X)."""
    mask: np.ndarray
    """Labels, of the same shape."""
    lost: Sequence[int]
    """Labels of the cells that are lost."""


class AuditTables(NamedTuple):
    """What the audit found, of `evaluation.audit`; the tables of real images may have no row."""

    synthetic: pd.DataFrame
    """Of `audit_cells`, for the synthetic images."""
    references: pd.DataFrame
    """The same for real images with reference labels."""
    summary: pd.DataFrame
    """Of `summarise_audit`, one row for each of the two, by their names."""


def plot_loss(steps: np.ndarray, losses: np.ndarray, seconds: np.ndarray | None = None) -> Figure:
    """Draw the loss of every reported step and its running mean, with the time on a second axis.

    Parameters
    ----------
    steps, losses : array (N,)
        Step and its loss.
    seconds : array (N,), optional
        Seconds since the start.
    """
    if not len(steps):
        return draw_message("No loss was recorded.")
    figure = Figure(figsize=(6.5, 3.8), layout="constrained")
    ax = figure.subplots()
    ax.plot(steps, losses, color=SKY, alpha=0.6, linewidth=0.8, label="loss")
    ax.plot(steps, running_mean(losses), color=BLUE, linewidth=2, label="running mean")
    ax.set(xlabel="training step", ylabel="mean squared error of the noise", yscale="log")
    write_plain_ticks(ax.yaxis)
    ax.margins(x=0.01)
    ax.grid(axis="y", which="both", color="0.9")
    ax.legend(edgecolor="none", framealpha=1)
    ax.spines["right"].set_visible(False)
    if seconds is not None and len(steps) > 1 and np.all(np.diff(seconds) > 0):
        _add_time_axis(ax, np.asarray(steps, float), np.asarray(seconds, float))
    else:
        ax.spines["top"].set_visible(False)
    return figure


def plot_iou(ious: Mapping[str, np.ndarray]) -> Figure:
    """Draw the IoU of every reference cell as one violin per model, with median and quartiles.

    Parameters
    ----------
    ious : mapping of str to array (N,)
        IoU by name of the model, the trained one first. All empty where the test images have no reference labels.
    """
    if not any(len(values) for values in ious.values()):
        return draw_message("No test image has reference labels,\nso there is no IoU to show.")
    figure = Figure(figsize=(1.8 + 2 * len(ious), 4.2), layout="constrained")
    ax = figure.subplots()
    for position, (model, colour) in enumerate(colour_models(ious).items()):
        if len(ious[model]):
            _draw_violin(ax, position, np.asarray(ious[model], float), colour)
    ax.set_xticks(range(len(ious)), [_label_violin(name_model(model), values) for model, values in ious.items()])
    ax.set(ylim=(0, 1), xlim=(-0.6, len(ious) - 0.4), ylabel="IoU with the reference cell")
    ax.grid(axis="y", color="0.9")
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    return figure


def plot_verdicts(table: pd.DataFrame) -> Figure:
    """Draw the difference of the quality of two models with its 95 % interval, the margin, and the verdict.

    Where there is no verdict, the interval within one movie is dashed and its dot is empty.

    Parameters
    ----------
    table : DataFrame
        One row per organism and baseline, of `comparison.compare_baselines` or `comparison.compare_organisms`;
        corrected p-values are shown where there are some.
    """
    if not len(table):
        return draw_message("No baseline is available,\nso there is nothing to compare with.")
    figure = Figure(figsize=(10, 1.4 + 0.45 * len(table)), layout="constrained")
    ax = figure.subplots()
    rows = np.arange(len(table))
    ax.barh(rows, 2 * table["margin"], 1, -table["margin"], color="0.92")
    ax.axvline(0, color="0.5", linewidth=0.8)
    colours = [VERDICT_COLOURS[verdict] for verdict in table["verdict"]]
    described = (table["verdict"] == NO_VERDICT).to_numpy()
    styles: Any = [(0, (1, 1)) if only else "solid" for only in described]
    ax.hlines(rows, table["difference_low"], table["difference_high"], color=colours, linewidth=3, linestyles=styles)
    filling, rim = np.where(described, "white", colours), np.where(described, colours, "white")
    ax.scatter(table["difference"], rows, color=filling.tolist(), edgecolor=rim.tolist(), s=70, zorder=3)
    ax.set_yticks(rows, _label_verdicts(table))
    ax.set(ylim=(len(table) - 0.5, -0.5), xlabel=_name_difference(table))
    reach = 1.15 * min(1, np.nanmax(np.abs(table[["difference_low", "difference_high", "margin"]].to_numpy(float))))
    ax.set_xlim(-reach, reach)
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.tick_params(axis="y", length=0)
    _name_sides(ax, table)
    for row, cells in enumerate(_format_verdicts(table)):
        for column, (text, place) in enumerate(zip(cells, VERDICT_COLUMNS.values(), strict=True)):
            weight = "bold" if column == len(cells) - 1 else "normal"
            ax.text(place, row, text, transform=ax.get_yaxis_transform(), va="center", fontweight=weight)
    for heading, place in VERDICT_COLUMNS.items():
        ax.text(place, 1.0, heading, transform=ax.transAxes, va="bottom", color="0.35")
    return figure


def plot_audit(example: AuditExample, tables: AuditTables, voxel_size: Sequence[float], min_contrast: float) -> Figure:
    """Draw a synthetic image with its annotation, and how well all annotations fit their images.

    Parameters
    ----------
    example : AuditExample
        Lost cells are outlined in red, the others in blue.
    tables : AuditTables
    voxel_size : sequence of float
        Micrometres along each axis.
    min_contrast : float
        Below it a cell is lost.
    """
    figure = Figure(figsize=(14, 6), layout="constrained")
    axes = figure.subplot_mosaic(
        [["example", "displacement", "offset"], ["example", "iou", "shares"]], width_ratios=(1.3, 1, 1)
    )
    _draw_example(axes["example"], example, voxel_size)
    for labels, (colour, name) in AUDITED.items():
        table = getattr(tables, labels)
        measured = table[table["contrast"].notna()].astype({"lost": bool})
        kept = measured[~measured["lost"]]
        _draw_displacements(axes["displacement"], kept["displacement"], colour, name)
        _draw_offsets(axes["offset"], kept, colour, name)
        label = f"{name}, {len(measured)} cells"
        contrast = measured["contrast_to_noise"].clip(lower=0.5)
        axes["iou"].scatter(contrast, measured["iou"], 7, colour, alpha=0.5, linewidth=0, label=label)
    axes["displacement"].axvline(0, color="0.5", linewidth=0.8)
    axes["displacement"].set(xlabel="boundary outside the outline, pixels", ylabel="share of the cells", xlim=(-3, 3))
    axes["iou"].axvline(min_contrast, color=VERMILION, linewidth=1, label="lost to the left")
    axes["iou"].set(xlabel="contrast, standard deviations of the surroundings", ylabel="IoU with the mask")
    axes["iou"].set(xscale="log", ylim=(0, 1))
    _write_contrast_ticks(axes["iou"])
    _draw_shares(axes["shares"], tables.summary)
    for name in ("displacement", "offset", "iou", "shares"):
        axes[name].spines[["top", "right"]].set_visible(False)
        axes[name].legend(edgecolor="none", framealpha=0.8, fontsize=9)
    axes["displacement"].margins(y=0.45)  # the legend stands above the bars
    return figure


def plot_shapes(cells: pd.DataFrame, images: pd.DataFrame, comparison: pd.DataFrame) -> Figure:
    """Draw the distributions of number, size, shape and spacing of synthetic and real cells, one per panel.

    Parameters
    ----------
    cells, images : DataFrame
        Of `shapes.tabulate_populations`.
    comparison : DataFrame
        Of `shapes.compare_shapes`.
    """
    columns = 3 if len(comparison) > 4 else len(comparison)
    rows = -(-len(comparison) // columns)
    figure = Figure(figsize=(3.7 * columns, 2.9 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for ax, line in zip(axes, comparison.itertuples(), strict=True):
        table = images if line.measure == "density" else cells
        values = {name: table.loc[table["source"] == name, line.measure].dropna() for name in ("real", "synthetic")}
        together = np.concatenate([*values.values()])
        limits = np.percentile(together, (0.5, 99.5)) if len(together) else (0, 1)
        bins = np.linspace(limits[0], max(limits[1], limits[0] + 1e-9), 25)
        for (name, shown), colour in zip(values.items(), ("0.55", BLUE), strict=True):
            if len(shown):
                share = np.full(len(shown), 1 / len(shown))
                label = f"{name}, median {shown.median():.3g}"
                ax.hist(shown.clip(*limits), bins, weights=share, color=colour, alpha=0.6, label=label)
        distance = "" if pd.isna(line.ks) else f"KS {line.ks:.2f}, W {line.relative:.0%}"
        ax.set_title(distance, fontsize=10, loc="right")
        named = [SHAPE_NAMES[line.measure], *([line.unit] if line.unit != "none" else [])]
        ax.set(xlabel=", ".join(named), ylabel="share")
        ax.spines[["top", "right"]].set_visible(False)
        ax.margins(y=0.4)  # the legend stands above the bars
        if len(together):
            ax.legend(edgecolor="none", framealpha=0.8, fontsize=9, loc="upper right")
    return figure


def plot_sweep(
    scores: pd.DataFrame,
    choice: Mapping[str, Any],
    examples: Mapping[str, np.ndarray],
    voxel_size: Sequence[float],
    columns: int = 5,
) -> Figure:
    """Draw the scores of starts and blurs above examples of their images, after Fig. 1c of Eschweiler et al. 2024.

    Parameters
    ----------
    scores : DataFrame
        Rows of `start_sweep.sweep`.
    choice : mapping
        t_start and sigma of the row chosen.
    examples : mapping of str to array (Z, Y, X) or (Y, X)
        "image", the real one; "sketch {sigma}"; and the images generated from them, "{sigma} {t_start}".
    voxel_size : sequence of float
        Micrometres along each axis.
    columns : int
        Number of starts, evenly spaced, with an example. The chosen start is always among them.
    """
    starts, sigmas = sorted(set(scores["t_start"]) - {0}), sorted(scores["sigma"].unique())
    shown = sorted({choice["t_start"], *spread_out(starts, columns)})
    height, width = flatten(examples["image"], voxel_size).shape
    rows = 11.5 / (len(shown) + 2) * height / width * len(sigmas)
    figure = Figure(figsize=(11.5, 2.9 + rows + 0.4), layout="constrained")
    subfigures: Any = figure.subfigures(2, 1, height_ratios=(2.9, rows + 0.4))
    _draw_scores(subfigures[0].subplots(1, len(SWEPT)), scores, choice)
    axes = subfigures[1].subplots(len(sigmas), len(shown) + 2, squeeze=False)
    limits = choose_limits([examples["image"]])
    for row, sigma in zip(axes, sigmas, strict=True):
        names = ["image", f"sketch {sigma:g}", *(f"{sigma:g} {start}" for start in shown)]
        for ax, name in zip(row, names, strict=True):
            show(ax, flatten(examples[name], voxel_size), limits)
        row[0].set_ylabel(f"sigma {sigma:g}", fontsize=9)
        if sigma == choice["sigma"]:
            chosen = row[2 + shown.index(choice["t_start"])]
            chosen.spines[:].set(visible=True, color=VERMILION, linewidth=3)
    for ax, heading in zip(axes[0], ["real", "sketch", *(f"t_start {start}" for start in shown)], strict=True):
        ax.set_title(heading, fontsize=9)
    return figure


def running_mean(values: np.ndarray) -> np.ndarray:
    """Compute the exponential running mean over about a fiftieth of the values, unbiased at the start."""
    span = max(5, len(values) // 50)
    return pd.Series(values).ewm(span=span).mean().to_numpy()


def _name_difference(table: pd.DataFrame) -> str:
    """Name what the axis shows: the panoptic quality, or SEG where only some cells are annotated."""
    names = " or ".join({"PQ": "panoptic quality", "SEG": "SEG"}[name] for name in table["quantity"].unique())
    within = ", dotted: within one movie" if (table["verdict"] == NO_VERDICT).any() else ""
    return f"difference of the {names}, 95 % interval (grey: margin{within})"


def _label_verdicts(table: pd.DataFrame) -> list[str]:
    """Name the organism and the number of units of each row, and the baseline where there are several."""
    names = table["organism"]
    if table["model_b"].nunique() > 1:
        names = names + ", " + table["model_b"]
    return [f"{name} ({count})" for name, count in zip(names, map(count_units, table.to_dict("records")), strict=True)]


def _name_sides(ax: Axes, table: pd.DataFrame) -> None:
    """Write on either side of zero which model is better there."""
    baseline = table["model_b"].iloc[0] if table["model_b"].nunique() == 1 else "baseline"
    for place, alignment, name in ((0.99, "right", table["model_a"].iloc[0]), (0.01, "left", baseline)):
        ax.text(place, 1.0, f"{name} better", transform=ax.transAxes, ha=alignment, va="bottom", color="0.35")


def _format_verdicts(table: pd.DataFrame) -> list[tuple[str, ...]]:
    """Difference, the two p-values, and the verdict of each row, as text."""
    ps = [f"{name}_holm" if f"{name}_holm" in table else name for name in ("difference_p", "equivalence_p")]
    return [
        (_format_number(row["difference"], "+.3f"), *(_format_number(row[p], ".2g") for p in ps), row["verdict"])
        for _, row in table.iterrows()
    ]


def _format_number(value: float | None, style: str) -> str:
    return "–" if pd.isna(value) else f"{value:{style}}"


def _draw_displacements(ax: Axes, displacement: pd.Series, colour: str, name: str) -> None:
    """Draw a histogram of shares, with the median in the legend."""
    displacement = displacement.dropna()
    if len(displacement):
        share = np.full(len(displacement), 1 / len(displacement))
        label = f"{name}, median {displacement.median():+.2f}"
        bins = np.arange(-3, 3.1, 0.2).tolist()
        ax.hist(displacement.clip(-3, 3), bins, weights=share, color=colour, alpha=0.6, label=label)


def _draw_example(ax: Axes, example: AuditExample, voxel_size: Sequence[float]) -> None:
    """Draw the image with the outlines of its mask, those of lost cells in red."""
    picture, labels = flatten(example.image, voxel_size), flatten(example.mask, voxel_size)
    show(ax, picture, choose_limits([example.image]))
    is_lost = np.isin(labels, example.lost)
    outline(ax, np.where(is_lost, 0, labels), SKY)
    outline(ax, np.where(is_lost, labels, 0), VERMILION)
    draw_scale_bar(ax, example.image.shape, voxel_size[-1])


def _draw_offsets(ax: Axes, cells: pd.DataFrame, colour: str, name: str) -> None:
    """Draw the offset of each cell from its mask as a point, and a cross at their mean."""
    offsets = cells[["offset_x", "offset_y"]].dropna().astype(float)
    if len(offsets):
        mean = offsets.mean()
        label = f"{name}, mean {mean['offset_x']:+.2f}, {mean['offset_y']:+.2f}"
        right, below = offsets.clip(-FARTHEST, FARTHEST).to_numpy().T
        ax.scatter(right, below, 7, colour, alpha=0.5, linewidth=0, label=label)
        ax.plot(*mean.clip(-FARTHEST, FARTHEST), "+", color=colour, markersize=16, markeredgewidth=2)
    ax.axhline(0, color="0.5", linewidth=0.8)
    ax.axvline(0, color="0.5", linewidth=0.8)
    # y runs down, as in the image; the legend stands above the points
    ax.set(xlim=(-FARTHEST - 0.2, FARTHEST + 0.2), ylim=(FARTHEST + 0.2, -1.6 * FARTHEST))
    ax.set(xlabel="cell to the right of its mask, pixels", ylabel="below its mask, pixels")


def _draw_shares(ax: Axes, summary: pd.DataFrame) -> None:
    """Draw a bar for each share of what is wrong, for synthetic and real images, with its percentage."""
    for (labels, (colour, name)), place in zip(AUDITED.items(), (0.2, -0.2), strict=True):
        if labels in summary.index:
            shares = 100 * summary.loc[labels].reindex(list(WRONG)).astype(float).to_numpy()
            rows = np.arange(len(WRONG)) + place
            ax.barh(rows, np.nan_to_num(shares), 0.36, color=colour, alpha=0.6, label=name)
            for row, share in zip(rows, shares, strict=True):
                text = "–" if np.isnan(share) else f" {share:.1f}"
                ax.text(0 if np.isnan(share) else share, row, text, va="center", fontsize=8)
    ax.set_yticks(range(len(WRONG)), list(WRONG.values()), fontsize=9)
    ax.set(xlabel="%", ylim=(len(WRONG) - 0.5, -1.6), xlim=(0, max(ax.get_xlim()[1] * 1.15, 10)))


def _write_contrast_ticks(ax: Axes) -> None:
    """Write 1, 2 and 5 of each decade where there are few decades; whole decades where there are many."""
    low, high = ax.get_xlim()
    write_plain_ticks(ax.xaxis)
    if high > 300 * low:
        ax.xaxis.set_minor_formatter(lambda value, _: "")


def _draw_scores(axes: Sequence[Axes], scores: pd.DataFrame, choice: Mapping[str, Any]) -> None:
    """Draw each score by start, one line per blur with its intervals, and a circle around the choice.

    PSNR and ZNCC of the sketches without a network are lines across.
    """
    sigmas = sorted(scores["sigma"].unique())
    for ax, (column, label) in zip(axes, SWEPT.items(), strict=True):
        for sigma, colour in zip(sigmas, itertools.cycle(SIGMA_COLOURS), strict=False):
            line = scores[scores["sigma"] == sigma].sort_values("t_start")
            sketch, line = line[line["t_start"] == 0], line[line["t_start"] > 0]
            ax.plot(line["t_start"], line[column], "o-", color=colour, markersize=3, label=f"sigma {sigma:g}")
            if f"{column}_low" in line:
                ends = line["t_start"], line[f"{column}_low"], line[f"{column}_high"]
                ax.fill_between(*ends, color=colour, alpha=0.15, linewidth=0)
            for value in sketch[column] if column in LIKENESS else ():
                ax.axhline(value, color=colour, linestyle=":", linewidth=1)
        # there is no score where no cell shows
        chosen = np.nan if choice[column] is None else choice[column]
        ax.plot(choice["t_start"], chosen, "o", markersize=10, markerfacecolor="none", color="black")
        ax.set(xlabel="t_start")
        ax.set_title(label, fontsize=9)
        ax.tick_params(labelsize=8)
        ax.spines[["top", "right"]].set_visible(False)
    axes[-1].legend(edgecolor="none", framealpha=0.8, fontsize=8)


def _add_time_axis(ax: Axes, steps: np.ndarray, seconds: np.ndarray) -> None:
    """Add an axis on top: the minutes after which each step was reached."""
    minutes = seconds / 60
    to_minutes, to_steps = (
        lambda x: np.interp(np.asarray(x, float), steps, minutes),
        lambda x: np.interp(np.asarray(x, float), minutes, steps),
    )
    ax.secondary_xaxis("top", functions=(to_minutes, to_steps)).set_xlabel("minutes")


def _draw_violin(ax: Axes, position: float, values: np.ndarray, colour: str) -> None:
    """Draw the density of values between 0 and 1, their quartiles as a bar, the median as a dot."""
    if np.ptp(values) > 1e-6:
        parts: dict[str, Any] = ax.violinplot(values, [position], widths=0.8, showextrema=False)
        for body in parts["bodies"]:
            body.set(facecolor=colour, alpha=0.6, edgecolor="0.3")
    lower, median, upper = np.percentile(values, (25, 50, 75))
    ax.plot([position] * 2, [lower, upper], color="0.2", linewidth=6, solid_capstyle="butt")
    ax.plot(position, median, "o", color="white", markeredgecolor="0.2", markersize=7)
    ax.annotate(f"{median:.2f}", (position, median), (12, 0), textcoords="offset points", va="center")


def _label_violin(name: str, values: np.ndarray) -> str:
    """Write the name of a model, the number of cells and the share of missed ones."""
    if not len(values):
        return f"{name}\nno cells"
    return f"{name}\n{len(values)} cells\n{np.mean(np.asarray(values) == 0):.0%} missed"
