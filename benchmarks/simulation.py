"""Seconds and peak memory of one simulated mask of each kind, on one core, each case in its own process.

    python benchmarks/simulation.py benchmarks/simulation.json

The settings are those of the presets. The density is set so that a mask holds as many cells as in the case that the
authors' code was timed on. Seconds are given of the processor, which other work on the machine changes less, and of the
clock: the median of three masks with different seeds. The peak is that of the whole process.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

REPOSITORY = Path(__file__).parents[1]
sys.path.insert(0, str(REPOSITORY / "workflow/scripts"))
SEEDS = (1, 2, 3)


class Case(NamedTuple):
    """What is simulated and what it may cost: seconds, GiB (None: no goal), and seconds of the authors' code."""

    preset: str
    shape: tuple[int, ...]
    voxel_size: tuple[float, ...] | None
    changes: dict
    seconds: float
    gib: float | None
    theirs: float | None


CASES = {
    "tribolium, 3,000 nuclei": Case("tribolium", (13, 2450, 1700), None, {}, 5.0, 1.0, 82.0),
    "elegans, 200 nuclei": Case("elegans", (35, 512, 708), None, {"density": 10600.0}, 1.0, None, 5.6),
    "hela, 230 nuclei": Case("hela", (700, 1100), None, {"density": 6.8}, 0.5, None, 2.3),
    "membranes, a cube": Case("membranes-3d", (128, 128, 128), (0.5, 0.5, 0.5), {}, 0.5, None, 5.3),
    "membranes, a full block": Case("membranes-3d", (120, 512, 512), (0.5, 0.5, 0.5), {}, 10.0, None, None),
    "arabidopsis, a dome": Case("arabidopsis", (120, 512, 512), None, {}, 10.0, None, None),
    "zebrafish membranes, a cap": Case("zebrafish-membranes", (120, 512, 512), None, {}, 10.0, None, None),
}


def measure(case: Case) -> dict:
    """Simulate a few masks in this process; returns seconds, GiB and cells."""
    import numpy as np
    from sketchscope.config.resolve import resolve_organism
    from sketchscope.config.views import simulation_settings
    from sketchscope.masks.simulators import SIMULATORS, read_settings

    section = {"preset": case.preset, "images": __file__, "simulation": case.changes}
    settings = resolve_organism("benchmark", section, "paper", REPOSITORY)
    simulator, voxel_size = settings["simulation"]["simulator"], case.voxel_size or settings["voxel_size"]
    numbers = read_settings(simulator, {"diameter": settings["cell_diameter"], **simulation_settings(settings)})
    seconds, clock, cells = [], [], []
    for seed in SEEDS:
        started, started_clock = time.process_time(), time.perf_counter()
        labels = SIMULATORS[simulator].simulate(case.shape, voxel_size, numbers, np.random.default_rng(seed)).labels
        seconds.append(time.process_time() - started)
        clock.append(time.perf_counter() - started_clock)
        cells.append(int(labels.max()))
    return {
        "cells": statistics.median(cells),
        "seconds": round(statistics.median(seconds), 3),
        "clock_seconds": round(statistics.median(clock), 3),
        "peak_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 3),
    }


def measure_apart(name: str) -> dict:
    """Measure a case in its own process, on one core; returns the figures beside the goals."""
    case = CASES[name]
    one_core = {key: "1" for key in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
    command = [sys.executable, __file__, "--case", name]
    done = subprocess.run(command, env=os.environ | one_core, stdout=subprocess.PIPE, text=True, check=True)
    found = json.loads(done.stdout)
    met = found["seconds"] <= case.seconds and (case.gib is None or found["peak_gib"] <= case.gib)
    goals = {"goal_seconds": case.seconds, "goal_gib": case.gib, "seconds_of_the_authors_code": case.theirs}
    return {"preset": case.preset, "shape": case.shape, **found, **goals, "goal_met": met}


def main() -> None:
    """Read the arguments, measure, print and write the file."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("output", type=Path, nargs="?", help="JSON file to write")
    parser.add_argument("--case", choices=list(CASES), help="measure this one in this process, and print it")
    arguments = parser.parse_args()
    if arguments.case:
        return print(json.dumps(measure(CASES[arguments.case])))
    if arguments.output is None:
        parser.error("name the JSON file to write")
    before = os.getloadavg()[0]
    results = {}
    for name in CASES:
        results[name] = measure_apart(name)
        print(name, results[name], flush=True)
    machine = {"cpus": os.cpu_count(), "platform": platform.platform(), "python": platform.python_version()}
    load = {"load_before": round(before, 2), "load_after": round(os.getloadavg()[0], 2)}
    arguments.output.write_text(json.dumps({"cases": results, "machine": machine | load}, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
