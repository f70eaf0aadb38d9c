"""The network of the paper's authors (Eschweiler et al. 2024), loaded from the checkpoints that they publish."""

import math
import pickle
import zipfile
from collections.abc import Mapping

import numpy as np
import torch
from torch import nn

from ..errors import InputError
from ..io.atomic import PathLike
from .levels import PerAxis
from .schedule import cosine_alpha_bar
from .unet import choose_convolution, make_convolution

PREFIX = "network."
MIN_BETA, MAX_BETA = 1e-4, 0.9999
NORMS = ("instance", "batch", "none")
BACKBONES = {"UNet2D_PixelShuffle_inject": 2, "UNet3D_PixelShuffle_inject": 3}


def make_norm(kind: str, channels: int, dims: int) -> nn.Module:
    """Make the normalisation layer 'instance' (no parameters), 'batch' or 'none'."""
    if kind == "none":
        return nn.Identity()
    layers: dict[str, dict[int, type[nn.Module]]] = {
        "instance": {2: nn.InstanceNorm2d, 3: nn.InstanceNorm3d},
        "batch": {2: nn.BatchNorm2d, 3: nn.BatchNorm3d},
    }
    return layers[kind][dims](channels)


def make_block(inputs: int, middle: int, outputs: int, dims: int, norm: str) -> nn.Sequential:
    """Make twice a convolution, PReLU and normalisation."""
    layers: list[nn.Module] = []
    for start, end in ((inputs, middle), (middle, outputs)):
        layers += [make_convolution(start, end, (3,) * dims), nn.PReLU(end), make_norm(norm, end, dims)]
    return nn.Sequential(*layers)


