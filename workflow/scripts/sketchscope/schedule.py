"""The diffusion process as numbers: noise schedule, respacing, forward noise and the reverse process.

T steps are numbered 1..T as in the papers; step 0 is the clean image.
alpha_bar[t] is the share of signal variance left after step t, with alpha_bar[0] = 1.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch

from .errors import InputError

MAX_BETA = 0.999


class Schedule(NamedTuple):
    """A sequence of reverse steps, first the noisiest.

    Attributes
    ----------
    timesteps : int array (S,)
        Step numbers of the full process, the t that the network is asked about, descending.
    alpha_bar : float64 array (S,)
        Signal variance left at each of them.
    alpha_bar_prev : float64 array (S,)
        Signal variance left at the step that follows (1 at the last: the clean image).
    """

    timesteps: np.ndarray
    alpha_bar: np.ndarray
    alpha_bar_prev: np.ndarray


def cosine_alpha_bar(
    timesteps: int, s: float = 0.008, *, min_beta: float = 0.0, max_beta: float = MAX_BETA
) -> np.ndarray:
    """Cosine schedule (Nichol & Dhariwal 2021, eq. 17), betas clipped at 0.999 unless other limits are given.

    Returns
    -------
    float64 array (timesteps + 1,)
        alpha_bar by step number, from 1 at step 0.
    """
    t = np.arange(timesteps + 1) / timesteps
    f = np.cos((t + s) / (1 + s) * np.pi / 2) ** 2
    betas = np.clip(1 - f[1:] / f[:-1], min_beta, max_beta)
    return np.concatenate([[1.0], np.cumprod(1 - betas)])


def respace(alpha_bar: np.ndarray, t_start: int, steps: int | None = None, power: float = 1.0) -> Schedule:
    """Choose `steps` of the steps 1..t_start, t_start always among them.

    The betas of the subset follow from its own alpha_bar (as in improved-diffusion), not from
    those of the full process.

    Parameters
    ----------
    alpha_bar : array (T + 1,)
    t_start, steps : int
        By default every step.
    power : float
        1 spreads the steps evenly; with 2 they lie closer towards the clean image (the quadratic subset of
        Song et al. 2021, appendix D.2), whose finest detail the last jump of an even subset smooths away.

    Raises
    ------
    InputError
        If t_start is not in 1..T or steps not in 1..t_start.
    """
    last = len(alpha_bar) - 1
    if not 1 <= t_start <= last:
        raise InputError(f"t_start is {t_start}; it must lie between 1 and timesteps ({last})")
    steps = t_start if steps is None else steps
    if not 1 <= steps <= t_start:
        raise InputError(f"generation steps is {steps}; it must lie between 1 and t_start ({t_start})")
    number = np.arange(steps, -1, -1)  # of steps that are left; no two may fall on one t
    chosen = np.maximum((t_start * (number / steps) ** power).round().astype(int), number)
    return Schedule(chosen[:-1], alpha_bar[chosen[:-1]], alpha_bar[chosen[1:]])


def q_sample(x_0: torch.Tensor, noise: torch.Tensor, alpha_bar: torch.Tensor | float) -> torch.Tensor:
    """Forward process in one jump: x_t = sqrt(alpha_bar) x_0 + sqrt(1 - alpha_bar) eps (Ho et al. 2020, eq. 4)."""
    alpha_bar = torch.as_tensor(alpha_bar, dtype=torch.float64)
    return alpha_bar.sqrt().to(x_0) * x_0 + (1 - alpha_bar).sqrt().to(x_0) * noise


def predict_x_0(x_t: torch.Tensor, eps: torch.Tensor, alpha_bar: float) -> torch.Tensor:
    """The clean image that x_t and the predicted noise imply, clipped to the image range [-1, 1]."""
    return ((x_t - (1 - alpha_bar) ** 0.5 * eps) / alpha_bar**0.5).clamp(-1, 1)


def ddim_step(
    x_t: torch.Tensor,
    x_0: torch.Tensor,
    noise: torch.Tensor | float,
    alpha_bar: float,
    alpha_bar_prev: float,
    eta: float,
) -> torch.Tensor:
    """One step of DDIM (Song et al. 2021, eqs. 12 and 16); eta = 0 is deterministic, eta = 1 is DDPM-like.

    Parameters
    ----------
    x_t, x_0 : tensor
        Where the process is, and the clean image predicted there by `predict_x_0`; of one shape.
    noise : tensor like x_t, or float
        Standard normal; without effect where eta = 0.
    alpha_bar, alpha_bar_prev : float
        Of this step and of the one that follows.
    eta : float
        Randomness, from 0 to 1.

    Returns
    -------
    tensor like x_t
    """
    eps = (x_t - alpha_bar**0.5 * x_0) / (1 - alpha_bar) ** 0.5  # consistent with the clipped x_0
    variance = eta**2 * (1 - alpha_bar_prev) / (1 - alpha_bar) * (1 - alpha_bar / alpha_bar_prev)
    direction = (1 - alpha_bar_prev - variance) ** 0.5 * eps
    return alpha_bar_prev**0.5 * x_0 + direction + variance**0.5 * noise


def ddpm_step(
    x_t: torch.Tensor, x_0: torch.Tensor, noise: torch.Tensor, alpha_bar: float, alpha_bar_prev: float
) -> torch.Tensor:
    """One ancestral step (Ho et al. 2020, eqs. 6-7), variance beta_t ('fixedlarge', the paper's choice).

    The step to the clean image adds no noise. The parameters are those of `ddim_step`.
    """
    alpha = alpha_bar / alpha_bar_prev
    mean = (alpha_bar_prev**0.5 * (1 - alpha) * x_0 + alpha**0.5 * (1 - alpha_bar_prev) * x_t) / (1 - alpha_bar)
    return mean if alpha_bar_prev == 1 else mean + (1 - alpha) ** 0.5 * noise


def dpm_solver_step(
    x_t: torch.Tensor,
    x_0: torch.Tensor,
    x_0_before: torch.Tensor | None,
    noise: torch.Tensor | float,
    alpha_bar: float,
    alpha_bar_prev: float,
    alpha_bar_before: float | None,
    eta: float,
) -> torch.Tensor:
    """One step of DPM-Solver++ 2M (Lu et al. 2022, arXiv 2211.01095), of second order.

    eta = 0 is deterministic (algorithm 2), eta = 1 is SDE-DPM-Solver++ 2M (eq. 18); between them the rest shrinks as
    the noise grows, so that the marginals stay.

    Parameters
    ----------
    x_t, x_0 : tensor
        Where the process is, and the clean image predicted there by `predict_x_0`; of one shape.
    x_0_before : tensor like x_0, or None
        Clean image predicted at the step before; None at the first step, which is of first order.
    noise : tensor like x_t, or float
        Standard normal; without effect where eta = 0.
    alpha_bar, alpha_bar_prev, alpha_bar_before : float
        Of this step, of the one that follows and of the one before.
    eta : float
        Randomness, from 0 to 1.

    Returns
    -------
    tensor like x_t
    """
    if alpha_bar_prev == 1:
        return x_0  # the limit of the step of first order; the log-SNR of the clean image is infinite
    h = _half_log_snr(alpha_bar_prev) - _half_log_snr(alpha_bar)
    if x_0_before is not None:
        ratio = h / (_half_log_snr(alpha_bar) - _half_log_snr(alpha_bar_before)) / 2
        x_0 = (1 + ratio) * x_0 - ratio * x_0_before
    shrink = ((1 - alpha_bar_prev) / (1 - alpha_bar)) ** 0.5 * math.exp(-eta * h)
    deviation = (-(1 - alpha_bar_prev) * math.expm1(-2 * eta * h)) ** 0.5
    return shrink * x_t - alpha_bar_prev**0.5 * math.expm1(-(1 + eta) * h) * x_0 + deviation * noise


def _half_log_snr(alpha_bar: float) -> float:
    """Logarithm of signal over noise, the lambda of the DPM-Solver papers."""
    return 0.5 * math.log(alpha_bar / (1 - alpha_bar))


def p_sample_loop(
    x_t: torch.Tensor,
    schedule: Schedule,
    predict_eps: Callable[[torch.Tensor, int], torch.Tensor],
    noise: Callable[[int], torch.Tensor],
    sampler: str,
    eta: float = 0.0,
) -> torch.Tensor:
    """The reverse process, from x_t at the first step of a schedule to the clean image.

    Parameters
    ----------
    x_t : tensor
        At the first step, of any shape.
    schedule : Schedule
    predict_eps : callable
        From x_t and the step number to the predicted noise, like x_t.
    noise : callable
        From the step number to standard normal noise like x_t; called only where the sampler needs it.
    sampler : {'ddim', 'ddpm', 'dpm-solver++'}
    eta : float
        Randomness of DDIM and DPM-Solver++.

    Returns
    -------
    tensor like x_t
        The clean image.
    """
    x_0_before, alpha_bar_before = None, None
    for t, alpha_bar, alpha_bar_prev in zip(*map(np.ndarray.tolist, schedule), strict=True):
        x_0 = predict_x_0(x_t, predict_eps(x_t, t), alpha_bar)
        if sampler == "ddpm":
            x_t = ddpm_step(x_t, x_0, noise(t), alpha_bar, alpha_bar_prev)
        elif sampler == "ddim":
            x_t = ddim_step(x_t, x_0, noise(t) if eta > 0 else 0.0, alpha_bar, alpha_bar_prev, eta)
        else:
            fresh = noise(t) if eta > 0 else 0.0
            x_t = dpm_solver_step(x_t, x_0, x_0_before, fresh, alpha_bar, alpha_bar_prev, alpha_bar_before, eta)
        x_0_before, alpha_bar_before = x_0, alpha_bar
    return x_t
