"""Time of one generated volume: the authors' recipe beside ours, with the authors' network, on one machine in one run.

    python benchmarks/generation.py --device cpu --quick benchmarks/generation-cpu.json

The network is the authors' (F = 16, random weights: the time does not depend on them), the volume 512 x 512 x 180.
Their recipe: patches of 32 x 128 x 128 one by one, fp32, 400 ancestral steps. It is timed on a few passes and
extrapolated. Ours: overlapping tiles in batches, in the precision that the device is fast at, few steps. The whole
volume is generated; with --quick only a part of it for a few steps, and the time is extrapolated by the passes.

Random weights make no images worth a score. With --quality FILE the output also has what benchmarks/quality.py has
measured for both recipes with a trained network.
"""

import argparse
import json
import math
import os
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow/scripts"))
from sketchscope.diffusion import author_network, generate, samplers, schedule, tiling
from sketchscope.diffusion.prediction import predict_x_0
from sketchscope.run import devices

SHAPE = (180, 512, 512)
PATCH, ADVANCE, RIM, THEIR_STEPS = (32, 128, 128), (32, 68, 68), (0, 40, 40), 400  # 486 patches
OVERLAP, SAMPLER, STEPS, ETA = (4, 16, 16), "dpm-solver++", 10, 0.0
MATRIX = 2048


def wait(device: torch.device) -> None:
    """Wait for the device, which works asynchronously."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds_of(work: Callable[[], object], device: torch.device, repeats: int) -> float:
    """Median time of a call, after one to warm up."""
    work()
    times = []
    for _ in range(repeats):
        wait(device)
        started = time.perf_counter()
        work()
        wait(device)
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def matrix_flops(device: torch.device, dtype: torch.dtype) -> float:
    """Floating-point operations per second of a matrix product."""
    size = MATRIX if device.type == "cpu" else 4 * MATRIX
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    return 2 * size**3 / seconds_of(lambda: a @ b, device, 5)


def pass_flops(network: torch.nn.Module, shape: Sequence[int], device: torch.device) -> float:
    """Floating-point operations of one patch through the network."""
    x = torch.zeros(1, network.in_channels, *shape, device=device)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(x, torch.zeros(1, device=device))
    return counter.get_total_flops()


def patches_of_theirs(shape: Sequence[int]) -> int:
    """Count the patches of the authors' recipe, which extend beyond the volume by what is cropped and overlaps."""
    return math.prod(math.ceil((n + 2 * rim) / step) for n, rim, step in zip(shape, RIM, ADVANCE, strict=True))


@torch.no_grad()
def time_theirs(network: torch.nn.Module, shape: Sequence[int], device: torch.device, repeats: int) -> dict:
    """Seconds of the authors' recipe for a volume, from the time of one step of one patch."""
    x = torch.randn(1, network.in_channels, *PATCH, device=device)
    before, at_t = author_network.author_alpha_bar(network.timesteps)[200:202].tolist()

    def step() -> None:
        eps = network(x, torch.full((1,), 200, device=device))
        x_0 = predict_x_0(x[:, :1], eps, at_t, "eps", clip=True)
        samplers.ddpm_step(x[:, :1], x_0, torch.randn_like(eps), at_t, before)

    seconds, patches = seconds_of(step, device, repeats), patches_of_theirs(shape)
    passes = patches * THEIR_STEPS
    return {"seconds": seconds * passes, "passes": passes, "seconds_of_a_pass": seconds, "multiplied_out": True}


def time_ours(network: torch.nn.Module, shape: Sequence[int], device: torch.device, *, part: Sequence[int]) -> dict:
    """Seconds of our engine for a volume, from a part of it (which may be the whole)."""
    alpha_bar = author_network.author_alpha_bar(network.timesteps)
    steps = schedule.respace(alpha_bar, THEIR_STEPS, STEPS, generate.SPACING)
    dtype = devices.choose_precision("auto", device)
    tiles_of = {name: len(tiling.cut_tiles(size, PATCH, OVERLAP)) for name, size in (("part", part), ("whole", shape))}
    few = steps if tuple(part) == tuple(shape) else schedule.Schedule(*(values[:2] for values in steps))
    sketch = np.random.default_rng(0).uniform(-1, 1, part).astype(np.float32)
    sampler, tiled = samplers.Sampler(SAMPLER, THEIR_STEPS, STEPS, ETA, clip=True), tiling.Tiling(PATCH, OVERLAP, None)
    generator = generate.VolumeGenerator(network, few, sampler, tiled, device, dtype)

    def make() -> None:
        generate.generate_volume(generator, sketch, key=[1])

    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    seconds = seconds_of(make, device, 1)
    share = tiles_of["whole"] * STEPS / (tiles_of["part"] * len(few.timesteps))
    return {
        "seconds": seconds * share,
        "passes": tiles_of["whole"] * STEPS,
        "seconds_of_a_pass": seconds / (tiles_of["part"] * len(few.timesteps)),
        "multiplied_out": share != 1,
        "timed_on": f"{'x'.join(map(str, part))} voxels, {len(few.timesteps)} of {STEPS} steps",
        "sampler": SAMPLER,
        "steps": STEPS,
        "eta": ETA,
        "dtype": str(dtype).removeprefix("torch."),
    }


