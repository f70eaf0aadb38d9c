"""Training of the diffusion model: steps that depend on the seed and their number alone, so that they resume."""

import copy
import math
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from ..errors import InputError
from ..run.devices import autocast
from ..run.distributed import Team
from ..run.job import Stopped
from .checkpoint import Checkpoint
from .schedule import q_sample
from .unet import UNet, downsampling, kernels

WARM_UP = 0.05  # share of the steps over which the learning rate rises
SETTINGS = (  # keys of the configuration that `train` takes as they are
    "steps",
    "seconds",
    "learning_rate",
    "ema_decay",
    "gradient_clip",
    "report_every",
    "checkpoint_seconds",
)
ALONE = Team()


def build_networks(
    channels: Sequence[int], blocks: int, patch_shape: Sequence[int], voxel_size: Sequence[float], timesteps: int
) -> tuple[UNet, UNet, dict]:
    """Make an untrained network for images of this voxel size, its average to be, and their description.

    Returns
    -------
    network, average : UNet
        With the same weights.
    description : dict
        What `save_model` stores: architecture, patch_shape, voxel_size, timesteps.

    Raises
    ------
    InputError
        If the network cannot halve a patch as often as it must.
    """
    strides = downsampling(voxel_size, patch_shape, len(channels) - 1)
    architecture = {
        "channels": list(channels),
        "strides": strides,
        "kernel_sizes": kernels(voxel_size, strides),
        "blocks": blocks,
    }
    network = UNet(**architecture)
    if any(size % stride for size, stride in zip(patch_shape, network.total_stride, strict=True)):
        allowed = ", ".join(map(str, network.total_stride))
        raise InputError(
            f"diffusion.patch_shape is {list(patch_shape)}; with {len(channels)} levels and these voxels it must be "
            f"a multiple of {allowed}"
        )
    description = {
        "architecture": architecture,
        "patch_shape": list(patch_shape),
        "voxel_size": list(voxel_size),
        "timesteps": timesteps,
    }
    return network, copy.deepcopy(network), description


def learning_rate_at(step: int, steps: int, peak: float) -> float:
    """Linear warm-up, then half a cosine down to zero, over `steps`."""
    rise = max(1, round(WARM_UP * steps))
    if step < rise:
        return peak * (step + 1) / rise
    return peak / 2 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))


