import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from sketchscope.errors import InputError
from sketchscope.schedule import (
    MAX_BETA,
    cosine_alpha_bar,
    ddim_step,
    ddpm_step,
    dpm_solver_step,
    predict_x_0,
    q_sample,
    respace,
)

MEAN, SPREAD = 0.3, 0.1  # images whose voxels are N(MEAN, SPREAD^2): clipping to [-1, 1] does not act


pytestmark = pytest.mark.usefixtures("one_thread")


def exact_eps(x_t, alpha_bar):
    """The noise expected in x_t where x_0 ~ N(MEAN, SPREAD^2)."""
    variance = alpha_bar * SPREAD**2 + 1 - alpha_bar
    return (1 - alpha_bar) ** 0.5 * (x_t - alpha_bar**0.5 * MEAN) / variance


def marginal(alpha_bar):
    """Mean and standard deviation of x_t where x_0 ~ N(MEAN, SPREAD^2)."""
    return alpha_bar**0.5 * MEAN, (alpha_bar * SPREAD**2 + 1 - alpha_bar) ** 0.5


def steps_of(schedule):
    return zip(*(column.tolist() for column in schedule), strict=True)


@pytest.mark.parametrize("timesteps", [1, 10, 1000])
def test_cosine_closed_form(timesteps):
    def f(t):
        return np.cos((t / timesteps + 0.008) / 1.008 * np.pi / 2) ** 2

    alpha_bar = cosine_alpha_bar(timesteps)
    assert alpha_bar.shape == (timesteps + 1,)
    assert alpha_bar.dtype == np.float64
    assert alpha_bar[0] == 1
    expected = [f(t) / f(0) for t in range(timesteps)]  # the betas telescope wherever none is clipped
    np.testing.assert_allclose(alpha_bar[:-1], expected, rtol=1e-9)
    assert alpha_bar[-1] == pytest.approx(alpha_bar[-2] * (1 - MAX_BETA), rel=1e-9)


def test_cosine_falls():
    alpha_bar = cosine_alpha_bar(1000)
    assert (np.diff(alpha_bar) < 0).all()
    assert alpha_bar[1000] < 1e-8
    in_monai = [9.99958754e-01, 6.47478402e-01, 2.42892156e-06, 2.42889020e-09]  # float32, version 1.6.1
    assert alpha_bar[[1, 400, 999, 1000]].tolist() == pytest.approx(in_monai, rel=1e-4)


@pytest.mark.parametrize(("t_start", "steps"), [(t, s) for t in (1, 2, 7, 60) for s in range(1, t + 1)])
def test_respaced_steps(t_start, steps):
    alpha_bar = cosine_alpha_bar(100)
    schedule = respace(alpha_bar, t_start, steps)
    timesteps = schedule.timesteps
    assert len(timesteps) == steps
    assert timesteps[0] == t_start
    assert timesteps[-1] >= 1
    assert (np.diff(timesteps) < 0).all()
    gaps = -np.diff([*timesteps, 0])
    assert gaps.max() - gaps.min() <= 2 - (t_start % steps == 0) * 2
    np.testing.assert_array_equal(schedule.alpha_bar, alpha_bar[timesteps])
    np.testing.assert_array_equal(schedule.alpha_bar_prev, [*alpha_bar[timesteps[1:]], 1])


def test_all_steps_without_a_number():
    assert respace(cosine_alpha_bar(100), 40).timesteps.tolist() == list(range(40, 0, -1))


@pytest.mark.parametrize(
    ("t_start", "steps", "message"),
    [
        (0, None, r"t_start is 0; it must lie between 1 and timesteps \(100\)"),
        (101, None, r"t_start is 101; .* \(100\)"),
        (40, 0, r"steps is 0; it must lie between 1 and t_start \(40\)"),
        (40, 41, r"steps is 41; .* \(40\)"),
    ],
)
def test_steps_out_of_range(t_start, steps, message):
    with pytest.raises(InputError, match=message):
        respace(cosine_alpha_bar(100), t_start, steps)


