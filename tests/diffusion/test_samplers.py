import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from running import REPOSITORY
from sketchscope.diffusion.prediction import predict_x_0
from sketchscope.diffusion.samplers import (
    SAMPLERS,
    Prediction,
    Sampler,
    ddim_step,
    dpm_solver_step,
    p_sample_loop,
)
from sketchscope.diffusion.schedule import Schedule, cosine_alpha_bar, q_sample, respace
from sketchscope.errors import InputError

MEAN, SPREAD = 0.1, 0.1  # images whose voxels are N(MEAN, SPREAD^2): clipping to [-1, 1] does not act
RUNS = json.loads((Path(__file__).parents[1] / "data/schedulers.json").read_text())
EVERY_SAMPLER = [(name, eta) for name in ("ddim", "dpm-solver++") for eta in (0.0, 0.5, 1.0)] + [("ddpm", 0.0)]


pytestmark = pytest.mark.usefixtures("one_thread")


def marginal(alpha_bar):
    """Mean and standard deviation of x_t where x_0 ~ N(MEAN, SPREAD^2)."""
    return alpha_bar**0.5 * MEAN, (alpha_bar * SPREAD**2 + 1 - alpha_bar) ** 0.5


def through(alpha_bars, chosen):
    """Schedule whose steps lead from the first to the last of the chosen step numbers."""
    return Schedule(np.array(chosen[:-1]), alpha_bars[chosen[:-1]], alpha_bars[chosen[1:]])


def sample(x_t, schedule, eps, noise, sampler, eta, *, clip=True):
    """Run a sampler over a schedule."""
    steps = len(schedule.timesteps)
    sampler_settings = Sampler(sampler, schedule.timesteps[0], steps, eta, clip)
    return p_sample_loop(x_t, schedule, eps, noise, sampler_settings, "eps")


def path(x_t, schedule, eps, noise, sampler, eta, *, clip=True):
    """x_t after every step, stacked."""
    seen = []

    def noted(x_t, t):
        seen.append(x_t)
        return eps(x_t, t)

    last = sample(x_t, schedule, noted, noise, sampler, eta, clip=clip)
    return torch.stack([*seen[1:], last])


def errors_of_distribution(schedule, sampler, eta):
    """How far mean (absolute) and spread (relative) are from the exact ones after every step.

    The noise expected in x_t is affine in x_t, and so is then every step: x_t = m + sum_k c_k z_k over independent
    standard normal z_k (k = 1..t_start the noise of step k, beyond it that of the start). The sampler carries the
    vector (m, c_1, c_2, ...), so mean m and spread |c| are exact.
    """
    start, alpha_bars = schedule.timesteps[0], dict(zip(*schedule[:2], strict=True))
    unit = torch.eye(start + 2, dtype=torch.float64)

    def eps(x_t, t):
        mean, spread = marginal(alpha_bars[t])
        return (1 - alpha_bars[t]) ** 0.5 * (x_t - mean * unit[0]) / spread**2

    mean, spread = marginal(schedule.alpha_bar[0])
    found = path(mean * unit[0] + spread * unit[-1], schedule, eps, lambda t: unit[t], sampler, eta).numpy()
    mean, spread = marginal(schedule.alpha_bar_prev)
    return abs(found[:, 0] - mean), abs(np.linalg.norm(found[:, 1:], axis=1) / spread - 1)


@pytest.mark.parametrize("t_start", [1000, 400])
@pytest.mark.parametrize(
    ("sampler", "eta", "tolerance"),  # measured: 0.0066, 0.0084, 0.0108, 0.0197, 0.0014, ..., 0.0027
    [
        ("ddpm", 0.0, 0.007),
        ("ddim", 0.0, 0.009),
        ("ddim", 0.5, 0.012),
        ("ddim", 1.0, 0.02),
        ("dpm-solver++", 0.0, 0.002),
        ("dpm-solver++", 0.5, 0.002),
        ("dpm-solver++", 1.0, 0.003),
    ],
)
def test_all_steps_keep_the_marginals_of_a_gaussian(t_start, sampler, eta, tolerance):
    of_mean, of_spread = errors_of_distribution(respace(cosine_alpha_bar(1000), t_start), sampler, eta)
    assert len(of_mean) == t_start
    assert of_mean.max() < 1e-12
    assert of_spread.max() < tolerance


