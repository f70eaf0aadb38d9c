"""One function per step of a sampler, and the loop that takes the steps."""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch

from ..errors import InputError
from .prediction import predict_x_0
from .schedule import Schedule

SAMPLERS = ("ddim", "ddpm", "dpm-solver++")


class Sampler(NamedTuple):
    """How noise is removed.

    Attributes
    ----------
    name : {'ddim', 'ddpm', 'dpm-solver++'}
    t_start : int
        Step up to which the sketch is noised, and from which the reverse process starts.
    steps : int or None
        Number of steps from t_start to the clean image; None takes every step.
    eta : float
        Fresh noise in each step of DDIM and DPM-Solver++, from 0 (none) to 1.
    clip : bool
        Whether the clean image predicted at each step is clipped to [-1, 1] before the step is taken from it.
    """

    name: str
    t_start: int
    steps: int | None
    eta: float
    clip: bool


def read_sampler(settings: Mapping[str, Any], t_start: int) -> Sampler:
    """Make the sampler of the section generation: its keys sampler, steps, eta and clip; and a start."""
    return Sampler(settings["sampler"], t_start, settings["steps"], settings["eta"], settings["clip"])


def name_sampler(sampler: Sampler) -> str:
    """Name a sampler for people, without its start.

    >>> name_sampler(Sampler("dpm-solver++", 400, 10, 0.5, clip=True))
    'dpm-solver++, 10 steps, eta 0.5'
    >>> name_sampler(Sampler("ddpm", 400, None, 0.0, clip=False))
    'ddpm, every step, not clipped'
    """
    steps = "every step" if sampler.steps is None else f"{sampler.steps} steps"
    noise = f", eta {sampler.eta:g}" if sampler.eta and sampler.name != "ddpm" else ""
    return f"{sampler.name}, {steps}{noise}{'' if sampler.clip else ', not clipped'}"


class Prediction(NamedTuple):
    """The clean image predicted at a step, and the signal variance left at that step."""

    x_0: torch.Tensor
    alpha_bar: float


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
        The present state and the clean image that `predict_x_0` takes from it, of one shape.
    noise : tensor like x_t, or float
        Standard normal; without effect where eta = 0.
    alpha_bar, alpha_bar_prev : float
        Signal variance left at this step and at the one that follows.
    eta : float
        Randomness, from 0 to 1.

    Returns
    -------
    tensor like x_t
    """
    eps = (x_t - alpha_bar**0.5 * x_0) / (1 - alpha_bar) ** 0.5  # consistent with x_0, which may be clipped
    variance = eta**2 * (1 - alpha_bar_prev) / (1 - alpha_bar) * (1 - alpha_bar / alpha_bar_prev)
    direction = (1 - alpha_bar_prev - variance) ** 0.5 * eps
    return alpha_bar_prev**0.5 * x_0 + direction + variance**0.5 * noise


def ddpm_step(
    x_t: torch.Tensor, x_0: torch.Tensor, noise: torch.Tensor | float, alpha_bar: float, alpha_bar_prev: float
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
    before: Prediction | None,
    noise: torch.Tensor | float,
    alpha_bar: float,
    alpha_bar_prev: float,
    eta: float,
) -> torch.Tensor:
    """One step of DPM-Solver++ 2M (Lu et al. 2022, arXiv 2211.01095), of second order.

    eta = 0 is deterministic (algorithm 2), eta = 1 is SDE-DPM-Solver++ 2M (eq. 18). In between, the other terms
    shrink as the noise grows, so that the marginals stay.

    Parameters
    ----------
    x_t, x_0 : tensor
        The present state and the clean image that `predict_x_0` takes from it, of one shape.
    before : Prediction or None
        Of the step before; None at the first step, which is of first order.
    noise : tensor like x_t, or float
        Standard normal; without effect where eta = 0.
    alpha_bar, alpha_bar_prev : float
        Signal variance left at this step and at the one that follows.
    eta : float
        Randomness, from 0 to 1.

    Returns
    -------
    tensor like x_t
    """
    if alpha_bar_prev == 1:
        return x_0  # the limit of the step of first order; the log-SNR of the clean image is infinite
    h = _half_log_snr(alpha_bar_prev) - _half_log_snr(alpha_bar)
    if before is not None:
        ratio = h / (_half_log_snr(alpha_bar) - _half_log_snr(before.alpha_bar)) / 2
        x_0 = (1 + ratio) * x_0 - ratio * before.x_0
    shrink = ((1 - alpha_bar_prev) / (1 - alpha_bar)) ** 0.5 * math.exp(-eta * h)
    deviation = (-(1 - alpha_bar_prev) * math.expm1(-2 * eta * h)) ** 0.5
    return shrink * x_t - alpha_bar_prev**0.5 * math.expm1(-(1 + eta) * h) * x_0 + deviation * noise


def p_sample_loop(
    x_t: torch.Tensor,
    schedule: Schedule,
    predict: Callable[[torch.Tensor, int], torch.Tensor],
    noise: Callable[[int], torch.Tensor],
    sampler: Sampler,
    prediction: str,
) -> torch.Tensor:
    """Run the reverse process, from x_t at the first step of a schedule to the clean image.

    Parameters
    ----------
    x_t : tensor
        At the first step, of any shape.
    schedule : Schedule
    predict : callable
        From x_t and the step number to the network's output, like x_t.
    noise : callable
        From the step number to standard normal noise like x_t; called only where the sampler needs it.
    sampler : Sampler
        Which kind of step is taken; its t_start and steps are those of the schedule.
    prediction : {'eps', 'v'}
        What that output is, see `prediction.make_target`.

    Returns
    -------
    tensor like x_t
        The clean image; it may leave [-1, 1] where the sampler does not clip.

    Raises
    ------
    InputError
        If there is no sampler of that name.
    """
    check_sampler(sampler.name)
    before, eta = None, sampler.eta
    for t, alpha_bar, alpha_bar_prev in zip(*map(np.ndarray.tolist, schedule), strict=True):
        x_0 = predict_x_0(x_t, predict(x_t, t), alpha_bar, prediction, clip=sampler.clip)
        fresh = noise(t) if sampler.name == "ddpm" or eta > 0 else 0.0
        if sampler.name == "ddpm":
            x_t = ddpm_step(x_t, x_0, fresh, alpha_bar, alpha_bar_prev)
        elif sampler.name == "ddim":
            x_t = ddim_step(x_t, x_0, fresh, alpha_bar, alpha_bar_prev, eta)
        else:
            x_t = dpm_solver_step(x_t, x_0, before, fresh, alpha_bar, alpha_bar_prev, eta)
        before = Prediction(x_0, alpha_bar)
    return x_t


def check_sampler(name: str) -> None:
    """Raise an InputError unless there is a sampler of this name."""
    if name not in SAMPLERS:
        raise InputError(f"generation.sampler is {name!r}; allowed is {', '.join(SAMPLERS)}")


def _half_log_snr(alpha_bar: float) -> float:
    """Half the logarithm of the signal-to-noise ratio, the lambda of the DPM-Solver papers."""
    return 0.5 * math.log(alpha_bar / (1 - alpha_bar))
