"""Draw a simulated mask and its sketch for every preset of the paper's organisms, one slice each.

    python benchmarks/organisms.py docs/organisms.png

Grey values are drawn from a normal distribution; the workflow draws them from real images.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow/scripts"))
from sketchscope.config.resolve import resolve_organism
from sketchscope.config.views import simulation_settings
from sketchscope.masks.simulators import SIMULATORS, read_settings
from sketchscope.sketches.depth import Measured
from sketchscope.stains import STAINS

REPOSITORY = Path(__file__).parents[1]
ORGANISMS = ["arabidopsis", "elegans", "zebrafish-nuclei", "zebrafish-membranes", "tribolium", "gowt1", "hela"]
LARGEST = 700  # pixels of a panel along each side
DECAY_UM = 150.0  # in the workflow measured in real images


def make(organism: str) -> tuple[np.ndarray, np.ndarray]:
    """Simulate a mask at the paper's scale and draw its sketch: the slice at half height of both."""
    own = {"images": str(Path(__file__))}  # the preset's data set need not be there
    settings = resolve_organism(organism, own, "paper", REPOSITORY)
    rng, simulator, stain = np.random.default_rng(1), settings["simulation"]["simulator"], STAINS[settings["stain"]]
    shape, voxel_size = settings["volume_shape"] or (700, 700), settings["voxel_size"]
    numbers = read_settings(simulator, {"diameter": settings["cell_diameter"], **simulation_settings(settings)})
    mask = SIMULATORS[simulator].simulate(shape, voxel_size, numbers, rng).labels
    measured = Measured(rng.normal(0.2, 0.3, 200).clip(-0.7, 1), background=-0.9)
    sketch = stain.sketch(**settings["sketch"] | {"sigma": 1.0, "decay_um": DECAY_UM, "field": "flat"})
    drawn = stain.draw(mask, voxel_size, sketch, measured, rng)
    middle = tuple(n // 2 for n in mask.shape[:-2])
    window = (*middle, slice(LARGEST), slice(LARGEST))
    return mask[window], drawn[window]


def main() -> None:
    """Read the argument, draw and write the picture."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("output", type=Path, help="PNG file to write")
    arguments = parser.parse_args()
    colours = np.random.default_rng(0).uniform(0.2, 1, (2**16, 3))
    colours[0] = 0
    figure, axes = plt.subplots(2, len(ORGANISMS), figsize=(2.6 * len(ORGANISMS), 5.4), layout="constrained")
    for column, organism in zip(axes.T, ORGANISMS, strict=True):
        mask, drawn = make(organism)
        column[0].imshow(colours[mask], interpolation="nearest")
        column[0].set_title(organism)
        column[1].imshow(drawn, cmap="gray", vmin=-1, vmax=0.6)
        for axis in column:
            axis.axis("off")
    figure.savefig(arguments.output, dpi=80)


if __name__ == "__main__":
    main()
