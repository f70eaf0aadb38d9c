"""From sketches to realistic images: forward noise to t_start, then the learned reverse process by tiles."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import torch

from ..geometry import Slices
from ..io.atomic import PathLike
from ..run.devices import autocast, choose_precision, to_device
from .levels import check_halved
from .memory import Batches, find_batch_size
from .model_file import Denoiser, load_network
from .noise import draw_voxel_noise
from .samplers import Sampler, p_sample_loop
from .schedule import Schedule, q_sample, respace
from .tiling import Tiling, cut_tiles, make_window
from .unet import UNet

SPACING = 3.0  # power by which the steps lie closer together near the clean image, see `respace`; found by measurement

START, REVERSE, FIXED = 0, 1, 2  # kinds of noise: each has a random stream of its own


class VolumeGenerator(NamedTuple):
    """A network, and all that is the same for every volume that it makes.

    Attributes
    ----------
    network : UNet or AuthorNetwork
        Trained, on `device`.
    schedule : Schedule
        The reverse steps from t_start on.
    sampler : Sampler
        Which kind of step is taken.
    tiling : Tiling
    device : torch.device
    dtype : torch.dtype
        Precision of the network's arithmetic.
    """

    network: Denoiser
    schedule: Schedule
    sampler: Sampler
    tiling: Tiling
    device: torch.device
    dtype: torch.dtype


class TileGrid(NamedTuple):
    """Tiles that cover a volume, and how their predictions are blended.

    Attributes
    ----------
    regions : sequence of slices
        Of each tile in the volume.
    window : float32 tensor of a tile's shape
        Weight of each voxel of a tile.
    weight : float32 tensor of the volume's shape
        Sum of the windows of all tiles.
    """

    regions: Sequence[Slices]
    window: torch.Tensor
    weight: torch.Tensor


def load_generator(path: PathLike, device: torch.device, sampler: Sampler, tiling: Tiling) -> Callable[..., np.ndarray]:
    """Prepare `generate_volume` with a network from a file; see `load_network` and `make_generator`."""
    return make_generator(*load_network(path), device, sampler, tiling)


def make_generator(
    network: Denoiser, alpha_bar: np.ndarray, device: torch.device, sampler: Sampler, tiling: Tiling
) -> Callable[..., np.ndarray]:
    """Prepare `generate_volume` with a network.

    Parameters
    ----------
    network, alpha_bar
        See `load_network`.
    device : torch.device
        To compute on; the network is moved there.
    sampler : Sampler
    tiling : Tiling

    Returns
    -------
    callable
        `generate_volume` without its first argument.

    Raises
    ------
    InputError
        If t_start or steps of the sampler are out of range.
    """
    schedule = respace(alpha_bar, sampler.t_start, sampler.steps, SPACING)
    dtype = choose_precision("auto", device)
    generator = VolumeGenerator(network.to(device), schedule, sampler, tiling, device, dtype)
    return partial(generate_volume, generator)


def generate_volume(
    generator: VolumeGenerator,
    sketch: np.ndarray,
    *,
    key: Sequence[int],
    origin: Sequence[int] | None = None,
    report: Callable[[float], None] = lambda share: None,
) -> np.ndarray:
    """Turn one sketch into an image (SDEdit, Meng et al. 2021, by overlapping tiles).

    Parameters
    ----------
    generator : VolumeGenerator
    sketch : float32 array (Z, Y, X) or (Y, X)
        In [-1, 1]; of any size.
    key : sequence of int
        That of the stream, and the volume: together with the voxel's position they fix all noise.
    origin : sequence of int, optional
        Position of the sketch's first voxel in the whole volume, for the noise; by default the sketch is the whole.
    report : callable
        Called after every batch with the share of the work that is done.

    Returns
    -------
    float32 array like `sketch`
        In [-1, 1].

    Raises
    ------
    InputError
        If a tile's shape is no multiple of the network's strides, a tile does not fit into memory, or there is no such
        sampler.
    """
    network, schedule, sampler, tiling, device, dtype = generator
    check_halved(tiling.tile_shape, network.total_stride, "generation.tile_shape")
    shape = enlarge_shape(sketch.shape, tiling.tile_shape)
    # symmetric, since unlike "reflect" it also pads a stack of one slice
    padded = np.pad(sketch, [(0, n - size) for n, size in zip(shape, sketch.shape, strict=True)], "symmetric")
    start = (0,) * sketch.ndim if origin is None else origin
    grid = lay_tiles(shape, tiling, device)
    size = tiling.batch_size or find_batch_size(network, network.in_channels, tiling.tile_shape, device, dtype)
    batches, steps = Batches(size), schedule.timesteps.tolist()

    def draw_noise(kind: int, step: int) -> torch.Tensor:
        return to_device(draw_voxel_noise([*key, kind, step], start, shape), device)

    def predict(x_t: torch.Tensor, t: int) -> torch.Tensor:
        def report_step(share: float) -> None:
            report((steps.index(t) + share) / len(steps))

        return predict_volume(network, [x_t, *beside], t, grid, batches, dtype, report_step)

    drawn = to_device(padded, device)
    beside = [drawn] if network.sees_sketch else [draw_noise(FIXED, n) for n in range(network.in_channels - 1)]
    x_t = q_sample(drawn, draw_noise(START, 0), float(schedule.alpha_bar[0]))
    image = p_sample_loop(x_t, schedule, predict, partial(draw_noise, REVERSE), sampler, network.prediction)
    return image[tuple(slice(n) for n in sketch.shape)].clamp(-1, 1).cpu().numpy()


@torch.no_grad()
def predict_volume(
    network: Denoiser,
    channels: Sequence[torch.Tensor],
    t: int,
    grid: TileGrid,
    batches: Batches,
    dtype: torch.dtype,
    report: Callable[[float], None] = lambda share: None,
) -> torch.Tensor:
    """Predict eps or v of a whole volume from overlapping tiles, blended at this very step (MultiDiffusion).

    Parameters
    ----------
    network : UNet or AuthorNetwork
    channels : sequence of float32 tensors ([Z,] Y, X)
        x_t, and the sketch or the fixed noise where the network takes it.
    t : int
        Step number.
    grid : TileGrid
        Tiles that cover the volume.
    batches : Batches
        Cuts the tiles into batches that fit into memory.
    dtype : torch.dtype
        Precision of the network's arithmetic.
    report : callable
        Called after every batch with the share of the tiles that are done.

    Returns
    -------
    float32 tensor ([Z,] Y, X)
    """
    total = torch.zeros_like(grid.weight)

    def predict(batch: Sequence[Slices]) -> torch.Tensor:
        stack = torch.stack([torch.stack([channel[region] for channel in channels]) for region in batch])
        with autocast(total.device, dtype):
            return network(stack, torch.full((len(batch),), t - 1 + network.first_step, device=total.device))

    done = 0
    for batch, output in batches.map(predict, grid.regions):
        for region, tile in zip(batch, output[:, 0].float(), strict=True):
            total[region] += tile * grid.window
        done += len(batch)
        report(done / len(grid.regions))
    return total.div_(grid.weight)


def lay_tiles(shape: Sequence[int], tiling: Tiling, device: torch.device) -> TileGrid:
    """Cover a volume of this shape with tiles, weights on the device."""
    regions = cut_tiles(shape, tiling.tile_shape, tiling.overlap)
    window = to_device(make_window(tiling.tile_shape, tiling.overlap), device)
    weight = torch.zeros(tuple(shape), device=device)
    for region in regions:
        weight[region] += window
    return TileGrid(regions, window, weight)


def enlarge_shape(shape: Sequence[int], tile_shape: Sequence[int]) -> tuple[int, ...]:
    """Return the shape to which a volume is padded: at least one tile along each axis."""
    return tuple(max(n, tile) for n, tile in zip(shape, tile_shape, strict=True))


@torch.no_grad()
def sample_from_noise(
    network: UNet,
    alpha_bar: np.ndarray,
    sketches: np.ndarray,
    *,
    steps: int,
    key: Sequence[int],
    dtype: torch.dtype,
) -> np.ndarray:
    """Make images from pure noise, to see what the network has learnt.

    Fresh noise in every step (DDIM with eta = 1) corrects errors that a young network makes at high noise.

    Parameters
    ----------
    network : UNet
    alpha_bar : array (T + 1,)
        The schedule that it was trained with.
    sketches : float32 array (N, 0 or 1, [Z,] Y, X)
        One for each image, which a network is given that sees sketches; without a channel for another network.
    steps : int
        Number of steps (at most T).
    key : sequence of int
        Of the noise.
    dtype : torch.dtype
        Precision of the network's arithmetic.

    Returns
    -------
    float32 array (N, [Z,] Y, X)
        In [-1, 1].
    """
    device = next(network.parameters()).device
    beside, count = torch.from_numpy(sketches).to(device), len(sketches)
    last = len(alpha_bar) - 1
    sampler = Sampler("ddim", last, min(steps, last), eta=1.0, clip=True)
    schedule = respace(alpha_bar, last, sampler.steps)
    rng = np.random.default_rng(key)

    def draw_noise() -> torch.Tensor:
        return torch.from_numpy(rng.standard_normal((count, 1, *sketches.shape[2:]), np.float32)).to(device)

    def predict(x_t: torch.Tensor, t: int) -> torch.Tensor:
        with autocast(device, dtype):
            return network(torch.cat([x_t, beside], 1), torch.full((count,), t, device=device)).float()

    images = p_sample_loop(draw_noise(), schedule, predict, lambda t: draw_noise(), sampler, network.prediction)
    return images[:, 0].cpu().numpy()