@pytest.mark.parametrize(
    ("sampler", "eta", "order"),
    [("ddim", 0.0, 1), ("ddim", 1.0, 1), ("ddpm", 0.0, 1), ("dpm-solver++", 0.0, 2), ("dpm-solver++", 1.0, 2)],
)
@pytest.mark.parametrize("start", [2000, 1600])
def test_order_of_convergence(start, sampler, eta, order):
    """Twice the steps between two fixed t: half the error, or a quarter."""
    alpha_bars, errors = cosine_alpha_bar(4000), []
    for steps in (20, 40, 80, 160):
        chosen = np.linspace(start, 400, steps + 1).round().astype(int)
        errors.append(errors_of_distribution(through(alpha_bars, chosen), sampler, eta)[1][-1])
    found = [np.log2(coarse / fine) for coarse, fine in itertools.pairwise(errors)]
    assert found == pytest.approx([order] * 3, abs=0.15)


@pytest.mark.parametrize("run", RUNS["runs"], ids=lambda run: f"{run['sampler']}-{run['eta']}-{run['timesteps'][0]}")
@pytest.mark.parametrize("clip", [True, False])
def test_samplers_are_those_of_diffusers(run, clip):
    """On uneven steps from pure noise and from an early start, which need no clipping; see data/schedulers.py."""
    alpha_bars = cosine_alpha_bar(1000)

    def eps(x_t, t):
        return (x_t - alpha_bars[t] ** 0.5 * 0.8 * torch.sin(2 * x_t + t / 100)) / (1 - alpha_bars[t]) ** 0.5

    def noise(t):
        return torch.cos(t * torch.arange(1, 5, dtype=torch.float64))

    start, schedule = torch.tensor(RUNS["start"], dtype=torch.float64), through(alpha_bars, [*run["timesteps"], 0])
    found = path(start, schedule, eps, noise, run["sampler"], run["eta"], clip=clip)
    tolerance = 1e-6 if run["sampler"] == "dpm-solver++" else 1e-12  # the solver of diffusers rounds x_t to float32
    np.testing.assert_allclose(found, run["path"], rtol=0, atol=tolerance)


def posterior(x_t, x_0, alpha_bar, alpha_bar_prev):
    """Mean and variance of q(x_{t-1} | x_t, x_0): product of two Gaussians, by their precisions."""
    alpha = alpha_bar / alpha_bar_prev
    forward, before = alpha / (1 - alpha), 1 / (1 - alpha_bar_prev)
    variance = 1 / (forward + before)
    mean = variance * (forward * x_t / alpha**0.5 + before * alpha_bar_prev**0.5 * x_0)
    return mean, variance


@pytest.mark.parametrize("x_0", [0.4, -1.0, 5.0, -3.0])
@pytest.mark.parametrize(("t", "before"), [(1000, 999), (400, 399), (400, 380), (2, 1)])
def test_one_step_against_the_posterior(x_0, t, before):
    """The clean image is clipped before the mean is taken from it; the noise is added as it is."""
    alpha_bar, alpha_bar_prev = cosine_alpha_bar(1000)[[t, before]]
    x_t = torch.tensor([-0.8, 0.3, 1.7], dtype=torch.float64)
    eps = (x_t - alpha_bar**0.5 * x_0) / (1 - alpha_bar) ** 0.5
    mean, variance = posterior(x_t, np.clip(x_0, -1, 1), alpha_bar, alpha_bar_prev)
    schedule = Schedule(np.array([t]), np.array([alpha_bar]), np.array([alpha_bar_prev]))
    for noise in (torch.zeros(3), torch.tensor([-1.0, 2.0, 0.5])):
        one = (x_t, schedule, lambda x_t, t: eps, lambda t, noise=noise: noise)
        fixed_large = mean + (1 - alpha_bar / alpha_bar_prev) ** 0.5 * noise
        torch.testing.assert_close(sample(*one, "ddpm", eta=0), fixed_large, atol=1e-7, rtol=1e-7)
        fixed_small = mean + variance**0.5 * noise
        torch.testing.assert_close(sample(*one, "ddim", eta=1), fixed_small, atol=1e-7, rtol=1e-7)


