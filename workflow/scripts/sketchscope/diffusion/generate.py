"""From sketches to realistic images: forward noise to t_start, then the learned reverse process by tiles."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

from ..errors import InputError
from ..geometry import Slices
from ..io.atomic import PathLike
from ..run.devices import autocast, choose_precision, to_device
from .author_network import ReferenceNet, load_checkpoint, reference_alpha_bar
from .memory import Batches, fitting_size
from .model_file import load_model
from .noise import voxel_noise
from .samplers import p_sample_loop
from .schedule import Schedule, cosine_alpha_bar, q_sample, respace
from .tiling import blending_window, tiles
from .unet import UNet

Denoiser = UNet | ReferenceNet

SPACING = 3.0  # power by which the steps lie closer towards the clean image, see `respace`; chosen by measurement

START, REVERSE, FIXED = 0, 1, 2  # purposes of noise: they tell its streams apart


def load_network(path: PathLike) -> tuple[Denoiser, np.ndarray]:
    """Read a network that was trained here, or from a .ckpt file one of the paper's authors, and its alpha_bar."""
    if str(path).endswith(".ckpt"):
        network = load_checkpoint(path)
        return network, reference_alpha_bar(network.timesteps)
    network, description = load_model(path)
    return network, cosine_alpha_bar(description["timesteps"])


@torch.no_grad()
def predict_noise(
    network: Denoiser,
    channels: Sequence[torch.Tensor],
    t: int,
    regions: Sequence[Slices],
    window: torch.Tensor,
    weight: torch.Tensor,
    batches: Batches,
    dtype: torch.dtype,
    report: Callable[[float], None] = lambda share: None,
) -> torch.Tensor:
    """Predict eps of a whole volume from overlapping tiles, blended at this very step (MultiDiffusion).

    Parameters
    ----------
    channels : sequence of float32 tensors ([Z,] Y, X)
        x_t, and the fixed noise where the network wants it.
    t : int
        Step number.
    regions : sequence of slices
        Tiles that cover the volume.
    window : tensor of a tile's shape
        Weight of each voxel of a tile.
    weight : tensor of the volume's shape
        Sum of the windows of all tiles.
    batches : Batches
        Cuts the tiles into batches that fit into memory.
    report : callable
        Told the share of the tiles that are done.
    """
    total = torch.zeros_like(weight)

    def predict(batch: Sequence[Slices]) -> torch.Tensor:
        stack = torch.stack([torch.stack([channel[region] for channel in channels]) for region in batch])
        with autocast(total.device, dtype):
            return network(stack, torch.full((len(batch),), t - 1 + network.first_step, device=total.device))

    done = 0
    for batch, eps in batches.map(predict, regions):
        for region, tile in zip(batch, eps[:, 0].float(), strict=True):
            total[region] += tile * window
        done += len(batch)
        report(done / len(regions))
    return total.div_(weight)


def sum_of_windows(shape: Sequence[int], regions: Sequence[Slices], window: torch.Tensor) -> torch.Tensor:
    """Weight of every voxel, all tiles together."""
    weight = torch.zeros(tuple(shape), device=window.device)
    for region in regions:
        weight[region] += window
    return weight


def check_tile(tile_shape: Sequence[int], total_stride: Sequence[int]) -> None:
    """Check that the network can halve a tile as often as it must."""
    if any(size % stride for size, stride in zip(tile_shape, total_stride, strict=True)):
        allowed = ", ".join(map(str, total_stride))
        raise InputError(
            f"generation.tile_shape is {list(tile_shape)}; for this diffusion model it must be a multiple of {allowed}"
        )


def padded_shape(shape: Sequence[int], tile_shape: Sequence[int]) -> tuple[int, ...]:
    """Shape to which a volume is padded: at least one tile along each axis."""
    return tuple(max(n, tile) for n, tile in zip(shape, tile_shape, strict=True))


def load_generator(path: PathLike, device: torch.device, **settings: Any) -> Callable[..., np.ndarray]:
    """Prepare `generate_volume` with a network from a file; see `load_network` and `make_generator`."""
    return make_generator(*load_network(path), device, **settings)


def make_generator(
    network: Denoiser,
    alpha_bar: np.ndarray,
    device: torch.device,
    *,
    t_start: int,
    steps: int | None,
    **settings: Any,
) -> Callable[..., np.ndarray]:
    """Prepare `generate_volume` with a network.

    Parameters
    ----------
    network, alpha_bar
        See `load_network`.
    t_start, steps : int
        See `schedule.respace`.
    **settings
        Of `generate_volume`: tile_shape, overlap, batch_size, sampler, eta.

    Returns
    -------
    callable
        From a sketch and its key (and where wanted origin and report) to an image.
    """
    schedule = respace(alpha_bar, t_start, steps, SPACING)
    dtype = choose_precision("auto", device)
    return partial(generate_volume, network.to(device), schedule=schedule, device=device, dtype=dtype, **settings)


