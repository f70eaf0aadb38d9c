"""What the audit says of labels and images that fit, and of such that do not: every fault is planted and looked for.

    python benchmarks/audit.py benchmarks/audit.json --case nuclei-2d
    python benchmarks/audit.py benchmarks/audit.json --table docs/audit.md

The first form measures one case and keeps what the file holds of the others; the second writes the tables. Masks come
from the project's own simulators. Cells are drawn on them with a texture, unequal brightness, dim edges, a background
that is not flat, the blur of a microscope, and noise of photons and of a camera.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import ndimage
from skimage.segmentation import expand_labels

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow/scripts"))
from sketchscope.evaluation.audit import ALARMS, audit_pair, summarise_audit
from sketchscope.evaluation.audit.alarms import list_alarms
from sketchscope.evaluation.audit.borders import find_contacts
from sketchscope.labels import cell_boxes
from sketchscope.masks.simulators import SIMULATORS, read_settings

MIN_CONTRAST = 3.0  # the default of audit.min_contrast
CLEAN, FAULTY = 200, 25  # pairs of each case without a fault, and with each fault and size
DETECTABLE = 0.95  # share of pairs, or of planted cells, from which on a fault counts as seen
PHOTONS = 100.0  # of a nucleus or membrane of brightness 1
CAMERA = 2.0  # standard deviation of its noise, photons
BACKGROUND = 0.1  # brightness
SEAM = 0.6  # share of the light that is missing where two nuclei touch, before the blur
TEXTURE = 0.15  # standard deviation of the brightness within a cell, as a fraction of it
SPECIMEN = {"shape": "box", "size_um": None, "thickness_um": None, "roughness": 0.0}
NUCLEI = {
    **{"diameter_cv": 0.2, "elongation": 1.3, "elongation_sd": 0.2, "flatness": 1.0, "roughness": 0.05},
    **{"surface": "waves", "mitotic_fraction": 0.0, "mitotic_elongation": 2.0, "cluster_fraction": 0.6},
    **{"cluster_gap_um": 0.0, "spacing_um": None, "size_exponent": 0.0, "layer_um": None, "specimen": SPECIMEN},
}
TISSUE = {"diameter_cv": 0.2, "layers": 0, "size_gradient": 0.0}
COLUMNS = {
    "lost_share": "lost",
    "shift": "shift",
    "displacement_median": "displaced",
    "iou_above_0.9": "IoU over 0.9",
    "unlabelled_per_image": "without mask",
    "hidden_share": "hidden borders",
    "split_share": "split masks",
    "rounded_share": "rounded",
}
MARKS = ("<!-- begin of benchmarks/audit.py -->", "<!-- end of benchmarks/audit.py -->")


class Case(NamedTuple):
    """What the masks of a case are like."""

    simulator: str
    shape: tuple[int, ...]
    voxel_size: tuple[float, ...]
    settings: dict[str, Any]

    @property
    def touching(self) -> bool:
        """Whether membranes are stained."""
        return self.simulator == "tissue"


CASES = {
    "nuclei-2d": Case("nuclei", (220, 220), (0.5, 0.5), NUCLEI | {"diameter": 12.0, "density": 40.0}),
    "nuclei-3d": Case("nuclei", (20, 110, 110), (1.0, 0.5, 0.5), NUCLEI | {"diameter": 10.0, "density": 600.0}),
    "membranes-2d": Case(
        "tissue", (180, 180), (0.5, 0.5), TISSUE | {"diameter": 11.0, "specimen": SPECIMEN | {"shape": "ellipsoid"}}
    ),
    "membranes-3d": Case(
        "tissue",
        (24, 72, 72),
        (1.0, 0.5, 0.5),
        TISSUE | {"diameter": 11.0, "specimen": SPECIMEN | {"shape": "ellipsoid"}},
    ),
}


class Plan(NamedTuple):
    """How an image is drawn; a fault changes it."""

    masks: np.ndarray
    """The labels that come with the image."""
    cells: np.ndarray
    """The cells that are drawn, labels."""
    brightness: np.ndarray
    """Of each drawn cell, by label; that of the background is unused."""
    missing: frozenset[tuple[int, int]] = frozenset()
    """Pairs of labels whose common membrane is not drawn."""
    levels: int = 2**16
    """Of the image, from its darkest to its brightest value."""
    shift: tuple[int, ...] = ()
    """Voxels by which the cells lie farther along each axis than the masks; none where empty."""
    planted: tuple[Any, ...] = ()
    """Labels, or pairs of labels, at which a fault lies."""


class Fault(NamedTuple):
    """Something wrong with an image or its labels."""

    title: str
    sizes: tuple[float, ...]
    unit: str
    figure: str
    """Of the summary, that tells of it."""
    plant: Callable[[Plan, float, np.random.Generator], Plan]
    found: Callable[[Any, Plan], float] | None = None
    """From an audit to the share of the planted cells that were found; None where the whole image is at fault."""
    stains: tuple[bool, ...] = (False, True)
    """Whether it is planted in nuclei (False), in membranes (True)."""


def plan_clean(case: Case, rng: np.random.Generator) -> Plan:
    """Simulate a mask, and choose the brightness of its cells."""
    numbers = read_settings(case.simulator, case.settings)
    labels = SIMULATORS[case.simulator].simulate(case.shape, case.voxel_size, numbers, rng).labels
    return Plan(labels, labels, np.clip(rng.lognormal(0, 0.3, labels.max() + 1), 0.4, 2.5))


def draw(plan: Plan, case: Case, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw a plan as a microscope sees it: normalised intensities, and the labels, cut where a shift asks for it."""
    scale = np.asarray(case.voxel_size) / min(case.voxel_size)
    bright = draw_membranes(plan, rng) if case.touching else draw_nuclei(plan, scale)
    texture = ndimage.gaussian_filter(rng.standard_normal(case.shape), 2.0 / scale)
    bright *= 1 + TEXTURE * texture / texture.std()
    haze = BACKGROUND * (1 + 0.5 * np.linspace(-1, 1, case.shape[-1]))
    photons = PHOTONS * np.clip(ndimage.gaussian_filter(bright, 1.0 / scale) + haze, 0, None)
    image = rng.poisson(photons) + rng.normal(0, CAMERA, case.shape)
    low, high = image.min(), image.max()
    image = np.rint((image - low) / (high - low) * (plan.levels - 1)) / (plan.levels - 1) * 2 - 1
    ahead = [slice(max(-move, 0), size - max(move, 0)) for move, size in zip(plan.shift, case.shape, strict=False)]
    behind = [slice(max(move, 0), size - max(-move, 0)) for move, size in zip(plan.shift, case.shape, strict=False)]
    # the drawn cells lie `shift` farther: what the mask has at p, the image has at p + shift
    return image[tuple(ahead)], plan.masks[tuple(behind)]


