"""Does a trained model hold on fields unlike those that it learnt from? Real test images, changed, of a finished run.

    python benchmarks/fields.py results/hela benchmarks/fields-hela.json

Every test image with reference labels is segmented as it is, and changed:

- a third of its cells: the others are painted over with background, its level smooth, its grain from elsewhere in the
  image, its rim blended
- three times its cells, or as many as find room: copies of those that the image does not cut, turned, are pasted into
  empty places, each as far above the background as it was
- a slope over the whole width, of a tenth of the height of a dim cell (the 10th percentile)
- half and twice the brightness, above the darkest voxels

by the trained model and by the classical segmentation. Scores are those of the workflow; false cells are predicted ones
that match none at an IoU of 0.5. Images must be 2D. Settings are those of the preset at the demo scale.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import ndimage
from skimage.segmentation import clear_border

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow/scripts"))
from sketchscope.config.resolve import resolve
from sketchscope.evaluation.metrics import LabelPair, score_images
from sketchscope.geometry import GAUSSIAN_MAD
from sketchscope.images import manifest
from sketchscope.io.atomic import write_json
from sketchscope.labels import cell_boxes
from sketchscope.segmentation.cellpose import Segmenter, Thresholds
from sketchscope.sketches.haze import blur_inside
from sketchscope.stains import STAINS

REPOSITORY = Path(__file__).parents[1]
MARGIN = 8  # pixels around a cell that belong to its blur
SLOW = 40.0  # pixels, the blur that makes the slow background
BRIGHT = 4.0  # standard deviations of the smoothed background
TRIES = 200  # places that are tried for each copy
Field = tuple[np.ndarray, np.ndarray]
"""An image, float32, and its labels."""


def leave_a_third(image: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> Field:
    """Paint two thirds of the cells over."""
    numbers = np.unique(labels[labels > 0])
    gone = rng.permutation(numbers)[len(numbers) // 3 :]
    taken = np.isin(labels, gone)
    hole = ndimage.binary_dilation(taken, iterations=MARGIN) & ~ndimage.binary_dilation((labels > 0) & ~taken)
    far = far_from_cells(image, labels)
    level = background_level(image, far)
    painted = level + fill_texture(image - level, far, rng)
    share = feather(hole)
    return image + share * (painted - image), np.where(taken, 0, labels)


def far_from_cells(image: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Where no light of a cell reaches, and nothing without a label is bright: bool array."""
    empty = ~ndimage.binary_dilation(labels > 0, iterations=2 * MARGIN)
    smooth = ndimage.gaussian_filter(image, 2)
    middle = np.median(smooth[empty])
    bright = smooth > middle + BRIGHT * GAUSSIAN_MAD * np.median(np.abs(smooth[empty] - middle))
    return empty & ~ndimage.binary_dilation(bright, iterations=MARGIN)


def background_level(image: np.ndarray, far: np.ndarray) -> np.ndarray:
    """Slow background of an image, also below its cells."""
    return blur_inside(image, far, np.array([SLOW, SLOW]))


