"""Memory and time of volumes that are large for the machine, on the CPU, each in its own process.

    python benchmarks/large.py results/cho/diffusion/model.safetensors benchmarks/large.json

A stack of 180 x 512 x 512 voxels in one piece, and one slab of a volume of 512 x 2048 x 2048 whose sketch lies on disk
as OME-Zarr. Each runs for two steps, since memory does not grow with steps; the time is extrapolated to ten.
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

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow/scripts"))
from sketchscope.diffusion import generate, slabs
from sketchscope.diffusion.samplers import Sampler
from sketchscope.diffusion.tiling import Tiling
from sketchscope.io import ome_zarr
from sketchscope.io.images import create_image, open_image
from sketchscope.run import devices

TILE, OVERLAP, STEPS, ALL_STEPS = [16, 128, 128], [4, 16, 16], 2, 10
STACK, VOLUME, SLAB = (180, 512, 512), (512, 2048, 2048), (32, 256, 256)


def peak() -> float:
    """Peak memory of this process, in GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def generate_part(model: Path, sketch: np.ndarray, origin: list[int]) -> dict:
    """Generate an image and return what it took."""
    device = devices.choose_device("cpu")
    sampler, tiling = Sampler("dpm-solver++", 400, STEPS, eta=0.0, clip=True), Tiling(TILE, OVERLAP, None)
    generator = generate.load_generator(model, device, sampler, tiling)
    before, started = peak(), time.perf_counter()
    image = generator(sketch, key=[1, 2, 3], origin=origin)
    seconds = (time.perf_counter() - started) * ALL_STEPS / STEPS
    assert np.isfinite(image).all()
    return {
        "voxels": list(sketch.shape),
        "peak_gib": round(peak(), 2),
        "gib_before": round(before, 2),
        "seconds_multiplied_out": round(seconds),
        "voxels_per_second": round(image.size / seconds),
    }


def stack(model: Path) -> dict:
    """Generate a stack in one piece."""
    return generate_part(model, np.full(STACK, -0.5, np.float32), [0, 0, 0])


def one_slab(model: Path) -> dict:
    """Generate a slab in the middle of a large volume whose sketch is a file of empty chunks."""
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/sketch.ome.zarr"
        with create_image(path, VOLUME, np.float32, (1.0, 0.2, 0.2)) as array:
            array[: ome_zarr.ZARR_CHUNK, : ome_zarr.ZARR_CHUNK, : ome_zarr.ZARR_CHUNK] = 0.5
        started = time.perf_counter()
        grid = slabs.cut_slabs(VOLUME, SLAB, TILE, OVERLAP)
        planned = time.perf_counter() - started
        slab = grid[len(grid) // 2]
        sketch = open_image(path)[slab.region]
    found = generate_part(model, sketch, [s.start for s in slab.region])
    return {"of": list(VOLUME), "slabs": len(grid), "seconds_to_plan": round(planned, 3)} | found


def main() -> None:
    """Read the arguments, measure each case in its own process, print and write the file."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", type=Path, help="trained 3D network, such as results/cho/diffusion/model.safetensors")
    parser.add_argument("output", type=Path, help="JSON file to write")
    parser.add_argument("--case", choices=["stack", "one_slab"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.case is not None:
        print(json.dumps({"stack": stack, "one_slab": one_slab}[arguments.case](arguments.model)))
        return
    result: dict = {"machine": {"cpus": os.cpu_count(), "platform": platform.platform(), "torch": torch.__version__}}
    for case in ("stack", "one_slab"):
        command = [sys.executable, __file__, arguments.model, arguments.output, "--case", case]
        result[case] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        print(case, result[case], flush=True)
    arguments.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