def draw_nuclei(plan: Plan, scale: np.ndarray) -> np.ndarray:
    """Draw each nucleus with its brightness, thinner and so dimmer towards its edge, and a seam where two touch."""
    image = np.zeros(plan.cells.shape)
    for label, box in cell_boxes(plan.cells):
        cell = plan.cells[box] == label
        depth = ndimage.distance_transform_edt(np.pad(cell, 1), sampling=scale)[(slice(1, -1),) * cell.ndim]
        image[box][cell] = (plan.brightness[label] * (1 - 0.7 * np.exp(-depth / 2.0)))[cell]
    image[tuple(find_contacts(plan.cells, scale).places.T)] *= 1 - SEAM
    return image


def draw_membranes(plan: Plan, rng: np.random.Generator) -> np.ndarray:
    """Draw the membrane between each two cells, and around the tissue, with a brightness of its own."""
    labels, image = plan.cells.astype(np.int64), np.where(plan.cells > 0, 0.05, 0.0)
    strength = rng.lognormal(0, 0.2, (labels.max() + 1,) * 2)
    strength = np.sqrt(strength * strength.T)
    for pair in plan.missing:
        strength[pair] = strength[pair[::-1]] = 0
    for axis in range(labels.ndim):
        before, after = (np.moveaxis(labels, axis, 0)[part] for part in (slice(None, -1), slice(1, None)))
        sheet = np.where(before != after, strength[before, after], 0)
        for part in (slice(None, -1), slice(1, None)):
            target = np.moveaxis(image, axis, 0)[part]
            np.maximum(target, sheet, out=target)
    return image


def pick(candidates: Sequence[Any], count: int, rng: np.random.Generator) -> list[Any]:
    """Draw so many of some candidates, or all."""
    order = rng.permutation(len(candidates))[:count]
    return [candidates[place] for place in order]


def list_whole(labels: np.ndarray) -> list[int]:
    """List the cells that do not touch the border of the image, and are not fragments."""
    sizes = np.bincount(labels.ravel())
    usual = np.median(sizes[1:][sizes[1:] > 0])
    return [
        label
        for label, box in cell_boxes(labels)
        if sizes[label] > usual / 2
        and all(part.start > 0 and part.stop < size for part, size in zip(box, labels.shape, strict=True))
    ]