class SinusoidalEmbedding(nn.Module):
    """Sines, then cosines, of t (N,) at `channels`/2 frequencies: (N, channels)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.count = channels // 2  # of frequencies

    def forward(self, t: torch.Tensor) -> torch.Tensor:
        frequencies = torch.exp(-math.log(10000) / (self.count - 1) * torch.arange(self.count, device=t.device))
        angles = t[:, None].float() * frequencies
        return torch.cat([angles.sin(), angles.cos()], dim=1)


def pixel_shuffle(x: torch.Tensor) -> torch.Tensor:
    """Double every spatial axis of (N, C, ...) with 2**dims of its channels (Shi et al. 2016)."""
    dims = x.ndim - 2
    n, channels, *shape = x.shape
    x = x.reshape(n, channels // 2**dims, *[2] * dims, *shape)
    order = [axis for d in range(dims) for axis in (2 + dims + d, 2 + d)]
    return x.permute(0, 1, *order).reshape(n, channels // 2**dims, *[2 * size for size in shape])


class AuthorNetwork(nn.Module):
    """The authors' U-Net; predicts the noise in the first of its input channels.

    The input channels after the first hold Gaussian noise that stays the same over all steps.

    Parameters
    ----------
    feat_channels : int
        Features F of the first level.
    in_channels, out_channels, t_channels : int
        Channels of input, output and time embedding.
    dims : int
        2 or 3.
    layer_norm : {'instance', 'batch', 'none'}
    timesteps : int
        Steps T it was trained with.
    """

    first_step = 0  # its number for the least noisy step

    def __init__(
        self,
        feat_channels: int = 16,
        *,
        in_channels: int = 2,
        out_channels: int = 1,
        t_channels: int = 32,
        dims: int = 3,
        layer_norm: str = "instance",
        timesteps: int = 1000,
    ) -> None:
        super().__init__()
        self.dims, self.in_channels, self.timesteps = dims, in_channels, timesteps
        f, shuffled = feat_channels, 8 * feat_channels // 2**dims
        widths = {"1": f, "2": 2 * f, "3": 4 * f, "4": 8 * f, "5": 8 * f, "6": 8 * f, "7": f}
        inputs = {"1": in_channels, "2": f, "3": 2 * f, "4": 4 * f}
        inputs |= {"5": shuffled + 4 * f, "6": shuffled + 2 * f, "7": shuffled + f}
        for rank, width in widths.items():
            middle = width // 2 if rank in "1234" else width
            setattr(self, f"c{rank}", make_block(inputs[rank], middle, width, dims, layer_norm))
            layers = [nn.Linear(t_channels, width), nn.PReLU(width), nn.Linear(width, width)]
            setattr(self, f"t{rank}", nn.Sequential(SinusoidalEmbedding(t_channels), *layers))
        conv = choose_convolution(dims)
        for rank in "123":
            width = widths[rank]
            layers = [conv(width, width, 4, stride=2, padding=1), nn.PReLU(width), make_norm(layer_norm, width, dims)]
            setattr(self, f"d{rank}", nn.Sequential(*layers))
            layers = [conv(8 * f, 8 * f, 1), nn.PReLU(8 * f), make_norm(layer_norm, 8 * f, dims)]
            setattr(self, f"u{rank}", nn.Sequential(*layers))
        self.out = make_block(f, f, f, dims, layer_norm).append(conv(f, out_channels, 1))

    prediction = "eps"
    sees_sketch = False  # its second channel is noise

    @property
    def total_stride(self) -> PerAxis:
        """Voxels along each axis of which the input's shape must be a multiple."""
        return (8,) * self.dims

    def forward(self, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """Predict eps.

        Parameters
        ----------
        x : tensor (N, in_channels, [Z,] Y, X)
            x_t, then the channel of fixed noise.
        t : tensor (N,)
            Step numbers 0..T-1.

        Returns
        -------
        tensor (N, out_channels, [Z,] Y, X)
        """

        def block(rank: int, features: torch.Tensor) -> torch.Tensor:
            shift = getattr(self, f"t{rank}")(t)
            return getattr(self, f"c{rank}")(features) + shift.reshape(*shift.shape, *[1] * self.dims)

        skips = []
        for rank in (1, 2, 3):
            x = block(rank, x)
            skips.append(x)
            x = getattr(self, f"d{rank}")(x)
        x = block(4, x)
        for rank, up in ((5, "u1"), (6, "u2"), (7, "u3")):
            x = block(rank, torch.cat([pixel_shuffle(getattr(self, up)(x)), skips.pop()], dim=1))
        return self.out(x)


def author_alpha_bar(timesteps: int) -> np.ndarray:
    """Cosine schedule of the authors: `cosine_alpha_bar` with betas clipped to [0.0001, 0.9999].

    Their step t is taken to count from 0, as usual in code; it is our step t + 1.

    Returns
    -------
    float64 array (timesteps + 1,)
        alpha_bar by step number, from 1 at step 0, the clean image.
    """
    return cosine_alpha_bar(timesteps, min_beta=MIN_BETA, max_beta=MAX_BETA)


def load_author_network(path: PathLike) -> AuthorNetwork:
    """Read a checkpoint of the authors.

    Returns
    -------
    AuthorNetwork
        Ready to predict.

    Raises
    ------
    InputError
        If the file is missing, damaged, holds code, or is of another architecture.
    """
    checkpoint = _open(path)
    parameters = checkpoint["hyper_parameters"]
    weights = checkpoint["state_dict"]  # which may also hold the schedule and copies of the network
    tensors = {key.removeprefix(PREFIX): value for key, value in weights.items() if key.startswith(PREFIX)}
    network = AuthorNetwork(
        _read_number(parameters, "feat_channels", path),
        in_channels=_read_number(parameters, "in_channels", path),
        out_channels=_read_number(parameters, "out_channels", path),
        t_channels=_read_number(parameters, "t_channels", path),
        dims=BACKBONES[_read_choice(parameters, "backbone", BACKBONES, path)],
        layer_norm=_read_choice(parameters, "layer_norm", NORMS, path),
        timesteps=_read_number(parameters, "num_timesteps", path),
    )
    _read_choice(parameters, "out_activation", ("none",), path)
    _read_choice(parameters, "diffusion_schedule", ("cosine",), path)
    if parameters.get("image_noise_channel", -1) != -1:
        raise InputError(f"{path}: image_noise_channel is {parameters['image_noise_channel']!r}; allowed is -1")
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        raise InputError(f"{path}: its weights are not those of the authors' network ({reason})") from error
    return network.eval()


def _open(path: PathLike) -> Mapping:
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except pickle.UnpicklingError as error:
        if zipfile.is_zipfile(path):
            raise InputError(f"{path}: holds more than numbers and text, so it is not opened") from error
        raise InputError(f"{path}: cannot be read as a checkpoint, it may be truncated") from error
    except Exception as error:  # of a file that is something else, torch makes any error
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{path}: cannot be read as a checkpoint, it may be truncated ({reason})") from error
    needed = ("state_dict", "hyper_parameters")
    if not isinstance(checkpoint, Mapping) or not all(isinstance(checkpoint.get(key), Mapping) for key in needed):
        raise InputError(f"{path}: is no checkpoint of the authors, which holds state_dict and hyper_parameters")
    return checkpoint


def _read_choice(parameters: Mapping, key: str, allowed: Mapping | tuple, path: PathLike) -> str:
    if parameters.get(key) not in allowed:
        raise InputError(f"{path}: {key} is {parameters.get(key)!r}; allowed is {', '.join(allowed)}")
    return parameters[key]


def _read_number(parameters: Mapping, key: str, path: PathLike) -> int:
    value = parameters.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise InputError(f"{path}: {key} is {value!r}; it must be a whole number, at least 1")
    return value