def steps_from_eps(x_t, schedule, eps, noise):
    """x_t after every ancestral step in float64, with the mean of Ho et al. 2020, eq. 11: it has no clean image."""
    found = []
    for t, alpha_bar, alpha_bar_prev in zip(*map(np.ndarray.tolist, schedule), strict=True):
        alpha = alpha_bar / alpha_bar_prev
        mean = (x_t - (1 - alpha) / np.sqrt(1 - alpha_bar) * eps(x_t, t)) / np.sqrt(alpha)
        x_t = mean + (np.sqrt(1 - alpha) * noise(t) if alpha_bar_prev < 1 else 0)
        found.append(x_t)
    return np.stack(found)


@pytest.mark.parametrize("chosen", [[1000, 999, 998], [400, 399, 398, 397], [400, 380, 7, 0], [2, 1, 0]])
def test_unclipped_ancestral_steps_have_the_mean_of_the_predicted_noise(chosen):
    """Clean images far outside [-1, 1] count as they are; clipped, every step would be another one."""
    alpha_bars = cosine_alpha_bar(1000)
    start, schedule = np.array([-40.0, 0.3, 2.5, 9.0]), through(alpha_bars, chosen)

    def eps(x_t, t):
        return 0.3 * x_t + t / 1000

    def noise(t):
        return torch.cos(t * torch.arange(1, 5, dtype=torch.float64))

    unclipped, clipped = (
        path(torch.from_numpy(start), schedule, eps, noise, "ddpm", 0.0, clip=clip).numpy() for clip in (False, True)
    )
    expected = steps_from_eps(start, schedule, eps, lambda t: noise(t).numpy())
    np.testing.assert_allclose(unclipped, expected, rtol=1e-10, atol=1e-9)
    assert (abs(clipped[:, 0] - expected[:, 0]) > 1e-3).all()


@pytest.mark.parametrize("sampler", ["ddim", "dpm-solver++"])
def test_unclipped_deterministic_steps_keep_the_predicted_noise(sampler):
    """Where the same noise is predicted at each step, all steps stay on the line through it and the clean image."""
    alpha_bars, chosen = cosine_alpha_bar(1000), [400, 300, 100, 20, 0]
    x_0, eps = torch.tensor([-3.0, 0.2, 5.0], dtype=torch.float64), torch.tensor([0.5, -1.0, 2.0])
    start = q_sample(x_0, eps, alpha_bars[400])
    found = path(start, through(alpha_bars, chosen), lambda x_t, t: eps, None, sampler, 0.0, clip=False)
    for x_t, t in zip(found, chosen[1:], strict=True):
        torch.testing.assert_close(x_t, q_sample(x_0, eps.double(), alpha_bars[t]))


@pytest.mark.parametrize(("t", "before"), [(1000, 999), (400, 350), (2, 1), (1, 0)])
def test_first_step_of_the_solver_is_that_of_ddim(t, before):
    alpha_bar, alpha_bar_prev = cosine_alpha_bar(1000)[[t, before]].tolist()
    x_t, x_0 = torch.randn(9, dtype=torch.float64), torch.rand(9, dtype=torch.float64) * 2 - 1
    first = dpm_solver_step(x_t, x_0, None, 0.0, alpha_bar, alpha_bar_prev, eta=0)
    torch.testing.assert_close(first, ddim_step(x_t, x_0, 0.0, alpha_bar, alpha_bar_prev, eta=0))