def list_pairs(labels: np.ndarray, least: int) -> list[tuple[int, int]]:
    """List pairs of cells that touch at no less than so many voxels."""
    contacts = find_contacts(labels, (1.0,) * labels.ndim)
    pairs = pd.Series(list(zip(contacts.own.tolist(), contacts.other.tolist(), strict=True))).value_counts()
    return sorted(pair for pair, count in pairs.items() if pair[0] < pair[1] and count >= least)


def share_of(share: float, labels: np.ndarray) -> int:
    """How many cells a share of the labelled ones is, at least one."""
    return max(1, round(share * len(np.unique(labels[labels > 0]))))


def shift(plan: Plan, size: float, rng: np.random.Generator) -> Plan:
    """Move all cells along y or x."""
    moves = [0] * plan.cells.ndim
    moves[rng.integers(-2, 0)] = int(size) * int(rng.choice([-1, 1]))
    return plan._replace(shift=tuple(moves))


def shrink(plan: Plan, size: float, rng: np.random.Generator) -> Plan:
    """Take a rim off all masks: cells are larger than these."""
    masks = plan.masks.copy()
    for label, box in cell_boxes(plan.masks):
        cell = plan.masks[box] == label
        scale = SCALES[plan.masks.ndim]
        depth = ndimage.distance_transform_edt(np.pad(cell, 1, mode="edge"), sampling=scale)
        padded = ndimage.distance_transform_edt(np.pad(cell, 1), sampling=scale)
        depth = np.minimum(depth, padded)[(slice(1, -1),) * cell.ndim]
        masks[box][cell & (depth <= size)] = 0
    return plan._replace(masks=masks)


def grow(plan: Plan, size: float, rng: np.random.Generator) -> Plan:
    """Add a rim to all masks where there is room: cells are smaller than these."""
    return plan._replace(masks=expand_labels(plan.masks, size, spacing=tuple(SCALES[plan.masks.ndim])))


def erase(plan: Plan, size: float, rng: np.random.Generator) -> Plan:
    """Draw some cells not at all."""
    gone = pick(list_whole(plan.masks), share_of(size, plan.masks), rng)
    brightness = plan.brightness.copy()
    brightness[gone] = 0
    pairs = frozenset((label, other) for label in gone for other in range(len(brightness)))
    return plan._replace(brightness=brightness, missing=pairs, planted=tuple(gone))


def dim(plan: Plan, size: float, rng: np.random.Generator) -> Plan:
    """Draw a tenth of the cells with a contrast of so many standard deviations of the background's noise."""
    chosen = pick(list_whole(plan.masks), share_of(0.1, plan.masks), rng)
    brightness = plan.brightness.copy()
    brightness[chosen] = size * np.sqrt(BACKGROUND * PHOTONS + CAMERA**2) / PHOTONS
    return plan._replace(brightness=brightness, planted=tuple(chosen))


def unlabel(plan: Plan, size: float, rng: np.random.Generator) -> Plan:
    """Take the masks of some cells away that do not touch each other."""
    pairs, whole = set(list_pairs(plan.masks, 1)), list_whole(plan.masks)
    chosen: list[int] = []
    for label in pick(whole, len(whole), rng):
        if len(chosen) < size and not any((min(label, one), max(label, one)) in pairs for one in chosen):
            chosen.append(label)
    return plan._replace(masks=np.where(np.isin(plan.masks, chosen), 0, plan.masks), planted=tuple(chosen))


def double(plan: Plan, size: float, rng: np.random.Generator) -> Plan:
    """Give some cells two masks each, which meet in the middle of the cell."""
    masks, pairs = plan.masks.copy(), []
    for label in pick(list_whole(masks), int(size), rng):
        places = np.argwhere(masks == label)
        spread = (places - places.mean(axis=0)) * SCALES[masks.ndim]
        long = np.linalg.svd(spread, full_matrices=False)[2][0]
        long[: masks.ndim - 2] = 0  # apart in the plane, where there are more voxels
        beyond = places[spread @ long > 0]
        new = int(masks.max()) + 1
        masks[tuple(beyond.T)] = new
        pairs.append((label, new))
    return plan._replace(masks=masks, planted=tuple(pairs))


def tear(plan: Plan, size: float, rng: np.random.Generator) -> Plan:
    """Leave out the membranes on a share of the borders."""
    pairs = list_pairs(plan.masks, 1)
    return plan._replace(missing=frozenset(pick(pairs, max(1, round(size * len(pairs))), rng)))


