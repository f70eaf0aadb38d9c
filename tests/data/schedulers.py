"""Writes schedulers.json: what DPM-Solver++ of diffusers (0.42.1) makes of a few numbers.

diffusers is no requirement of this repository; to write the file again:
    pip install diffusers && python tests/data/schedulers.py
The noise is predicted by a fixed function of x_t and t, so that only the solver is compared.
"""

import json
import math
from pathlib import Path

import numpy as np
import torch
from diffusers import DPMSolverMultistepScheduler

TIMESTEPS, CHOSEN = 1000, [400, 350, 300, 220, 150, 80, 30, 10]  # t as in the papers, 1..T
START = [-0.5, -0.2, 0.1, 0.5]


def betas():
    """Cosine schedule with betas clipped at 0.999."""
    t = np.arange(TIMESTEPS + 1) / TIMESTEPS
    f = np.cos((t + 0.008) / 1.008 * np.pi / 2) ** 2
    return np.minimum(1 - f[1:] / f[:-1], 0.999)


def eps(x_t, t):
    """Predicted noise; small enough that no x_0 leaves [-1, 1]."""
    return 0.4 * torch.sin(3 * x_t) + 0.1 * math.cos(t / 50)


def run(scheduler):
    """x_t after every step; diffusers counts t from 0."""
    scheduler.set_timesteps(timesteps=[t - 1 for t in CHOSEN])
    x_t, path = torch.tensor(START, dtype=torch.float64), []
    for t in CHOSEN:
        x_t = scheduler.step(eps(x_t, t), t - 1, x_t).prev_sample
        path.append(x_t.tolist())
    return path


if __name__ == "__main__":
    settings = {"num_train_timesteps": TIMESTEPS, "trained_betas": betas(), "prediction_type": "epsilon"}
    solver = DPMSolverMultistepScheduler(
        **settings,
        algorithm_type="dpmsolver++",
        solver_order=2,
        solver_type="midpoint",
        final_sigmas_type="zero",
        lower_order_final=True,
        euler_at_final=True,
    )
    found = {"chosen": CHOSEN, "start": START, "path": run(solver)}
    Path(__file__).with_suffix(".json").write_text(json.dumps(found, indent=1) + "\n")