@pytest.mark.parametrize(("sampler", "eta"), EVERY_SAMPLER)
@pytest.mark.parametrize("chosen", [[20, 0], [20, 7, 0]])
def test_the_last_step_gives_the_clean_image_without_noise(chosen, sampler, eta):
    alpha_bars, seen = cosine_alpha_bar(1000), []

    def eps(x_t, t):
        seen.append(x_t)
        return torch.tanh(x_t)

    def noise(t):
        return torch.full((9,), 100.0 if t == chosen[-2] else 0.5)

    clean = sample(torch.linspace(-2, 2, 9), through(alpha_bars, chosen), eps, noise, sampler, eta)
    expected = predict_x_0(seen[-1], torch.tanh(seen[-1]), alpha_bars[chosen[-2]], "eps", clip=True)
    torch.testing.assert_close(clean, expected)
    assert len(clean.unique()) > 3


def test_eta_lies_between():
    """The noise grows in proportion to eta, and the rest shrinks so that the variance stays."""
    alpha_bar, alpha_bar_prev = cosine_alpha_bar(1000)[[400, 360]]
    x_t, x_0, noise = torch.zeros(1, dtype=torch.float64), torch.tensor([-0.9]), torch.ones(1)
    _, variance = posterior(0, 0, alpha_bar, alpha_bar_prev)
    for eta in (0, 0.3, 1):
        quiet = ddim_step(x_t, x_0, 0 * noise, alpha_bar, alpha_bar_prev, eta)
        noisy = ddim_step(x_t, x_0, noise, alpha_bar, alpha_bar_prev, eta)
        assert (noisy - quiet).item() == pytest.approx(eta * variance**0.5)
        kept = -(alpha_bar**0.5) * x_0 / (1 - alpha_bar) ** 0.5
        towards = (1 - alpha_bar_prev - eta**2 * variance) ** 0.5
        assert quiet.item() == pytest.approx((alpha_bar_prev**0.5 * x_0 + towards * kept).item())


def test_an_unknown_sampler_is_named_with_those_that_there_are():
    schedule = respace(cosine_alpha_bar(100), 40, 4)
    message = r"generation.sampler is 'dpm-solver'; allowed is ddim, ddpm, dpm-solver\+\+$"
    with pytest.raises(InputError, match=message):
        sample(torch.zeros(3), schedule, lambda x_t, t: x_t, lambda t: torch.zeros(3), "dpm-solver", eta=0.0)


def test_samplers_are_those_of_the_schema():
    schema = yaml.safe_load((REPOSITORY / "workflow/schemas/organism.yaml").read_text())
    assert list(SAMPLERS) == schema["properties"]["generation"]["properties"]["sampler"]["enum"]


def test_the_solver_extrapolates_from_the_step_before():
    """Of second order: from two equal predictions it goes as the first order does, else along their difference."""
    alpha_bar_before, alpha_bar, alpha_bar_prev = cosine_alpha_bar(1000)[[500, 400, 300]].tolist()
    x_t, x_0 = torch.zeros(1, dtype=torch.float64), torch.tensor([0.5], dtype=torch.float64)
    first = dpm_solver_step(x_t, x_0, None, 0.0, alpha_bar, alpha_bar_prev, eta=0)
    same = dpm_solver_step(x_t, x_0, Prediction(x_0, alpha_bar_before), 0.0, alpha_bar, alpha_bar_prev, eta=0)
    rising = dpm_solver_step(x_t, x_0, Prediction(x_0 - 0.1, alpha_bar_before), 0.0, alpha_bar, alpha_bar_prev, eta=0)
    torch.testing.assert_close(same, first)
    lam = [0.5 * np.log(a / (1 - a)) for a in (alpha_bar_before, alpha_bar, alpha_bar_prev)]
    ratio = (lam[2] - lam[1]) / (lam[1] - lam[0]) / 2
    assert (rising / first).item() == pytest.approx((0.5 + 0.1 * ratio) / 0.5)
