"""Share of the nuclei that find a place, at and around the density that is taken for the largest possible.

    python benchmarks/packing.py benchmarks/packing.json

Each case is one kind of nuclei in one kind of volume. A density above the largest is refused by the workflow; here it
is tried. Shares are means over two seeds; fill is the share of the volume's voxels that are nuclei.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow/scripts"))
from sketchscope.masks import nuclei
from sketchscope.masks.cells import NucleiSettings
from sketchscope.masks.crowding import describe_crowd, largest_density
from sketchscope.masks.specimen import SpecimenSettings

SEEDS = (1, 2)
FACTORS = (0.9, 1.0, 1.2)
BOX = SpecimenSettings("box", None, None, 0.0)
EMBRYO = SpecimenSettings("ellipsoid", [60.0, 60.0, 90.0], None, 0.0)
SMALL = SpecimenSettings("ellipsoid", [40.0, 40.0, 50.0], None, 0.0)
CAP = SpecimenSettings("dome", [200.0, 200.0, 200.0], 40.0, 0.0)
USUAL: dict[str, Any] = {
    **{"diameter": 10.0, "diameter_cv": 0.2, "elongation": 1.3, "elongation_sd": 0.2, "flatness": 1.0},
    **{"roughness": 0.05, "surface": "waves", "mitotic_fraction": 0.0, "mitotic_elongation": 2.0, "size_exponent": 0.0},
    **{"cluster_fraction": 0.0, "cluster_gap_um": 0.5, "layer_um": None, "spacing_um": None, "specimen": BOX},
}
ROUND = {"diameter_cv": 0.0, "elongation": 1.0, "elongation_sd": 0.0}
PLANE, STACK, THIN = (300, 300), (80, 100, 100), (5, 200, 200)  # voxels of a micrometre
CASES = {
    "discs": (PLANE, ROUND),
    "2D, as usual": (PLANE, {}),
    "2D, elongation 2": (PLANE, {"elongation": 2.0}),
    "2D, elongation 4": (PLANE, {"elongation": 4.0}),
    "2D, elongation 8": (PLANE, {"elongation": 8.0}),
    "2D, diameter_cv 0.5": (PLANE, {"diameter_cv": 0.5}),
    "2D, spacing of 1.2 diameters": (PLANE, {"spacing_um": 12.0}),
    "balls": (STACK, ROUND),
    "3D, as usual": (STACK, {}),
    "3D, elongation 2": (STACK, {"elongation": 2.0}),
    "3D, elongation 4": (STACK, {"elongation": 4.0}),
    "3D, elongation 8": (STACK, {"elongation": 8.0}),
    "3D, flat": (STACK, {"flatness": 0.5}),
    "3D, diameter_cv 0.5": (STACK, {"diameter_cv": 0.5}),
    "3D, spacing of 1.2 diameters": (STACK, {"spacing_um": 12.0}),
    "thin stack": (THIN, {}),
    "one layer, flat": (THIN, {"flatness": 0.45, "layer_um": [0.5, 0.5]}),
    "one layer, with spacing": (THIN, {"spacing_um": 12.0, "layer_um": [2.5, 0.5]}),
    "embryo": ((64, 64, 94), {"specimen": EMBRYO}),
    "small embryo": ((44, 44, 54), {"specimen": SMALL}),
    "cap": ((60, 120, 120), {"specimen": CAP}),
}


def _plain(settings: NucleiSettings) -> dict[str, Any]:
    return settings._asdict() | {"specimen": settings.specimen._asdict()}


def measure(shape: tuple[int, ...], changes: dict[str, Any]) -> dict[str, Any]:
    """Measure one case: its largest density, and by density over that the share of nuclei placed, fill and seconds."""
    settings = NucleiSettings(**USUAL | changes, density=1.0)
    largest = largest_density(describe_crowd(_plain(settings), shape[0] if len(shape) == 3 else None))
    found = {}
    for factor in FACTORS:
        started, masks = time.process_time(), []
        for seed in SEEDS:
            rng = np.random.default_rng(seed)
            masks.append(
                nuclei.simulate_nuclei(shape, [1.0] * len(shape), settings._replace(density=factor * largest), rng)
            )
        shares = [mask.census.placed / mask.census.drawn for mask in masks]
        found[f"{factor:g}"] = {
            "share": round(float(np.mean(shares)), 3),
            "nuclei": round(np.mean([mask.census.drawn for mask in masks])),
            "fill": round(float(np.mean([(mask.labels > 0).mean() for mask in masks])), 3),
            "seconds": round((time.process_time() - started) / len(SEEDS), 2),
        }
    return {"largest_density": round(largest, 1), "by_density_over_largest": found}


def main() -> None:
    """Read the argument, measure, print and write the file."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("output", type=Path, help="JSON file to write")
    arguments = parser.parse_args()
    nuclei.check_density = lambda *_: None  # what would be refused is tried
    cases = {}
    for name, case in CASES.items():
        cases[name] = measure(*case)
        shares = {factor: row["share"] for factor, row in cases[name]["by_density_over_largest"].items()}
        print(f"{name}: {cases[name]['largest_density']}, {shares}", flush=True)
    arguments.output.write_text(json.dumps(cases, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