@torch.no_grad()
def time_variants(network: torch.nn.Module, device: torch.device, dtype: torch.dtype, *, compiled: bool) -> dict:
    """Seconds of one tile through the network by memory format, and compiled."""

    def seconds(model: torch.nn.Module, memory_format: torch.memory_format) -> float:
        model = model.to(memory_format=memory_format)
        x = torch.randn(1, network.in_channels, *PATCH, device=device).to(memory_format=memory_format)

        def predict() -> None:
            with devices.autocast(device, dtype):
                model(x, torch.full((1,), 200, device=device))

        return seconds_of(predict, device, 3)

    found = {
        "contiguous": seconds(network, torch.contiguous_format),
        "channels_last_3d": seconds(network, torch.channels_last_3d),
    }
    network.to(memory_format=torch.contiguous_format)
    if compiled:
        found["compiled"] = seconds(torch.compile(network), torch.contiguous_format)
    return found


def quality_of_both(measured: dict) -> dict:
    """Scores and seams of both recipes, from the result of benchmarks/quality.py."""
    rows = {(row["sampler"], row["steps"], row["eta"]): row for row in measured["table"]}
    theirs = next(row for (sampler, _, _), row in rows.items() if "authors" in sampler)
    return {
        "theirs": theirs | {"seams": measured["seams"]["authors"]},
        "ours": rows[SAMPLER, STEPS, ETA] | {"seams": measured["seams"]["tiles"]},
    }


def peak_memory(device: torch.device) -> float:
    """Peak memory of the device, or of this process on the CPU, in GiB."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> None:
    """Read the arguments, measure, print and write the file."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("output", type=Path, help="JSON file to write")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--quick", action="store_true", help="time a part of the volume and multiply out")
    parser.add_argument("--compile", action="store_true", help="time a compiled network too")
    parser.add_argument("--quality", type=Path, help="JSON file of benchmarks/quality.py, with --authors")
    arguments = parser.parse_args()
    device = devices.choose_device(arguments.device)
    network = author_network.AuthorNetwork(16).to(device).eval()
    part = (60, 240, 240) if arguments.quick else SHAPE
    dtype = devices.choose_precision("auto", device)
    flops = pass_flops(network, PATCH, device)
    theirs = time_theirs(network, SHAPE, device, 3 if arguments.quick else 20)
    ours = time_ours(network, SHAPE, device, part=part)
    for name, cost, kind in (("theirs", theirs, torch.float32), ("ours", ours, dtype)):
        cost["flops"] = flops / cost["seconds_of_a_pass"]
        cost["share_of_matrix_product"] = cost["flops"] / matrix_flops(device, kind)
        cost["voxels_per_second"] = np.prod(SHAPE).item() / cost["seconds"]
        print(name, {key: round(v, 3) if isinstance(v, float) else v for key, v in cost.items()}, flush=True)
    result = {
        "seconds_of_a_tile": time_variants(network, device, dtype, compiled=arguments.compile),
        "theirs": theirs,
        "ours": ours,
        "ratio": theirs["seconds"] / ours["seconds"],
        "peak_memory_gib": peak_memory(device),
        "gflop_of_a_pass": flops / 1e9,
        "device": devices.describe_device(device),
        "machine": {"cpus": os.cpu_count(), "platform": platform.platform(), "torch": torch.__version__},
    }
    if arguments.quality is not None:
        result["quality"] = quality_of_both(json.loads(arguments.quality.read_text(encoding="utf-8")))
        print("quality", result["quality"])
    print("seconds of a tile", result["seconds_of_a_tile"])
    print(f"ratio {result['ratio']:.1f}, peak memory {result['peak_memory_gib']:.1f} GiB")
    arguments.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
