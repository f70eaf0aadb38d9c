"""The denoising network: a U-Net in two or three dimensions, told the step by an embedding."""

import math
from collections.abc import Sequence

import torch
from torch import nn

Triple = tuple[int, ...]


def downsampling(voxel_size: Sequence[float], patch_shape: Sequence[int], levels: int) -> list[Triple]:
    """Strides of each downsampling, so that voxels become isotropic and thin stacks stay whole.

    An axis is halved unless fewer than eight of its voxels are left in the patch, or they are already
    twice as long as the shortest along the other axes that can still be halved.

    Parameters
    ----------
    voxel_size : sequence of float
        Micrometres along each axis.
    patch_shape : sequence of int
        Voxels of a training patch along each axis.
    levels : int
        Number of downsamplings.

    Returns
    -------
    list of tuple of int
        One tuple a level, 1 or 2 for each axis.
    """
    spacing, shape, strides = list(voxel_size), list(patch_shape), []
    for _ in range(levels):
        finest = min((s for s, n in zip(spacing, shape, strict=True) if n >= 8), default=math.inf)
        step = tuple(2 if s < 2 * finest and n >= 8 else 1 for s, n in zip(spacing, shape, strict=True))
        spacing = [s * k for s, k in zip(spacing, step, strict=True)]
        shape = [n // k for n, k in zip(shape, step, strict=True)]
        strides.append(step)
    return strides


def kernels(voxel_size: Sequence[float], strides: Sequence[Triple]) -> list[Triple]:
    """Kernel sizes of each level: 3, but 1 along axes whose voxels are by nature over twice as long as the shortest.

    An axis that has been halved keeps 3, even beside a thin one that could not be.
    """
    spacing, sizes = list(voxel_size), []
    for step in [*strides, (1,) * len(spacing)]:
        coarse = [s > 2 * min(spacing) and s == size for s, size in zip(spacing, voxel_size, strict=True)]
        sizes.append(tuple(1 if far else 3 for far in coarse))
        spacing = [s * k for s, k in zip(spacing, step, strict=True)]
    return sizes


def convolution(dims: int) -> type[nn.Module]:
    """The convolution of two or three dimensions."""
    return {2: nn.Conv2d, 3: nn.Conv3d}[dims]


def same_conv(inputs: int, outputs: int, kernel: Triple) -> nn.Module:
    """Convolution that keeps the shape."""
    return convolution(len(kernel))(inputs, outputs, kernel, padding=tuple(k // 2 for k in kernel))


def group_norm(channels: int) -> nn.GroupNorm:
    """Normalise in at most eight groups of at least two channels: alone, a channel would lose the step's shift."""
    return nn.GroupNorm(min(8, channels // 2), channels)


def timestep_embedding(t: torch.Tensor, channels: int) -> torch.Tensor:
    """Sines and cosines of t (N,) at `channels`/2 frequencies (Vaswani et al. 2017): (N, channels)."""
    half = channels // 2
    frequencies = torch.exp(-math.log(10000) * torch.arange(half, device=t.device) / half)
    angles = t[:, None].float() * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=1)


class ResidualBlock(nn.Module):
    """Two convolutions with group norm; the step's embedding shifts the features between them."""

    def __init__(self, inputs: int, outputs: int, kernel: Triple, embedding: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = group_norm(inputs), group_norm(outputs)
        self.conv1 = same_conv(inputs, outputs, kernel)
        self.conv2 = same_conv(outputs, outputs, kernel)
        self.time = nn.Linear(embedding, outputs)
        self.skip = nn.Identity() if inputs == outputs else same_conv(inputs, outputs, (1,) * len(kernel))
        nn.init.zeros_(self.conv2.weight)
        nn.init.zeros_(self.conv2.bias)

    def forward(self, x: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        h = self.conv1(nn.functional.silu(self.norm1(x)))
        shift = self.time(embedding)
        h = h + shift.reshape(*shift.shape, *[1] * (h.ndim - 2))
        h = self.conv2(nn.functional.silu(self.norm2(h)))
        return self.skip(x) + h


class UNet(nn.Module):
    """Predicts the noise eps in x_t.

    Parameters
    ----------
    channels : sequence of int
        Features of each level, multiples of 8, finest first.
    strides : sequence of tuple of int
        Downsampling between the levels, one fewer than levels; one number an axis.
    kernel_sizes : sequence of tuple of int
        Kernel of each level's blocks.
    blocks : int
        Residual blocks of a level on the way down, and as many on the way up.
    """

    in_channels = 1
    first_step = 1  # what it calls the least noisy step

    def __init__(
        self,
        channels: Sequence[int],
        strides: Sequence[Triple],
        kernel_sizes: Sequence[Triple],
        blocks: int = 1,
    ) -> None:
        super().__init__()
        self.strides = [tuple(step) for step in strides]
        width, embedding = channels[0], 4 * channels[0]
        self.width = width
        self.time = nn.Sequential(nn.Linear(width, embedding), nn.SiLU(), nn.Linear(embedding, embedding), nn.SiLU())
        kernel_sizes = [tuple(kernel) for kernel in kernel_sizes]
        self.stem = same_conv(1, width, kernel_sizes[0])
        self.encoders, self.decoders = nn.ModuleList(), nn.ModuleList()
        self.downs, self.ups = nn.ModuleList(), nn.ModuleList()
        self.dims = len(kernel_sizes[0])
        conv = convolution(self.dims)
        for level, (features, kernel) in enumerate(zip(channels, kernel_sizes, strict=True)):
            self.encoders.append(
                nn.ModuleList(ResidualBlock(features, features, kernel, embedding) for _ in range(blocks))
            )
            if level == len(channels) - 1:
                break
            below = channels[level + 1]
            self.downs.append(conv(features, below, self.strides[level], stride=self.strides[level]))
            self.ups.append(same_conv(below, features, (1,) * len(kernel)))
            self.decoders.append(
                nn.ModuleList(
                    ResidualBlock(2 * features if block == 0 else features, features, kernel, embedding)
                    for block in range(blocks)
                )
            )
        self.head = nn.Sequential(group_norm(width), nn.SiLU(), same_conv(width, 1, kernel_sizes[0]))

    @property
    def total_stride(self) -> Triple:
        """Voxels along each axis that the input's shape must be a multiple of."""
        return tuple(math.prod(step[axis] for step in self.strides) for axis in range(self.dims))

    def forward(self, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """Predict eps.

        Parameters
        ----------
        x : tensor (N, 1, [Z,] Y, X)
            Noisy images x_t; each axis a multiple of `total_stride`.
        t : tensor (N,)
            Step numbers 1..T.

        Returns
        -------
        tensor like x
        """
        embedding = self.time(timestep_embedding(t, self.width).to(x.dtype))
        h, skips = self.stem(x), []
        for level, encoder in enumerate(self.encoders):
            for block in encoder:
                h = block(h, embedding)
            if level < len(self.downs):
                skips.append(h)
                h = self.downs[level](h)
        for level in reversed(range(len(self.decoders))):
            h = self.ups[level](h)
            h = nn.functional.interpolate(h, scale_factor=[float(s) for s in self.strides[level]], mode="nearest")
            h = torch.cat([h, skips.pop()], dim=1)
            for block in self.decoders[level]:
                h = block(h, embedding)
        return self.head(h)