def unite(plan: Plan, size: float, rng: np.random.Generator) -> Plan:
    """Give pairs of touching cells one mask."""
    masks, chosen, used = plan.masks.copy(), [], set()
    whole = set(list_whole(masks))
    for one, two in pick(list_pairs(masks, 6 if masks.ndim == 2 else 20), 10**6, rng):
        if len(chosen) < size and not {one, two} & used and {one, two} <= whole:
            masks[masks == two] = one
            chosen.append(one)
            used |= {one, two}
    return plan._replace(masks=masks, planted=tuple(chosen))


def coarsen(plan: Plan, size: float, rng: np.random.Generator) -> Plan:
    """Round the image to so many levels."""
    return plan._replace(levels=int(size))


def find_flagged(column: str) -> Callable[[Any, Plan], float]:
    """How many of the planted cells are true in a column of the table of cells."""

    def found(audit: Any, plan: Plan) -> float:
        flagged = audit.cells.loc[audit.cells[column], "label"]
        return float(np.isin(plan.planted, flagged).mean()) if plan.planted else np.nan

    return found


def find_unlabelled(audit: Any, plan: Plan) -> float:
    """How many of the planted cells without a mask are counted; no more than there are."""
    return min(audit.image["unlabelled"] / len(plan.planted), 1.0) if plan.planted else np.nan


def find_hidden(audit: Any, plan: Plan) -> float:
    """How many of the planted borders are hidden; those that are not measured count as not found."""
    hidden = audit.borders[audit.borders["hidden"]]
    pairs = set(zip(hidden["first"], hidden["second"], strict=True))
    return float(np.mean([pair in pairs for pair in plan.planted])) if plan.planted else np.nan


SCALES = {len(case.shape): np.asarray(case.voxel_size) / min(case.voxel_size) for case in CASES.values()}
FAULTS = {
    "shift": Fault("all cells shifted", (1, 2, 4), "voxels", "shift", shift),
    "shrunk": Fault("masks too small", (1, 2, 3), "voxels all around", "displacement_median", shrink),
    "grown": Fault("masks too large", (1, 2, 3), "voxels all around", "displacement_median", grow, None, (False,)),
    "erased": Fault("cells not drawn", (0.01, 0.1, 0.3), "of the cells", "lost_share", erase, find_flagged("lost")),
    "dim": Fault(
        "a tenth of the cells dim", (4, 2, 1), "sd of the noise", "lost_share", dim, find_flagged("lost"), (False,)
    ),
    "extra": Fault("cells without a mask", (1, 3, 6), "per image", "unlabelled_share", unlabel, find_unlabelled),
    "double": Fault("one cell under two masks", (1, 3, 10), "per image", "hidden_share", double, find_hidden),
    "torn": Fault("membranes missing", (0.05, 0.2, 0.5), "of the borders", "hidden_share", tear, None, (True,)),
    "united": Fault("one mask over two cells", (1, 3, 10), "per image", "split_share", unite, find_flagged("split")),
    "rounded": Fault("noise rounded away", (256, 64, 16), "levels", "rounded_share", coarsen),
}


def audit_plan(case: Case, plan: Plan, rng: np.random.Generator) -> tuple[dict[str, Any], Any]:
    """Draw and audit one pair: the summary, and the audit itself."""
    image, labels = draw(plan, case, rng)
    audit = audit_pair(image, labels, case.voxel_size, touching=case.touching, min_contrast=MIN_CONTRAST)
    return summarise_audit(audit.cells, pd.DataFrame([audit.image])), audit


def over_limit(figures: dict[str, Any]) -> dict[str, bool]:
    """Which alarms are raised."""
    raised = list_alarms(figures)
    return {name: name in raised for name in ALARMS}


FIGURES = [
    *ALARMS,
    "iou_above_0.7",
    "iou_above_0.9",
    "offset_median",
    "unlabelled_per_image",
    "contrast_to_noise_median",
]


def measure(name: str, clean: int, faulty: int) -> dict[str, Any]:
    """Measure one case: figures and alarms of clean pairs, and of pairs with each fault in each size."""
    case, number = CASES[name], list(CASES).index(name)
    plans = [plan_clean(case, np.random.default_rng([1, number, seed])) for seed in range(clean)]
    found = [audit_plan(case, plan, np.random.default_rng([2, number, seed]))[0] for seed, plan in enumerate(plans)]
    rows = {"clean": describe(found)}
    for order, (fault_name, fault) in enumerate(FAULTS.items()):
        if case.touching not in fault.stains:
            continue
        for size in fault.sizes:
            figures, shares = [], []
            for seed, plan in enumerate(plans[:faulty]):
                rng = np.random.default_rng([3, number, order, seed])
                spoilt = fault.plant(plan, size, rng)
                summary, audit = audit_plan(case, spoilt, rng)
                figures.append(summary)
                shares += [(fault.found(audit, spoilt), len(spoilt.planted))] if fault.found else []
            row = describe(figures) | {"alarm": describe(figures)["alarms"][fault.figure]}
            planted = sum(count for _, count in shares)
            if planted:
                row |= {"planted": planted, "found": round(sum(s * n for s, n in shares if n) / planted, 4)}
            rows[f"{fault_name} {size:g}"] = row
            print(name, fault_name, size, {key: row.get(key) for key in ("alarm", "planted", "found")}, flush=True)
    return rows


