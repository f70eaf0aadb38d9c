"""What a network predicts at a step: the noise eps, or the velocity v; and the clean image that follows from it.

At the noisiest steps next to nothing of the image is left in x_t. There the clean image that follows from eps is wrong
by the error of eps times a large number; the one that follows from v is not.
"""

import torch

from .schedule import q_sample


def make_target(
    x_0: torch.Tensor, noise: torch.Tensor, alpha_bar: torch.Tensor | float, prediction: str
) -> torch.Tensor:
    """Compute what a network is to predict.

    Parameters
    ----------
    x_0, noise : tensor
        Clean images in [-1, 1] and standard normal noise, of one shape.
    alpha_bar : tensor that broadcasts to x_0, or float
        Signal variance left at t.
    prediction : {'eps', 'v'}
        eps is the noise; v = sqrt(alpha_bar) eps - sqrt(1 - alpha_bar) x_0 (Salimans & Ho 2022, appendix D).

    Returns
    -------
    tensor like x_0
    """
    return noise if prediction == "eps" else q_sample(noise, -x_0, alpha_bar)


def predict_x_0(
    x_t: torch.Tensor, output: torch.Tensor, alpha_bar: float, prediction: str, *, clip: bool
) -> torch.Tensor:
    """Compute the clean image that x_t and a network's output imply.

    Parameters
    ----------
    x_t, output : tensor
        Of one shape.
    alpha_bar : float
        Signal variance left at t.
    prediction : {'eps', 'v'}
        What the output is, see `make_target`.
    clip : bool
        Whether the image is clipped to its range, [-1, 1].

    Returns
    -------
    tensor like x_t
    """
    if prediction == "eps":
        x_0 = (x_t - (1 - alpha_bar) ** 0.5 * output) / alpha_bar**0.5
    else:
        x_0 = alpha_bar**0.5 * x_t - (1 - alpha_bar) ** 0.5 * output
    return x_0.clamp(-1, 1) if clip else x_0
