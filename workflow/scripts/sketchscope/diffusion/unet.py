"""The denoising network: a U-Net in two or three dimensions that gets the step number as an embedding."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import nn

from .levels import PerAxis, multiply_strides


def choose_convolution(dims: int) -> Callable[..., nn.Conv2d | nn.Conv3d]:
    """Return the convolution of two or three dimensions."""
    by_dims: dict[int, Callable[..., nn.Conv2d | nn.Conv3d]] = {2: nn.Conv2d, 3: nn.Conv3d}
    return by_dims[dims]


def make_convolution(inputs: int, outputs: int, kernel: PerAxis) -> nn.Conv2d | nn.Conv3d:
    """Make a convolution that keeps the shape."""
    return choose_convolution(len(kernel))(inputs, outputs, kernel, padding=tuple(k // 2 for k in kernel))


def make_group_norm(channels: int) -> nn.GroupNorm:
    """Normalise in at most eight groups of at least two channels: alone, a channel would lose the step's shift."""
    return nn.GroupNorm(min(8, channels // 2), channels)


def embed_steps(t: torch.Tensor, channels: int) -> torch.Tensor:
    """Sines and cosines of t (N,) at `channels`/2 frequencies (Vaswani et al. 2017): (N, channels)."""
    half = channels // 2
    frequencies = torch.exp(-math.log(10000) * torch.arange(half, device=t.device) / half)
    angles = t[:, None].float() * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=1)


class ResidualBlock(nn.Module):
    """Two convolutions with group norm; the step's embedding shifts the features between them."""

    def __init__(self, inputs: int, outputs: int, kernel: PerAxis, embedding: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = make_group_norm(inputs), make_group_norm(outputs)
        self.conv1 = make_convolution(inputs, outputs, kernel)
        self.conv2 = make_convolution(outputs, outputs, kernel)
        self.time = nn.Linear(embedding, outputs)
        self.skip = nn.Identity() if inputs == outputs else make_convolution(inputs, outputs, (1,) * len(kernel))
        nn.init.zeros_(self.conv2.weight)
        if self.conv2.bias is not None:
            nn.init.zeros_(self.conv2.bias)

    def forward(self, x: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        h = self.conv1(nn.functional.silu(self.norm1(x)))
        shift = self.time(embedding)
        h = h + shift.reshape(*shift.shape, *[1] * (h.ndim - 2))
        h = self.conv2(nn.functional.silu(self.norm2(h)))
        return self.skip(x) + h


class Blocks(nn.ModuleList):
    """The residual blocks of one level, one after another."""

    def forward(self, h: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        for block in self:
            h = block(h, embedding)
        return h


class UNet(nn.Module):
    """Predicts the noise eps in x_t, or the velocity v.

    Parameters
    ----------
    channels : sequence of int
        Features of each level, multiples of 8, finest first.
    strides : sequence of tuple of int
        Downsampling between the levels, one fewer than levels; one number per axis.
    kernel_sizes : sequence of tuple of int
        Kernel of each level's blocks.
    blocks : int
        Residual blocks of a level on the way down, and as many on the way up.
    in_channels : int
        1, the noisy image alone; or 2, with the sketch beside it.
    prediction : {'eps', 'v'}
        What the output is, see `prediction.make_target`.
    """

    first_step = 1  # its number for the least noisy step

    def __init__(
        self,
        channels: Sequence[int],
        strides: Sequence[PerAxis],
        kernel_sizes: Sequence[PerAxis],
        blocks: int,
        in_channels: int = 1,
        prediction: str = "eps",
    ) -> None:
        super().__init__()
        self.in_channels, self.prediction = in_channels, prediction
        self.strides = [tuple(step) for step in strides]
        kernels = [tuple(kernel) for kernel in kernel_sizes]
        width, embedding = channels[0], 4 * channels[0]
        self.width, self.dims = width, len(kernels[0])
        # random weights are drawn in the order in which the layers are made
        self.time = nn.Sequential(nn.Linear(width, embedding), nn.SiLU(), nn.Linear(embedding, embedding), nn.SiLU())
        self.stem = make_convolution(in_channels, width, kernels[0])
        self.encoders, self.decoders = nn.ModuleList(), nn.ModuleList()
        self.downs, self.ups = nn.ModuleList(), nn.ModuleList()
        conv = choose_convolution(self.dims)
        for level, (features, kernel) in enumerate(zip(channels, kernels, strict=True)):
            same = [ResidualBlock(features, features, kernel, embedding) for _ in range(blocks)]
            self.encoders.append(Blocks(same))
            if level == len(channels) - 1:
                break
            below, stride = channels[level + 1], self.strides[level]
            self.downs.append(conv(features, below, stride, stride=stride))
            self.ups.append(make_convolution(below, features, (1,) * len(kernel)))
            inputs = [2 * features, *[features] * (blocks - 1)]  # the first gets the skip connection, too
            self.decoders.append(Blocks(ResidualBlock(n, features, kernel, embedding) for n in inputs))
        self.head = nn.Sequential(make_group_norm(width), nn.SiLU(), make_convolution(width, 1, kernels[0]))

    @property
    def sees_sketch(self) -> bool:
        """Whether the sketch is its second channel."""
        return self.in_channels == 2

    @property
    def total_stride(self) -> PerAxis:
        """Voxels along each axis of which the input's shape must be a multiple."""
        return multiply_strides(self.strides, self.dims)

    def forward(self, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """Predict eps or v.

        Parameters
        ----------
        x : tensor (N, in_channels, [Z,] Y, X)
            Noisy images x_t, and their sketches if it sees them; each axis a multiple of `total_stride`.
        t : tensor (N,)
            Step numbers 1..T.

        Returns
        -------
        tensor (N, 1, [Z,] Y, X)
        """
        embedding = self.time(embed_steps(t, self.width).to(x.dtype))
        h, skips = self.stem(x), []
        for level, encoder in enumerate(self.encoders):
            h = encoder(h, embedding)
            if level < len(self.downs):
                skips.append(h)
                h = self.downs[level](h)
        for level in reversed(range(len(self.decoders))):
            h = self.ups[level](h)
            h = nn.functional.interpolate(h, scale_factor=[float(s) for s in self.strides[level]], mode="nearest")
            h = self.decoders[level](torch.cat([h, skips.pop()], dim=1), embedding)
        return self.head(h)
