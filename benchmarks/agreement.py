"""How well generated cells keep to their masks, by sampler, on the sketches of a finished run.

    python benchmarks/agreement.py results/hela benchmarks/agreement-hela.json

Each cell is segmented again by a threshold halfway between its inside and the background around it. The IoU of the
result with its mask is what the annotation is worth. A cell whose normalised contrast is less than LOST is lost.
"""

import argparse
import json
import os
import platform
import sys
import time
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow/scripts"))
from sketchscope.diffusion import generate, model_file
from sketchscope.diffusion.samplers import Sampler
from sketchscope.diffusion.tiling import Tiling
from sketchscope.io.images import list_image_files, read_image
from sketchscope.labels import cell_boxes
from sketchscope.run import devices

SAMPLERS = [("ddpm", None, 0.0), ("ddim", 20, 0.0), *(("dpm-solver++", 10, eta) for eta in (0.0, 0.25, 0.5))]
T_START, LOST = 400, 0.08
INNER, GAP, REACH = 2, 2, 4  # pixels: how deep the inside begins, and where the background begins and ends


def cell_agreement(image: np.ndarray, mask: np.ndarray) -> list[tuple[float, float]]:
    """Return IoU with its mask and contrast to the background, for each cell that has an inside and a background."""
    found = []
    padded_mask, padded = np.pad(mask, REACH), np.pad(image, REACH, "edge")
    for label, box in cell_boxes(padded_mask):
        around = tuple(slice(part.start - REACH, part.stop + REACH) for part in box)
        cell, part = padded_mask[around] == label, padded[around]
        others = ndimage.binary_dilation((padded_mask[around] > 0) & ~cell)
        near = ndimage.binary_dilation(cell, iterations=REACH) & ~others
        inside = ndimage.binary_erosion(cell, iterations=INNER)
        outside = near & ~ndimage.binary_dilation(cell, iterations=GAP)
        if inside.any() and outside.any():
            high, low = part[inside].mean(), part[outside].mean()
            bright = (ndimage.gaussian_filter(part, 0.5) > (high + low) / 2) & near
            found.append(((bright & cell).sum() / (bright | cell).sum(), high - low))
    return found


def main() -> None:
    """Read the arguments, generate, measure, print and write the file."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("results", type=Path, help="folder of one organism, such as results/hela")
    parser.add_argument("output", type=Path, help="JSON file to write")
    parser.add_argument("--volumes", type=int, default=4)
    arguments = parser.parse_args()
    model, cpu = arguments.results / "diffusion/model.safetensors", torch.device("cpu")
    tile = model_file.load_model(model)[1]["patch_shape"]
    masks = list_image_files(arguments.results / "masks/batch_000")
    sketches = list(list_image_files(arguments.results / "sketches/batch_000").items())[: arguments.volumes]
    table = []
    for sampler, steps, eta in SAMPLERS:
        tiling = Tiling(tile, [n // 4 for n in tile], None)
        make = generate.load_generator(model, cpu, Sampler(sampler, T_START, steps, eta, clip=True), tiling)
        started, found = time.perf_counter(), []
        for number, (name, path) in enumerate(sketches):
            image = make(read_image(path), key=[1, 2, number])
            found += cell_agreement(image, read_image(masks[name]))
        iou, contrast = np.array(found).T
        row = {"sampler": sampler, "steps": steps or T_START, "eta": eta, "cells": len(iou)}
        row |= {"iou_mean": iou.mean(), "iou_median": np.median(iou), "iou_above_0.7": (iou > 0.7).mean()}
        row |= {"lost": (contrast < LOST).mean(), "seconds": time.perf_counter() - started}
        table.append({key: round(float(v), 3) if isinstance(v, float) else v for key, v in row.items()})
        print(table[-1], flush=True)
    machine = {"cpus": os.cpu_count(), "platform": platform.platform(), "torch": torch.__version__}
    result = {"table": table, "dtype": str(devices.choose_precision("auto", cpu)), "machine": machine}
    arguments.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
