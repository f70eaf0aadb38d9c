"""Spread and skew of the sizes of simulated cells in tissue, beside those asked for.

    python benchmarks/tissue.py benchmarks/tissue.json

Cells that the border of a volume cuts are left out, which favours small ones.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from scipy.stats import skew

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow/scripts"))
from sketchscope.masks.specimen import SpecimenSettings
from sketchscope.masks.tissue import TissueSettings, simulate_tissue

BOX = SpecimenSettings("box", None, None, 0.0)
GEOMETRY = {2: ((400, 400), (0.5, 0.5)), 3: ((120, 120, 120), (0.7, 0.7, 0.7))}
VOLUMES = {2: 8, 3: 4}
DIAMETER = 10.0


def measure_diameters(labels: np.ndarray, voxel_size: tuple[float, ...]) -> np.ndarray:
    """Measure the diameters (micrometres) of the cells that no border cuts."""
    border = [labels.take(end, axis).ravel() for axis in range(labels.ndim) for end in (0, -1)]
    sizes = np.bincount(labels.ravel())
    sizes[np.unique(np.concatenate(border))] = 0
    sizes = sizes[1:][sizes[1:] > 0] * np.prod(voxel_size)
    return (4 / np.pi * sizes) ** 0.5 if labels.ndim == 2 else (6 / np.pi * sizes) ** (1 / 3)


def measure(ndim: int, cv: float) -> dict[str, float]:
    """Measure the cells of some volumes."""
    shape, voxel_size = GEOMETRY[ndim]
    settings = TissueSettings(DIAMETER, cv, 0, 0.0, BOX)
    masks = [simulate_tissue(shape, voxel_size, settings, np.random.default_rng(seed)) for seed in range(VOLUMES[ndim])]
    found = np.concatenate([measure_diameters(mask.labels, voxel_size) for mask in masks])
    values = {"mean": found.mean(), "cv": found.std() / found.mean(), "skew_of_logarithms": skew(np.log(found))}
    return {"cells": len(found), **{name: round(float(value), 3) for name, value in values.items()}}


def main() -> None:
    """Read the argument, measure, print and write the file."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("output", type=Path, help="JSON file to write")
    arguments = parser.parse_args()
    found = {f"{ndim}D, diameter_cv {cv}": measure(ndim, cv) for ndim in (2, 3) for cv in (0.1, 0.2, 0.3)}
    print(json.dumps(found, indent=1))
    arguments.output.write_text(json.dumps({"diameter": DIAMETER, "cases": found}, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