@pytest.mark.parametrize("shape", [(400, 500), (20, 100, 100)])
def test_q_sample_moments(shape):
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    for alpha_bar in cosine_alpha_bar(1000)[[1, 400, 1000]]:
        x_t = q_sample(torch.full(shape, 0.7), noise, alpha_bar)
        assert x_t.dtype == torch.float32
        assert x_t.mean().item() == pytest.approx(0.7 * alpha_bar**0.5, abs=0.01)
        assert x_t.var().item() == pytest.approx(1 - alpha_bar, rel=0.02)


def test_q_sample_of_one_step_for_each_image():
    x_0, noise = torch.linspace(-1, 1, 48).reshape(3, 1, 4, 4), torch.ones(3, 1, 4, 4)
    alpha_bar = torch.tensor([1.0, 0.25, 0.0], dtype=torch.float64)
    x_t = q_sample(x_0, noise, alpha_bar.reshape(3, 1, 1, 1))
    assert x_t.dtype == torch.float32
    torch.testing.assert_close(x_t[0], x_0[0])
    torch.testing.assert_close(x_t[1], 0.5 * x_0[1] + 0.75**0.5 * noise[1])
    torch.testing.assert_close(x_t[2], noise[2])


def test_predicted_x_0_undoes_the_forward_process():
    x_0, eps = torch.rand(8, 8) * 2 - 1, torch.randn(8, 8)
    torch.testing.assert_close(predict_x_0(q_sample(x_0, eps, 0.4), eps, 0.4), x_0)
    assert predict_x_0(torch.tensor([9.0, -9.0]), torch.zeros(2), 0.4).tolist() == [1, -1]


@pytest.mark.parametrize(
    ("timesteps", "t_start", "steps", "tolerance"),
    [(1000, 1000, None, 4e-3), (4000, 4000, None, 1e-3), (4000, 1600, None, 1e-3), (1000, 400, 50, 0.02)],
)
def test_ddim_carries_a_gaussian_along_its_marginals(timesteps, t_start, steps, tolerance):
    """Without fresh noise every quantile of x_t moves to the same quantile of x_0, the better the more steps."""
    z = torch.linspace(-3, 3, 7, dtype=torch.float64)
    schedule = respace(cosine_alpha_bar(timesteps), t_start, steps)
    mean, spread = marginal(schedule.alpha_bar[0])
    x_t = mean + spread * z
    for _, alpha_bar, alpha_bar_prev in steps_of(schedule):
        x_t = ddim_step(x_t, exact_eps(x_t, alpha_bar), torch.ones_like(x_t), alpha_bar, alpha_bar_prev, eta=0)
        mean, spread = marginal(alpha_bar_prev)
        np.testing.assert_allclose(x_t, mean + spread * z, atol=tolerance)


def error_of_solver(steps):
    """How far from the exact quantiles DPM-Solver++ arrives at t = 400 of 4000, from t = 2000."""
    z, alpha_bars = torch.linspace(-3, 3, 7, dtype=torch.float64), cosine_alpha_bar(4000)
    path = alpha_bars[np.linspace(2000, 400, steps + 1).round().astype(int)]
    mean, spread = marginal(path[0])
    x_t, before, alpha_bar_before = mean + spread * z, None, None
    for alpha_bar, alpha_bar_prev in itertools.pairwise(path):
        x_0 = predict_x_0(x_t, exact_eps(x_t, alpha_bar), alpha_bar)
        x_t = dpm_solver_step(x_t, x_0, before, alpha_bar, alpha_bar_prev, alpha_bar_before)
        before, alpha_bar_before = x_0, alpha_bar
    mean, spread = marginal(path[-1])
    return (x_t - mean - spread * z).abs().max().item()


def test_solver_is_of_second_order():
    """Twice the steps, a quarter of the error."""
    errors = [error_of_solver(steps) for steps in (20, 40, 80, 160)]
    ratios = [coarse / fine for coarse, fine in itertools.pairwise(errors)]
    assert errors[0] < 0.01
    assert all(3.2 < ratio < 5 for ratio in ratios), (errors, ratios)