def describe(found: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean figures of some pairs, and how many raise each alarm, and any."""
    table = pd.DataFrame(found)[FIGURES].astype(float)
    alarms = pd.DataFrame([over_limit(figures) for figures in found])
    return {
        "pairs": len(found),
        "cells": int(sum(figures["cells"] for figures in found)),
        "borders": int(sum(figures["borders"] for figures in found)),
        "figures": table.mean().round(4).to_dict(),
        "alarms": alarms.mean().round(4).to_dict(),
        "any_alarm": round(float(alarms.any(axis=1).mean()), 4),
    }


def format_tables(found: dict[str, Any]) -> str:
    """Format one table per case: a row for the clean pairs, and one for each fault and size."""
    lines = []
    for name, rows in found.items():
        case, clean = CASES[name], rows["clean"]
        size = " x ".join(map(str, case.shape))
        lines += [
            f"**{name}**: {size} voxels of {' x '.join(map(str, case.voxel_size))} um; clean are {clean['pairs']} pairs"
        ]
        lines[-1] += (
            f" with {clean['cells']:,} cells and {clean['borders']:,} borders of touching cells that were measured."
        )
        lines += ["", "| " + " | ".join(["planted", *COLUMNS.values(), "found", "its alarm", "any alarm"]) + " |"]
        lines += ["| --- |" + " ---: |" * (len(COLUMNS) + 3)]
        for key, row in rows.items():
            lines.append("| " + " | ".join([name_row(key), *format_row(row)]) + " |")
        lines.append("")
    return "\n".join(lines)


def name_row(key: str) -> str:
    """Name a fault and its size in words; what counts as seen is bold in its cell, not here."""
    if key == "clean":
        return "nothing"
    name, size = key.split()
    fault = FAULTS[name]
    shown = f"{float(size):.0%}" if fault.unit.startswith("of the") else size
    return f"{fault.title}: {shown} {fault.unit}"


def format_row(row: dict[str, Any]) -> list[str]:
    """Figures, share of the planted cells that were found, and share of the pairs with an alarm; bold what is seen."""
    figures = [format_figure(name, row["figures"][name]) for name in COLUMNS]
    found = "" if "found" not in row else f"{mark_seen(row['found'])} of {row['planted']}"
    return [*figures, found, mark_seen(row.get("alarm")), mark_seen(row["any_alarm"])]


def mark_seen(share: float | None) -> str:
    """Format a share as a percentage, bold where it is large enough for a fault to count as seen."""
    if share is None:
        return ""
    return f"**{share:.0%}**" if share >= DETECTABLE else f"{share:.1%}"


def format_figure(name: str, value: float | None) -> str:
    """Format shares as percentages, numbers of voxels and cells with two digits."""
    if value is None or np.isnan(value):
        return ""
    return f"{value:.1%}" if "share" in name or "above" in name else f"{value:.2f}"


def write_tables(found: dict[str, Any], page: Path) -> None:
    """Write the tables between the marks of a page."""
    before, _, rest = page.read_text("utf-8").partition(MARKS[0])
    after = rest.partition(MARKS[1])[2]
    page.write_text(f"{before}{MARKS[0]}\n\n{format_tables(found)}\n{MARKS[1]}{after}", "utf-8")


def main() -> None:
    """Read the arguments, measure a case or write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("output", type=Path, help="JSON file")
    parser.add_argument("--case", choices=list(CASES), help="measure this one")
    parser.add_argument("--pairs", type=int, nargs=2, default=(CLEAN, FAULTY), help="clean ones, and of each fault")
    parser.add_argument("--table", type=Path, help="page to write the tables into")
    arguments = parser.parse_args()
    found = json.loads(arguments.output.read_text("utf-8")) if arguments.output.exists() else {}
    if arguments.case:
        found[arguments.case] = measure(arguments.case, *arguments.pairs)
        found = {name: found[name] for name in CASES if name in found}
        arguments.output.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    if arguments.table:
        write_tables(found, arguments.table)


if __name__ == "__main__":
    main()
