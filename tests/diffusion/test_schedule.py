import numpy as np
import pytest
import torch
from sketchscope.diffusion.schedule import MAX_BETA, cosine_alpha_bar, q_sample, respace
from sketchscope.errors import InputError


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


@pytest.mark.parametrize("power", [1.5, 2.0, 3.0])
@pytest.mark.parametrize(("t_start", "steps"), [(400, 5), (400, 10), (400, 50), (37, 36), (9, 9), (3, 1)])
def test_steps_that_lie_closer_towards_the_clean_image(t_start, steps, power):
    timesteps = respace(cosine_alpha_bar(1000), t_start, steps, power).timesteps
    assert len(timesteps) == steps
    assert timesteps[0] == t_start
    gaps = -np.diff([*timesteps, 0])
    assert gaps.min() >= 1
    assert (np.diff(gaps) <= 1).all(), "gaps shrink, but for rounding"
    left = np.arange(steps, 0, -1)
    np.testing.assert_allclose(timesteps, np.maximum(t_start * (left / steps) ** power, left), atol=0.5)


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