def test_solver_is_that_of_diffusers():
    found = json.loads((Path(__file__).parent / "data/schedulers.json").read_text())
    alpha_bars = cosine_alpha_bar(1000)
    x_t, before, alpha_bar_before = torch.tensor(found["start"], dtype=torch.float64), None, None
    steps = zip(found["chosen"], [*found["chosen"][1:], 0], found["path"], strict=True)
    for t, following, expected in steps:
        eps = 0.4 * torch.sin(3 * x_t) + 0.1 * math.cos(t / 50)
        x_0 = predict_x_0(x_t, eps, alpha_bars[t])
        assert x_0.abs().max() < 1, "nothing is clipped, as it is not in diffusers"
        x_t = dpm_solver_step(x_t, x_0, before, alpha_bars[t], alpha_bars[following], alpha_bar_before)
        before, alpha_bar_before = x_0, alpha_bars[t]
        assert x_t.tolist() == pytest.approx(expected, abs=1e-5)  # diffusers keeps its schedule in float32


def mirrored_normal(generator):
    """Standard normal numbers whose mean is 0."""
    half = torch.randn(10_000, generator=generator, dtype=torch.float64)
    return torch.cat([half, -half])


def test_ddpm_keeps_the_marginals_of_a_gaussian():
    generator = torch.Generator().manual_seed(0)
    x_t, checked = mirrored_normal(generator), 0
    for t, alpha_bar, alpha_bar_prev in steps_of(respace(cosine_alpha_bar(1000), 1000)):
        noise = mirrored_normal(generator)
        x_t = ddpm_step(x_t, exact_eps(x_t, alpha_bar), noise, alpha_bar, alpha_bar_prev)
        if t in (990, 800, 600, 400, 200, 100, 20, 1):
            mean, spread = marginal(alpha_bar_prev)
            assert x_t.mean().item() == pytest.approx(mean, abs=1e-3)
            assert x_t.std().item() == pytest.approx(spread, rel=0.025)
            checked += 1
    assert checked == 8


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
    for noise in (torch.zeros(3), torch.tensor([-1.0, 2.0, 0.5])):
        ancestral = ddpm_step(x_t, eps, noise, alpha_bar, alpha_bar_prev)
        fixed_large = mean + (1 - alpha_bar / alpha_bar_prev) ** 0.5 * noise
        torch.testing.assert_close(ancestral, fixed_large, atol=1e-7, rtol=1e-7)
        implicit = ddim_step(x_t, eps, noise, alpha_bar, alpha_bar_prev, eta=1)
        fixed_small = mean + variance**0.5 * noise
        torch.testing.assert_close(implicit, fixed_small, atol=1e-7, rtol=1e-7)


@pytest.mark.parametrize("eta", [0, 0.5, 1])
def test_the_last_step_gives_the_clean_image_without_noise(eta):
    alpha_bar, x_t, eps = cosine_alpha_bar(1000)[20], torch.randn(9), torch.randn(9)
    x_0 = predict_x_0(x_t, eps, alpha_bar)
    noise = torch.full((9,), 100.0)
    torch.testing.assert_close(ddim_step(x_t, eps, noise, alpha_bar, 1.0, eta), x_0)
    torch.testing.assert_close(ddpm_step(x_t, eps, noise, alpha_bar, 1.0), x_0)


def test_eta_lies_between():
    """The noise grows in proportion to eta, and the rest shrinks so that the variance stays."""
    alpha_bar, alpha_bar_prev = cosine_alpha_bar(1000)[[400, 360]]
    x_t, eps, noise = torch.zeros(1, dtype=torch.float64), torch.ones(1), torch.ones(1)
    _, variance = posterior(0, 0, alpha_bar, alpha_bar_prev)
    for eta in (0, 0.3, 1):
        quiet = ddim_step(x_t, eps, 0 * noise, alpha_bar, alpha_bar_prev, eta)
        noisy = ddim_step(x_t, eps, noise, alpha_bar, alpha_bar_prev, eta)
        assert (noisy - quiet).item() == pytest.approx(eta * variance**0.5)
        x_0 = predict_x_0(x_t, eps, alpha_bar)
        kept = -(alpha_bar**0.5) * x_0 / (1 - alpha_bar) ** 0.5
        towards = (1 - alpha_bar_prev - eta**2 * variance) ** 0.5
        assert quiet.item() == pytest.approx((alpha_bar_prev**0.5 * x_0 + towards * kept).item())
