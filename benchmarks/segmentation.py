"""Seconds and peak memory of Cellpose on stacks, with flows followed in 3D, each size in its own process.

    python benchmarks/segmentation.py benchmarks/segmentation.json

The stacks hold simulated nuclei of 15 micrometres, drawn as sketches, with noise. The model is first trained on two of
them for a minute or two, so that it finds about as many nuclei as there are. Cellpose resamples a stack to nuclei of 30
pixels and, along z, to cubic voxels; memory depends on the number of voxels after that. What the process holds before
is subtracted.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
sys.path.insert(0, str(REPOSITORY / "workflow/scripts"))
VOXEL_SIZE = (1.0, 0.5, 0.5)
DIAMETER = 15.0  # micrometres: 30 pixels
TRAINED_ON = (32, 128, 128)
SHAPES = [(16, 128, 128), (32, 192, 192), (32, 256, 256), (64, 256, 256)]
TRAINING = {
    "epochs": 60,
    "images_per_epoch": 16,
    "batch_size": 8,
    "crop": 96,
    "learning_rate": 0.004,
    "weight_decay": 1e-5,
}
SEGMENTATION = {"flow_threshold": 0.4, "cellprob_threshold": 0.0, "min_size": 15, "stitch_threshold": None}


def draw_stack(shape: tuple[int, ...], seed: int) -> tuple:
    """Draw a stack of nuclei; returns it and its labels."""
    import numpy as np
    from sketchscope.config.resolve import resolve_organism
    from sketchscope.config.views import simulation_settings
    from sketchscope.masks.nuclei import simulate_nuclei
    from sketchscope.masks.simulators import read_settings
    from sketchscope.sketches.depth import Measured
    from sketchscope.sketches.draw import NucleusSketch, draw_nuclei

    rng = np.random.default_rng(seed)
    settings = resolve_organism("benchmark", {"preset": "nuclei-3d", "images": __file__}, "demo", REPOSITORY)
    numbers = read_settings("nuclei", {"diameter": DIAMETER, **simulation_settings(settings)})
    labels = simulate_nuclei(shape, VOXEL_SIZE, numbers, rng).labels
    sketch = NucleusSketch(**settings["sketch"] | {"decay_um": None, "field": "flat"})
    image = draw_nuclei(labels, VOXEL_SIZE, sketch, Measured(np.full(1, 0.5), -0.8), rng)
    return (1000 * (image + rng.normal(0, 0.1, shape) + 2)).astype(np.uint16), labels


def train(model: Path) -> None:
    """Train the model on two stacks."""
    import torch
    from sketchscope.segmentation.cellpose import Training, make_training_planes, train

    pairs = [draw_stack(TRAINED_ON, seed) for seed in (1, 2)]
    images, labels = make_training_planes(pairs, VOXEL_SIZE, DIAMETER)
    settings, pixel_diameter = Training(**TRAINING), DIAMETER / VOXEL_SIZE[-1]
    train(model, images, labels, settings, pixel_diameter=pixel_diameter, seed=1, device=torch.device("cpu"))


def peak() -> float:
    """Return the peak memory of this process in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(model: Path, shape: tuple[int, ...]) -> dict:
    """Segment one stack in this process."""
    import torch
    from sketchscope.segmentation.cellpose import Segmenter, Thresholds

    image, labels = draw_stack(shape, 3)
    segmenter = Segmenter(model, VOXEL_SIZE, DIAMETER, Thresholds(**SEGMENTATION), device=torch.device("cpu"))
    before, started = peak(), time.perf_counter()
    found = segmenter.segment(image)
    voxels = image.size * VOXEL_SIZE[0] / VOXEL_SIZE[-1]
    held, seconds = peak() - before, time.perf_counter() - started
    return {
        "shape": shape,
        "isotropic_voxels": int(voxels),
        "nuclei": int(labels.max()),
        "found": int(found.max()),
        "seconds": round(seconds, 1),
        "peak_mib": round(held, 1),
        "microseconds_per_isotropic_voxel": round(1e6 * seconds / voxels, 1),
        "bytes_per_isotropic_voxel": round(held * 2**20 / voxels, 1),
    }


def run(*options: object) -> str:
    """Run this script with options in its own process, which starts small; returns what it prints last."""
    command = [sys.executable, __file__, *map(str, options)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.splitlines()[-1]


def main() -> None:
    """Read the arguments, measure, print and write the file."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("output", type=Path, nargs="?", help="JSON file to write")
    parser.add_argument("--model", type=Path, help="train this model in this process")
    parser.add_argument("--shape", type=int, nargs=3, help="or measure it on a stack of this shape, and print that")
    arguments = parser.parse_args()
    if arguments.shape:
        return print(json.dumps(measure(arguments.model, tuple(arguments.shape))))
    if arguments.model:
        return train(arguments.model)
    if arguments.output is None:
        parser.error("name the JSON file to write")
    results = []
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model"
        run("--model", model)
        for shape in SHAPES:
            results.append(json.loads(run("--model", model, "--shape", *shape)))
            print(results[-1], flush=True)
    machine = {"cpus": os.cpu_count(), "platform": platform.platform(), "python": platform.python_version()}
    arguments.output.write_text(json.dumps({"stacks": results, "machine": machine}, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