def generate_volume(
    network: Denoiser,
    sketch: np.ndarray,
    schedule: Schedule,
    *,
    key: Sequence[int],
    tile_shape: Sequence[int],
    overlap: Sequence[int],
    batch_size: int | None,
    sampler: str,
    eta: float,
    device: torch.device,
    dtype: torch.dtype,
    origin: Sequence[int] | None = None,
    report: Callable[[float], None] = lambda share: None,
) -> np.ndarray:
    """Turn one sketch into an image (SDEdit, Meng et al. 2021, by overlapping tiles).

    Parameters
    ----------
    network : UNet or ReferenceNet
        Trained, on `device`.
    sketch : float32 array (Z, Y, X) or (Y, X)
        In [-1, 1]; of any size.
    schedule : Schedule
        Reverse steps from t_start on.
    key : sequence of int
        Seed, organism and volume: with the voxel's position they fix all noise.
    tile_shape, overlap : sequence of int
        Voxels along each axis; a tile's shape must suit the network's strides.
    batch_size : int, optional
        Tiles that go through the network together; by default as many as fit.
    sampler : {'ddim', 'ddpm', 'dpm-solver++'}
    eta : float
        Randomness of DDIM and DPM-Solver++.
    origin : sequence of int, optional
        Position of the sketch's first voxel in the whole volume, for the noise; by default it is the whole.
    report : callable
        Told the share of the work that is done, after every batch.

    Returns
    -------
    float32 array like `sketch`
        In [-1, 1].

    Raises
    ------
    InputError
        If a tile's shape is no multiple of the network's strides, or a tile does not fit into memory.
    """
    check_tile(tile_shape, network.total_stride)
    shape = padded_shape(sketch.shape, tile_shape)
    # symmetric, since unlike "reflect" it also pads a stack of one slice
    padded = np.pad(sketch, [(0, n - size) for n, size in zip(shape, sketch.shape, strict=True)], "symmetric")
    origin = (0,) * sketch.ndim if origin is None else origin
    regions = tiles(shape, tile_shape, overlap)
    window = to_device(blending_window(tile_shape, overlap), device)
    weight = sum_of_windows(shape, regions, window)
    batches = Batches(batch_size or fitting_size(network, network.in_channels, tile_shape, device, dtype))
    steps = schedule.timesteps.tolist()

    def noise(purpose: int, step: int) -> torch.Tensor:
        return to_device(voxel_noise([*key, purpose, step], origin, shape), device)

    def predict(x_t: torch.Tensor, t: int) -> torch.Tensor:
        def report_step(share: float) -> None:
            report((steps.index(t) + share) / len(steps))

        return predict_noise(network, [x_t, *fixed], t, regions, window, weight, batches, dtype, report_step)

    fixed = [noise(FIXED, channel) for channel in range(network.in_channels - 1)]
    x_t = q_sample(to_device(padded, device), noise(START, 0), float(schedule.alpha_bar[0]))
    image = p_sample_loop(x_t, schedule, predict, partial(noise, REVERSE), sampler, eta)
    return image[tuple(slice(n) for n in sketch.shape)].clamp(-1, 1).cpu().numpy()


@torch.no_grad()
def sample_from_noise(
    network: UNet, alpha_bar: np.ndarray, shape: Sequence[int], *, count: int, steps: int, seed: int, dtype: torch.dtype
) -> np.ndarray:
    """Images made from pure noise, to see what the network has learnt.

    Fresh noise in every step (DDIM with eta = 1) corrects errors that a young network makes at high noise.

    Returns
    -------
    float32 array (count, *shape)
        In [-1, 1].
    """
    device = next(network.parameters()).device
    schedule = respace(alpha_bar, len(alpha_bar) - 1, min(steps, len(alpha_bar) - 1))
    rng = np.random.default_rng(seed)

    def noise() -> torch.Tensor:
        return torch.from_numpy(rng.standard_normal((count, 1, *shape), np.float32)).to(device)

    def predict(x_t: torch.Tensor, t: int) -> torch.Tensor:
        with autocast(device, dtype):
            return network(x_t, torch.full((count,), t, device=device)).float()

    return p_sample_loop(noise(), schedule, predict, lambda t: noise(), "ddim", eta=1)[:, 0].cpu().numpy()
