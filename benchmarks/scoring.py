"""Seconds and peak memory of scoring a large pair of label volumes.

    python benchmarks/scoring.py benchmarks/scoring.json

The volumes hold 2,000 cells of rough outline in 180 x 512 x 512 voxels. The prediction is shifted and has merged, split
and lost cells. Seconds are the best of three runs in this process, of the clock and of the processor (on a busy machine
the clock shows more). Memory is the peak of the scoring, without the two volumes.
"""

import argparse
import json
import os
import platform
import sys
import time
import tracemalloc
from pathlib import Path

import numpy as np
from scipy import ndimage

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow/scripts"))
from sketchscope.evaluation import metrics

SHAPE, CELLS, BORDER = (180, 512, 512), 2000, 25
THRESHOLDS = (0.5, 0.75, 0.9)
RADII = (7, 15)  # voxels


def draw_labels(rng: np.random.Generator) -> np.ndarray:
    """Balls with a rough surface, labels (Z, Y, X); the nearest of overlapping ones wins."""
    labels, nearest = np.zeros(SHAPE, np.uint16), np.full(SHAPE, np.inf, np.float32)
    rough = ndimage.gaussian_filter(rng.standard_normal(SHAPE, np.float32), 2)
    rough *= 0.15 / rough.std()
    centres, radii = rng.uniform(0, SHAPE, (CELLS, 3)), rng.uniform(*RADII, CELLS)
    for label, (centre, radius) in enumerate(zip(centres, radii, strict=True), start=1):
        reach = 1.6 * radius
        box = tuple(
            slice(max(0, int(c - reach)), min(int(c + reach) + 1, n)) for c, n in zip(centre, SHAPE, strict=True)
        )
        grid = np.ogrid[box]
        distance = np.sqrt(sum((g - c) ** 2 for g, c in zip(grid, centre, strict=True))) / radius + rough[box]
        mine = (distance < 1) & (distance < nearest[box])
        labels[box][mine], nearest[box][mine] = label, distance[mine]
    return labels


def spoil(labels: np.ndarray) -> np.ndarray:
    """Move the labels by a voxel, with some of them merged, lost or cut in two."""
    change = np.arange(labels.max() + 1, dtype=np.uint16)
    change[20::20] = change[19:-1:20]
    change[21::20] = 0
    predicted = change[np.roll(labels, 1, axis=-1)]
    cut = (labels % 20 == 3) & (predicted > 0) & (np.arange(SHAPE[2]) % 16 < 8)
    predicted[cut] += np.uint16(3000)
    return predicted


def main() -> None:
    """Read the arguments, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("output", type=Path, help="JSON file to write")
    arguments = parser.parse_args()
    reference = draw_labels(np.random.default_rng(1))
    predicted = spoil(reference)
    seconds = []
    for _ in range(3):
        started = time.perf_counter(), time.process_time()
        _, scores = metrics.score_images([("volume", reference, predicted)], THRESHOLDS, BORDER)
        seconds.append((time.perf_counter() - started[0], time.process_time() - started[1]))
    tracemalloc.start()
    metrics.score_images([("volume", reference, predicted)], THRESHOLDS, BORDER)
    peak = tracemalloc.get_traced_memory()[1]
    kept = ("n_cells", "ap50", "ap_mean", "pq", "seg", "det", "n_splits", "n_merges", "size_ratio")
    record = {
        "shape": SHAPE,
        "cells": [int(np.unique(labels).size - 1) for labels in (reference, predicted)],
        "border": BORDER,
        "seconds": round(min(wall for wall, _ in seconds), 2),
        "processor_seconds": round(min(used for _, used in seconds), 2),
        "peak_mib": round(peak / 2**20),
        "volumes_mib": round((reference.nbytes + predicted.nbytes) / 2**20),
        "scores": {key: scores[key] for key in kept},
        "machine": {"cpus": os.cpu_count(), "platform": platform.platform()},
    }
    arguments.output.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(record))


if __name__ == "__main__":
    main()
