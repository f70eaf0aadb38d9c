"""Write schedulers.json: the steps that the samplers of diffusers take from a few numbers.

This repository does not require diffusers. The file was written with diffusers 0.42.1 and torch 2.13.0:
    pip install diffusers==0.42.1 && python tests/data/schedulers.py
Fixed functions predict the clean image and make the noise, so that only the samplers are compared.
"""

import itertools
import json
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from diffusers import DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler

TIMESTEPS = 1000
CHOSEN = {  # t as in the papers, 1..T; every gap divides T, see make_ddim
    "whole": [1000, 800, 600, 400, 200, 100, 50, 10, 2, 1],
    "early": [400, 350, 300, 200, 150, 50, 10, 2, 1],
}
START = torch.tensor([[-1.5, -0.4, 0.2, 0.9]], dtype=torch.float64)  # diffusers wants a second axis


def betas():
    """Cosine schedule with betas clipped at 0.999."""
    t = np.arange(TIMESTEPS + 1) / TIMESTEPS
    f = np.cos((t + 0.008) / 1.008 * np.pi / 2) ** 2
    return np.minimum(1 - f[1:] / f[:-1], 0.999)


ALPHAS_CUMPROD = torch.from_numpy(np.cumprod(1 - betas()))
SETTINGS = {"num_train_timesteps": TIMESTEPS, "trained_betas": betas(), "prediction_type": "epsilon"}


def eps(x_t, t):
    """The noise in x_t if the clean image is 0.8 sin(2 x_t + t / 100), which needs no clipping."""
    alpha_bar = ALPHAS_CUMPROD[t - 1]
    return (x_t - alpha_bar**0.5 * 0.8 * torch.sin(2 * x_t + t / 100)) / (1 - alpha_bar) ** 0.5


def noise(t):
    """Stands in for random numbers."""
    return torch.cos(t * torch.arange(1, 5, dtype=torch.float64))


def use_float64(scheduler):
    """Replace the schedule of diffusers, whose float32 costs digits where hardly any signal is left."""
    scheduler.alphas_cumprod = ALPHAS_CUMPROD
    return scheduler


def make_ddim(chosen, eta):
    """Return the step of DDIM, which goes down by T // num_inference_steps, whatever the list of timesteps says."""
    scheduler, following = use_float64(DDIMScheduler(**SETTINGS, clip_sample=False)), dict(itertools.pairwise(chosen))

    def step(x_t, t):
        scheduler.num_inference_steps = TIMESTEPS // (t - following.get(t, 0))
        return scheduler.step(eps(x_t, t), t - 1, x_t, eta=eta, variance_noise=noise(t) if eta else None)

    return step


def make_ddpm(chosen):
    """Return the ancestral step; diffusers takes no noise from its caller."""
    scheduler = use_float64(DDPMScheduler(**SETTINGS, variance_type="fixed_large", clip_sample=False))
    scheduler.set_timesteps(timesteps=[t - 1 for t in chosen])

    def step(x_t, t):
        with mock.patch("diffusers.schedulers.scheduling_ddpm.randn_tensor", return_value=noise(t)):
            return scheduler.step(eps(x_t, t), t - 1, x_t)

    return step


def make_solver(chosen, algorithm):
    """Return the step of DPM-Solver++ 2M, or of its variant with noise."""
    settings = {"algorithm_type": algorithm, "solver_order": 2, "solver_type": "midpoint"}
    at_the_end = {"final_sigmas_type": "zero", "lower_order_final": True, "euler_at_final": True}
    scheduler = use_float64(DPMSolverMultistepScheduler(**SETTINGS, **settings, **at_the_end))
    scheduler.set_timesteps(timesteps=[t - 1 for t in chosen])
    left = ALPHAS_CUMPROD[scheduler.timesteps]
    scheduler.sigmas = torch.cat([((1 - left) / left) ** 0.5, torch.zeros(1)])
    return lambda x_t, t: scheduler.step(eps(x_t, t), t - 1, x_t, variance_noise=noise(t))


def follow(step, chosen):
    """Return x_t after every step; diffusers counts t from 0."""
    x_t, found = START, []
    for t in chosen:
        x_t = step(x_t, t).prev_sample
        found.append(x_t[0].tolist())
    return found


def run_samplers():
    """Run every sampler on every list of timesteps."""
    for chosen in CHOSEN.values():
        steps = {
            ("ddim", 0.0): make_ddim(chosen, 0.0),
            ("ddim", 0.6): make_ddim(chosen, 0.6),
            ("ddpm", 0.0): make_ddpm(chosen),
            ("dpm-solver++", 0.0): make_solver(chosen, "dpmsolver++"),
            ("dpm-solver++", 1.0): make_solver(chosen, "sde-dpmsolver++"),
        }
        for (sampler, eta), step in steps.items():
            yield {"sampler": sampler, "eta": eta, "timesteps": chosen, "path": follow(step, chosen)}


if __name__ == "__main__":
    found = ",\n".join(json.dumps(run) for run in run_samplers())
    content = f'{{"start": {START[0].tolist()}, "runs": [\n{found}\n]}}\n'
    Path(__file__).with_suffix(".json").write_text(content)
