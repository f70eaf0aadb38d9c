"""Seconds of a training step on this CPU, and with what other CPUs lack switched off.

    python benchmarks/training.py benchmarks/training.json

The steps are those of the demos: of the diffusion model in 2D (16 patches of 64 x 64) and in 3D (8 patches of
5 x 64 x 64), with the sketch as a second channel and without, and of Cellpose's network (8 crops of 96 x 96, fp32).
They are timed in bfloat16 and fp32 with all instructions of this CPU, and in fp32 with AVX2 alone, as on a CPU without
AVX-512. Every kind runs in a process of its own, in turns, and the median of the rounds is taken: machines that others
use too are noisy.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
sys.path.insert(0, str(REPOSITORY / "workflow/scripts"))
PATCHES = {"hela": ((64, 64), 16, (0.645, 0.645)), "cho": ((5, 64, 64), 8, (1.0, 0.202, 0.202))}
CHANNELS, BLOCKS = (16, 32, 64, 128), 1  # of the demo scale
CROP, CROPS = 96, 8
AVX2 = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"}
KINDS = {"bfloat16": ("bfloat16", {}), "fp32": ("float32", {}), "fp32, AVX2": ("float32", AVX2)}
WARM_UP, STEPS = 3, 15


def seconds_of(step: Callable[[], object]) -> float:
    """Median time of a step, after a few to warm up."""
    times = []
    for _ in range(WARM_UP + STEPS):
        started = time.perf_counter()
        step()
        times.append(time.perf_counter() - started)
    return statistics.median(times[WARM_UP:])


def diffusion_step(organism: str, dtype: str, *, sees_sketch: bool) -> Callable[[], object]:
    """Make a step of the diffusion model: loss, gradient, AdamW."""
    import torch
    from sketchscope.diffusion.schedule import cosine_alpha_bar
    from sketchscope.diffusion.training import build_networks, prediction_loss

    shape, batch, voxel_size = PATCHES[organism]
    network = build_networks(CHANNELS, BLOCKS, shape, voxel_size, 1000, sees_sketch=sees_sketch)[0]
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    alpha_bar = torch.from_numpy(cosine_alpha_bar(1000))
    x_0, noise = torch.randn(batch, 1 + sees_sketch, *shape), torch.randn(batch, 1, *shape)
    t = torch.randint(1, 1001, (batch,))

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        prediction_loss(network, x_0, t, noise, alpha_bar, "eps", getattr(torch, dtype)).backward()
        optimizer.step()

    return step


def cellpose_step() -> Callable[[], object]:
    """Make a step of the network of Cellpose, which trains in fp32 whatever the CPU has."""
    import torch
    from cellpose.resnet_torch import CPnet

    network = CPnet([2, 32, 64, 128, 256], 3, 3).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    x, y = torch.randn(CROPS, 2, CROP, CROP), torch.randn(CROPS, 3, CROP, CROP)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        torch.nn.functional.mse_loss(network(x)[0], y).backward()
        optimizer.step()

    return step


def measure(dtype: str) -> None:
    """Print the seconds of every step, as JSON."""
    import torch

    torch.manual_seed(0)
    times = {}
    for organism in PATCHES:
        times[organism] = seconds_of(diffusion_step(organism, dtype, sees_sketch=True))
        times[f"{organism}, no sketch"] = seconds_of(diffusion_step(organism, dtype, sees_sketch=False))
    if dtype == "float32":
        times["cellpose"] = seconds_of(cellpose_step())
    print(json.dumps(times))


def name_cpu() -> str:
    """Name the CPU as the kernel does."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))


def main() -> None:
    """Read the arguments, measure in turns, write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("output", help="JSON file to write")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        measure(arguments.measure)
        return
    rounds: dict[str, list[dict[str, float]]] = {kind: [] for kind in KINDS}
    for _ in range(arguments.rounds):
        for kind, (dtype, limits) in KINDS.items():
            command = [sys.executable, __file__, "--measure", dtype, arguments.output]
            done = subprocess.run(command, env=os.environ | limits, check=True, capture_output=True, text=True)
            rounds[kind].append(json.loads(done.stdout.splitlines()[-1]))
            print(kind, rounds[kind][-1], flush=True)
    seconds = {
        kind: {name: round(statistics.median(row[name] for row in rows), 4) for name in rows[0]}
        for kind, rows in rounds.items()
    }
    record = {"seconds_of_a_step": seconds, "rounds": arguments.rounds, "cpu": name_cpu(), "cpus": os.cpu_count()}
    Path(arguments.output).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