def fill_texture(texture: np.ndarray, known: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Fill what is not known with known parts of the same image, shifted as a whole, so that its grain stays."""
    filled, missing = np.where(known, texture, 0), ~known
    while missing.any():
        shift = [rng.integers(n) for n in texture.shape]
        found = missing & np.roll(known, shift, (0, 1))
        filled[found] = np.roll(texture, shift, (0, 1))[found]
        missing &= ~found
    return filled


def feather(inside: np.ndarray) -> np.ndarray:
    """Weight that falls to zero over the last pixels inside: float array."""
    return np.clip(ndimage.distance_transform_edt(inside) / (MARGIN / 2), 0, 1)


def paste_copies(image: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> Field:
    """Paste two copies of each cell into empty places, as long as there is room."""
    made, numbers = image.copy(), labels.astype(np.int64)
    level = background_level(image, far_from_cells(image, labels))
    for label, box in list(cell_boxes(clear_border(labels))) * 2:
        box = tuple(slice(max(0, part.start - MARGIN), part.stop + MARGIN) for part in box)
        cell = labels[box] == label
        light = ndimage.binary_dilation(cell, iterations=MARGIN) & ((labels[box] == 0) | cell)
        turns = rng.integers(4)
        cell, light, height = (np.rot90(x, turns) for x in (cell, light, image[box] - level[box]))
        for _ in range(TRIES):
            corner = rng.integers(0, np.maximum(1, np.subtract(image.shape, cell.shape)))
            place = tuple(slice(a, a + n) for a, n in zip(corner, cell.shape, strict=True))
            if numbers[place].shape == cell.shape and not numbers[place][ndimage.binary_dilation(light)].any():
                share = np.maximum(feather(light), cell)
                made[place] += share * (level[place] + height - made[place])
                numbers[place][cell] = numbers.max() + 1
                break
    return made, numbers


def add_slope(image: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> Field:
    """Add a slope over the width, of a tenth of the height of a dim cell."""
    cells = ndimage.median(image, labels, np.unique(labels[labels > 0]))
    height = np.percentile(cells, 10) - np.median(image[labels == 0])
    return image + 0.1 * height * np.linspace(0, 1, image.shape[-1], dtype=np.float32), labels


def scale(factor: float) -> Callable[[np.ndarray, np.ndarray, np.random.Generator], Field]:
    """Make a change of the brightness above the darkest pixels."""

    def change(image: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> Field:
        low = np.percentile(image, 0.1)
        return low + factor * (image - low), labels

    return change


CHANGES: dict[str, Callable[[np.ndarray, np.ndarray, np.random.Generator], Field]] = {
    "unchanged": lambda image, labels, rng: (image, labels),
    "a third of the cells": leave_a_third,
    "up to three times the cells": paste_copies,
    "a slope": add_slope,
    "half the brightness": scale(0.5),
    "twice the brightness": scale(2.0),
}


def open_models(results: Path, organism: dict[str, Any], voxel_size: tuple[float, ...]) -> dict[str, Callable]:
    """Open the trained and the classical segmentation: each makes labels of an image."""
    diameter, stain = organism["cell_diameter"], STAINS[organism["stain"]]
    thresholds = Thresholds(*(organism["cellpose"][name] for name in Thresholds._fields))
    model = results / "cellpose/sketchscope/model"
    trained = Segmenter(model, voxel_size, diameter, thresholds, device=torch.device("cpu"))
    numbers = stain.segmentation(**organism["classical"])
    return {
        "sketchscope": trained.segment,
        "classical": lambda image: stain.segment(image, voxel_size, diameter, numbers),
    }


def score_change(fields: Iterator[Field], segment: Callable[[np.ndarray], np.ndarray], border: int) -> dict[str, Any]:
    """Segment changed images and score them."""
    pairs = [LabelPair(str(number), labels, segment(image)) for number, (image, labels) in enumerate(fields)]
    scores = score_images(pairs, [0.5, 0.75, 0.9], border)[1]
    false = [image["n_predicted"] - image["found_by_iou"][0] for image in scores["per_image"]]
    kept = {name: round(scores[name], 4) for name in ("ap50", "ap75", "ap90", "pq")}
    return {"cells": scores["n_cells"], **kept, "false_per_field": round(float(np.mean(false)), 2)}


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path, help="folder of one organism, such as results/hela")
    parser.add_argument("output", type=Path, help="JSON file to write")
    options = parser.parse_args()
    config = {"scale": "demo", "organisms": {options.results.name: {}}}
    organism = resolve(config, REPOSITORY)["organisms"][options.results.name]
    rows = manifest.select_held_out(manifest.read_manifest(options.results / "manifest.csv"))
    images = [manifest.load_image(row, options.results / "images").astype(np.float32) for row in rows]
    labels = [manifest.load_image(row, options.results / "labels") for row in rows]
    table = []
    for change, apply in CHANGES.items():
        fields = [
            apply(*pair, np.random.default_rng(number)) for number, pair in enumerate(zip(images, labels, strict=True))
        ]
        for model, segment in open_models(options.results, organism, rows[0].voxel_size).items():
            row = score_change(iter(fields), segment, organism["evaluation"]["border"])
            table.append({"change": change, "model": model} | row)
            print(json.dumps(table[-1]), flush=True)
    write_json(options.output, {"images": len(rows), "rows": table})


if __name__ == "__main__":
    main()