def draw_noise(shape: Sequence[int], timesteps: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Steps t (N,), from 1 to `timesteps`, and noise for a batch of shape (N, ...)."""
    return torch.randint(1, timesteps + 1, shape[:1], generator=generator), torch.randn(shape, generator=generator)


def noise_loss(
    network: nn.Module,
    x_0: torch.Tensor,
    t: torch.Tensor,
    noise: torch.Tensor,
    alpha_bar: torch.Tensor,
    dtype: torch.dtype,
) -> torch.Tensor:
    """Mean squared error of the predicted noise (Ho et al. 2020, eq. 14)."""
    noise = noise.to(x_0.device)
    at_t = alpha_bar[t].reshape(-1, *[1] * (x_0.ndim - 1)).to(x_0.device)
    with autocast(x_0.device, dtype):
        eps = network(q_sample(x_0, noise, at_t), t.to(x_0.device))
    return nn.functional.mse_loss(eps.float(), noise)


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, step: int, decay: float) -> None:
    """Exponential moving average of the weights; early steps forget the random start faster."""
    decay = min(decay, (1 + step) / (10 + step))
    torch._foreach_lerp_(list(average.parameters()), list(network.parameters()), 1 - decay)


def loss_row(step: int, steps: int, seconds: float, losses: Sequence[torch.Tensor], rate: float) -> list:
    """Row of loss.csv, which is also printed."""
    loss = torch.stack(list(losses)).mean().item()
    print(f"step {step}/{steps}, {seconds:.0f} s, loss {loss:.4f}")
    return [step, round(seconds, 1), loss, rate]


class Trainer(NamedTuple):
    """What training changes, and so what a checkpoint holds; the same in all processes of a team."""

    network: UNet
    average: UNet
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler

    def state(self) -> dict:
        return {name: part.state_dict() for name, part in self._asdict().items()}

    def restore(self, state: dict) -> None:
        for name, part in self._asdict().items():
            part.load_state_dict(state[name])


def make_trainer(
    network: UNet, average: UNet, learning_rate: float, device: torch.device, dtype: torch.dtype
) -> Trainer:
    """Put both networks on the device and add AdamW and, for fp16, the scaling of the loss."""
    network.to(device).train()
    average.to(device).eval()
    optimizer = torch.optim.AdamW(network.parameters(), lr=learning_rate, weight_decay=1e-4)
    return Trainer(network, average, optimizer, torch.amp.GradScaler(device.type, enabled=dtype is torch.float16))


def train_step(
    trainer: Trainer,
    model: nn.Module,
    x_0: torch.Tensor,
    alpha_bar: torch.Tensor,
    *,
    team: Team,
    step: int,
    seed: int,
    rate: float,
    ema_decay: float,
    gradient_clip: float,
    dtype: torch.dtype,
) -> torch.Tensor:
    """One update of the network and of its average; returns the loss.

    `model` is the network as the team wraps it, `x_0` the share of the batch that this process has.
    """
    generator = torch.Generator().manual_seed(int(np.random.SeedSequence([seed, step]).generate_state(1)[0]))
    for group in trainer.optimizer.param_groups:
        group["lr"] = rate
    shape = (len(x_0) * team.size, *x_0.shape[1:])
    t, noise = (drawn[team.share] for drawn in draw_noise(shape, len(alpha_bar) - 1, generator))
    loss = noise_loss(model, x_0, t, noise, alpha_bar, dtype)
    trainer.optimizer.zero_grad(set_to_none=True)
    trainer.scaler.scale(loss).backward()
    trainer.scaler.unscale_(trainer.optimizer)
    nn.utils.clip_grad_norm_(trainer.network.parameters(), gradient_clip)
    trainer.scaler.step(trainer.optimizer)
    trainer.scaler.update()
    update_average(trainer.average, trainer.network, step, ema_decay)
    return team.mean(loss.detach())


def train(
    network: UNet,
    average: UNet,
    draw_batch: Callable[[np.random.Generator, slice], np.ndarray],
    alpha_bar: np.ndarray,
    *,
    steps: int,
    seconds: float | None,
    learning_rate: float,
    ema_decay: float,
    gradient_clip: float,
    report_every: int,
    checkpoint_seconds: float,
    seed: int,
    device: torch.device,
    dtype: torch.dtype,
    checkpoint: Checkpoint,
    report: Callable[[list], None],
    stop: Callable[[], bool] = lambda: False,
    team: Team = ALONE,
) -> dict:
    """Train until `steps` or `seconds` are used up, whichever comes first.

    Parameters
    ----------
    network, average : UNet
        Trained in place; `average` holds the moving average that generation uses.
    draw_batch : callable
        Gives a share of a float32 batch (N, 1, [Z,] Y, X) in [-1, 1] from a random generator and a slice.
    alpha_bar : array (T + 1,)
        From `cosine_alpha_bar`.
    steps, seconds
        Budget, over all attempts; None sets no limit of time.
    checkpoint : Checkpoint
        Saved every `checkpoint_seconds`; if it holds a state, training goes on from there.
    report : callable
        Called with the rows of loss.csv so far every `report_every` steps and at the end, by one process of a team.
    stop : callable
        Whether to end now; asked before every step.
    team : Team
        Processes that share every batch.

    Returns
    -------
    dict
        steps, seconds and ended_by ('steps' or 'seconds').

    Raises
    ------
    Stopped
        Once `stop` says so and the checkpoint is saved.
    """
    trainer = make_trainer(network, average, learning_rate, device, dtype)
    step, spent, losses, recent = 0, 0.0, [], []
    if state := checkpoint.load():
        trainer.restore(state)
        step, spent, losses = state["step"], state["seconds"], state["losses"]
        recent = [loss.to(device) for loss in state["recent"]]
        print(f"resumed at step {step}")
    coefficients, limit = torch.from_numpy(alpha_bar), math.inf if seconds is None else seconds
    started, saved = time.monotonic() - spent, time.monotonic()
    model = team.wrap(network)

    def save() -> None:
        if team.rank == 0:
            seconds = time.monotonic() - started
            checkpoint.save(trainer.state() | {"step": step, "seconds": seconds, "losses": losses, "recent": recent})

    while step < steps and not team.agree(stop() or time.monotonic() - started >= limit):
        x_0 = torch.from_numpy(draw_batch(np.random.default_rng([seed, step]), team.share))
        rate = learning_rate_at(step, steps, learning_rate)
        loss = train_step(
            trainer,
            model,
            x_0.to(device, non_blocking=True),
            coefficients,
            team=team,
            step=step,
            seed=seed,
            rate=rate,
            ema_decay=ema_decay,
            gradient_clip=gradient_clip,
            dtype=dtype,
        )
        recent.append(loss)
        step, elapsed = step + 1, time.monotonic() - started
        if step % report_every == 0 and step < steps:
            losses.append(loss_row(step, steps, elapsed, recent, rate))
            recent = []
            if team.rank == 0:
                report(losses)
        if time.monotonic() - saved > checkpoint_seconds:
            save()
            saved = time.monotonic()
    if step < steps and team.agree(stop()):
        save()
        raise Stopped(f"at step {step}; the checkpoint is saved, the next attempt goes on from there")
    elapsed = time.monotonic() - started
    if recent:
        losses.append(loss_row(step, steps, elapsed, recent, learning_rate_at(step - 1, steps, learning_rate)))
    if team.rank == 0:
        report(losses)  # also if a resumed training has nothing left to do: its outputs may be gone
    return {"steps": step, "seconds": round(elapsed, 1), "ended_by": "steps" if step == steps else "seconds"}
