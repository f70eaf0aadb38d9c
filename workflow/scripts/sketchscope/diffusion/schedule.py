"""The diffusion process as numbers: noise schedule, respacing and forward noise.

T steps are numbered 1..T as in the papers; step 0 is the clean image.
alpha_bar[t] is the share of signal variance left after step t, with alpha_bar[0] = 1.
"""

from typing import NamedTuple

import numpy as np
import torch

from ..errors import InputError

MAX_BETA = 0.999


class Schedule(NamedTuple):
    """A sequence of reverse steps, the noisiest first.

    Attributes
    ----------
    timesteps : int array (S,)
        Step numbers of the full process in descending order: each t for which the network is asked.
    alpha_bar : float64 array (S,)
        Signal variance left at each of them.
    alpha_bar_prev : float64 array (S,)
        Signal variance left at the step that follows (1 at the last, which gives the clean image).
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
    t_start : int
        The first and noisiest step.
    steps : int, optional
        Number of steps; by default every step.
    power : float
        1 spaces the steps evenly. 2 places them closer together near the clean image (the quadratic subset of
        Song et al. 2021, appendix D.2); the last jump of an even subset would smooth away the finest detail.

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
    """Forward process in one jump: x_t = sqrt(alpha_bar) x_0 + sqrt(1 - alpha_bar) eps (Ho et al. 2020, eq. 4).

    Parameters
    ----------
    x_0, noise : tensor
        Clean images in [-1, 1] and standard normal noise, of one shape.
    alpha_bar : tensor that broadcasts to x_0, or float
        Signal variance left at t.

    Returns
    -------
    tensor like x_0
    """
    alpha_bar = torch.as_tensor(alpha_bar, dtype=torch.float64)
    return alpha_bar.sqrt().to(x_0) * x_0 + (1 - alpha_bar).sqrt().to(x_0) * noise
