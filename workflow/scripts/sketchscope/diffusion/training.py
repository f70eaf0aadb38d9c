"""Training of the diffusion model: every step depends only on the seed and its number, so that training resumes."""

import copy
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from ..errors import InputError
from ..run.devices import autocast
from ..run.distributed import Team
from ..run.job import Stopped
from ..streams import stream_key, stream_seed
from .checkpoint import Checkpoint
from .levels import check_halved, choose_kernels, choose_strides, multiply_strides
from .prediction import make_target
from .schedule import q_sample
from .unet import UNet

WARM_UP = 0.05  # share of the steps over which the learning rate rises
WEIGHT_DECAY = 1e-4
MOST_UNLEARNT = 0.97  # twenty steps of a small network leave 0.3 to 0.95, trainings that diverged 1 or more
ALONE = Team()


class TrainingSettings(NamedTuple):
    """What decides the weights, beside the network and its batches.

    Attributes
    ----------
    steps : int
        Of the whole training, over all attempts.
    learning_rate : float
        Its peak.
    ema_decay : float
        Decay per step of the moving average of the weights.
    gradient_clip : float
        Largest norm of the gradient.
    seed : int
    organism : str
        Its name; with the seed it fixes all random numbers.
    dtype : torch.dtype
        Precision of the network's arithmetic.
    """

    steps: int
    learning_rate: float
    ema_decay: float
    gradient_clip: float
    seed: int
    organism: str
    dtype: torch.dtype

    def get_key(self, purpose: str, step: int) -> list[int]:
        """Return the key of what is drawn for a purpose in a step."""
        return [*stream_key(self.seed, self.organism, purpose), step]


class Intervals(NamedTuple):
    """How often something is written; it changes no weight.

    Attributes
    ----------
    report_every : int
        Steps between two rows of loss.csv.
    checkpoint_seconds : float
        Seconds between two checkpoints.
    """

    report_every: int
    checkpoint_seconds: float


class Trainer(NamedTuple):
    """What training changes, and so what a checkpoint holds; the same in all processes of a team.

    Attributes
    ----------
    network : UNet
    average : UNet
        Holds the moving average of the weights, which generation uses.
    optimizer : torch.optim.Optimizer
    scaler : torch.amp.GradScaler
        Scales the loss for fp16.
    """

    network: UNet
    average: UNet
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        return next(self.network.parameters()).device

    def get_state(self) -> dict[str, Any]:
        """Return the state of every part by its name."""
        return {name: part.state_dict() for name, part in self._asdict().items()}

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to a state."""
        for name, part in self._asdict().items():
            part.load_state_dict(state[name])


@dataclass
class Progress:
    """How far a training is.

    Attributes
    ----------
    started : float
        Reading of the monotonic clock at which the training would have begun without interruptions.
    step : int
        Steps that are done.
    losses : list
        Rows of loss.csv.
    recent : list of tensors
        Losses of the steps since the last row.
    """

    started: float
    step: int = 0
    losses: list[list] = field(default_factory=list)
    recent: list[torch.Tensor] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """Time spent, over all attempts."""
        return time.monotonic() - self.started

    def get_state(self) -> dict[str, Any]:
        """Return what a checkpoint holds."""
        return {"step": self.step, "seconds": self.seconds, "losses": self.losses, "recent": self.recent}

    def add_row(self, settings: TrainingSettings) -> None:
        """Add a row to loss.csv, and print it."""
        loss, seconds = torch.stack(self.recent).mean().item(), self.seconds
        print(f"step {self.step}/{settings.steps}, {seconds:.0f} s, loss {loss:.4f}")
        rate = learning_rate_at(self.step - 1, settings.steps, settings.learning_rate)
        self.losses.append([self.step, round(seconds, 1), loss, rate])
        self.recent = []


def build_networks(
    channels: Sequence[int],
    blocks: int,
    patch_shape: Sequence[int],
    voxel_size: Sequence[float],
    timesteps: int,
    *,
    sees_sketch: bool = False,
    prediction: str = "eps",
) -> tuple[UNet, UNet, dict]:
    """Make an untrained network for images of this voxel size, a copy for its moving average, and their description.

    Parameters
    ----------
    channels : sequence of int
        Features of each level, finest first.
    blocks : int
        Residual blocks per level.
    patch_shape : sequence of int
        Voxels of a training patch, (Z, Y, X) or (Y, X).
    voxel_size : sequence of float
        Micrometres along each axis.
    timesteps : int
        Steps T of the forward process.
    sees_sketch : bool
        Whether the network is given the sketch beside the noisy image.
    prediction : {'eps', 'v'}
        What it predicts, see `prediction.make_target`.

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
    strides = choose_strides(voxel_size, patch_shape, len(channels) - 1)
    check_halved(patch_shape, multiply_strides(strides, len(patch_shape)), "diffusion.patch_shape")
    kernel_sizes = choose_kernels(voxel_size, strides)
    architecture: dict[str, Any] = {
        "channels": list(channels),
        "strides": strides,
        "kernel_sizes": kernel_sizes,
        "blocks": blocks,
        "in_channels": 2 if sees_sketch else 1,
        "prediction": prediction,
    }
    network = UNet(**architecture)
    description = {
        "architecture": architecture,
        "patch_shape": list(patch_shape),
        "voxel_size": list(voxel_size),
        "timesteps": timesteps,
    }
    return network, copy.deepcopy(network), description


def make_trainer(
    network: UNet, average: UNet, learning_rate: float, device: torch.device, dtype: torch.dtype
) -> Trainer:
    """Put both networks on the device and add AdamW and, for fp16, the scaling of the loss."""
    network.to(device).train()
    average.to(device).eval()
    optimizer = torch.optim.AdamW(network.parameters(), lr=learning_rate, weight_decay=WEIGHT_DECAY)
    return Trainer(network, average, optimizer, torch.amp.GradScaler(device.type, enabled=dtype is torch.float16))


def train(
    trainer: Trainer,
    draw_batch: Callable[[np.random.Generator, slice], np.ndarray],
    alpha_bar: np.ndarray,
    settings: TrainingSettings,
    *,
    intervals: Intervals,
    checkpoint: Checkpoint,
    report: Callable[[list], None],
    stop: Callable[[], bool] = lambda: False,
    team: Team = ALONE,
) -> dict:
    """Train for all steps; nothing else ends a training, and one that is stopped returns nothing.

    Parameters
    ----------
    trainer : Trainer
        Its networks are trained in place.
    draw_batch : callable
        From a random generator and a slice to that share of a float32 batch (N, channels, [Z,] Y, X) in [-1, 1]:
        images, and their sketches if the network sees them.
    alpha_bar : array (T + 1,)
        From `cosine_alpha_bar`.
    settings : TrainingSettings
    intervals : Intervals
    checkpoint : Checkpoint
        Saved at intervals; if it holds a state, training goes on from there.
    report : callable
        Called with the rows of loss.csv so far at intervals and at the end, by the first process of a team.
    stop : callable
        Whether to end now; asked before every step.
    team : Team
        Processes that share every batch.

    Returns
    -------
    dict
        steps, and the seconds that they took over all attempts.

    Raises
    ------
    Stopped
        Once `stop` says so and the checkpoint is saved.
    """
    progress = resume(trainer, checkpoint)
    coefficients, model = torch.from_numpy(alpha_bar), team.wrap(trainer.network)

    def save() -> None:
        if team.rank == 0:
            checkpoint.save(trainer.get_state() | progress.get_state())

    saved = time.monotonic()
    while progress.step < settings.steps:
        if team.agree(stop()):
            save()
            raise Stopped(f"at step {progress.step}; the checkpoint is saved, the next attempt goes on from there")
        rng = np.random.default_rng(settings.get_key("patches", progress.step))
        batch = torch.from_numpy(draw_batch(rng, team.share)).to(trainer.device, non_blocking=True)
        progress.recent.append(train_step(trainer, model, batch, coefficients, settings, step=progress.step, team=team))
        progress.step += 1
        if progress.step % intervals.report_every == 0 and progress.step < settings.steps:
            progress.add_row(settings)
            if team.rank == 0:
                report(progress.losses)
        if time.monotonic() - saved > intervals.checkpoint_seconds:
            save()
            saved = time.monotonic()
    seconds = progress.seconds
    if progress.recent:
        progress.add_row(settings)
    if team.rank == 0:
        report(progress.losses)  # also if a resumed training has nothing left to do: its outputs may be gone
    return {"steps": progress.step, "seconds": round(seconds, 1)}


def resume(trainer: Trainer, checkpoint: Checkpoint) -> Progress:
    """Restore the trainer from a checkpoint, if it holds a state, and say how far the training is."""
    state = checkpoint.load()
    if not state:
        return Progress(time.monotonic())
    trainer.restore(state)
    recent = [loss.to(trainer.device) for loss in state["recent"]]
    print(f"resumed at step {state['step']}")
    return Progress(time.monotonic() - state["seconds"], state["step"], state["losses"], recent)


def train_step(
    trainer: Trainer,
    model: nn.Module,
    batch: torch.Tensor,
    alpha_bar: torch.Tensor,
    settings: TrainingSettings,
    *,
    step: int,
    team: Team,
) -> torch.Tensor:
    """Update the network and its moving average once.

    Parameters
    ----------
    trainer : Trainer
    model : module
        The network as the team wraps it.
    batch : float32 tensor (N, channels, [Z,] Y, X)
        This process's share of the batch, on the device.
    alpha_bar : float64 tensor (T + 1,)
    settings : TrainingSettings
    step : int
        Steps that are done.
    team : Team

    Returns
    -------
    tensor ()
        The loss, a mean over all processes.
    """
    generator = torch.Generator().manual_seed(stream_seed(settings.get_key("training noise", step)))
    for group in trainer.optimizer.param_groups:
        group["lr"] = learning_rate_at(step, settings.steps, settings.learning_rate)
    shape = (len(batch) * team.size, 1, *batch.shape[2:])
    t, noise = (drawn[team.share] for drawn in draw_noise(shape, len(alpha_bar) - 1, generator))
    loss = prediction_loss(model, batch, t, noise, alpha_bar, trainer.network.prediction, settings.dtype)
    trainer.optimizer.zero_grad(set_to_none=True)
    trainer.scaler.scale(loss).backward()
    trainer.scaler.unscale_(trainer.optimizer)
    nn.utils.clip_grad_norm_(trainer.network.parameters(), settings.gradient_clip)
    trainer.scaler.step(trainer.optimizer)
    trainer.scaler.update()
    update_average(trainer.average, trainer.network, step, settings.ema_decay)
    return team.mean(loss.detach())


def learning_rate_at(step: int, steps: int, peak: float) -> float:
    """Linear warm-up, then half a cosine down to zero, over `steps`."""
    rise = max(1, round(WARM_UP * steps))
    if step < rise:
        return peak * (step + 1) / rise
    return peak / 2 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))


def draw_noise(shape: Sequence[int], timesteps: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw steps t (N,), from 1 to `timesteps`, and noise for a batch of shape (N, ...)."""
    return torch.randint(1, timesteps + 1, shape[:1], generator=generator), torch.randn(shape, generator=generator)


def prediction_loss(
    network: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    batch: torch.Tensor,
    t: torch.Tensor,
    noise: torch.Tensor,
    alpha_bar: torch.Tensor,
    prediction: str,
    dtype: torch.dtype,
) -> torch.Tensor:
    """Mean squared error of the predicted noise (Ho et al. 2020, eq. 14), or of the predicted velocity.

    Of the channels of a batch only the first is noised: a sketch is a condition, and stays as it is.
    """
    noise, x_0 = noise.to(batch.device), batch[:, :1]
    at_t = alpha_bar[t].reshape(-1, *[1] * (x_0.ndim - 1)).to(batch.device)
    with autocast(batch.device, dtype):
        output = network(torch.cat([q_sample(x_0, noise, at_t), batch[:, 1:]], 1), t.to(batch.device))
    return nn.functional.mse_loss(output.float(), make_target(x_0, noise, at_t, prediction))


@torch.no_grad()
def measure_unlearnt(network: UNet, batch: torch.Tensor, alpha_bar: np.ndarray, dtype: torch.dtype, seed: int) -> float:
    """Measure how much of its task a network has not learnt, at noise of every strength.

    Parameters
    ----------
    network : UNet
    batch : float32 tensor (N, channels, [Z,] Y, X)
        Training patches, on the network's device.
    alpha_bar : array (T + 1,)
    dtype : torch.dtype
        Precision of the network's arithmetic.
    seed : int
        Of the noise.

    Returns
    -------
    float
        Its loss over that of a network that knows nothing but the mean of all images.
    """
    t = torch.linspace(1, len(alpha_bar) - 1, len(batch)).round().long()
    noise = torch.randn(batch[:, :1].shape, generator=torch.Generator().manual_seed(seed))
    task = (t, noise, torch.from_numpy(alpha_bar), network.prediction, dtype)
    without_mean = batch[:, :1] - batch[:, :1].mean()
    return float(prediction_loss(network, batch, *task) / prediction_loss(_know_nothing, without_mean, *task))


def _know_nothing(x_t: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """Predict the mean of images whose mean is 0: that of their noise, or of their velocity, is 0 as well."""
    return torch.zeros_like(x_t)


def check_learnt(unlearnt: float, learning_rate: float) -> None:
    """Refuse a network that has learnt next to nothing.

    Parameters
    ----------
    unlearnt : float
        From `measure_unlearnt`.
    learning_rate : float

    Raises
    ------
    InputError
        If it is larger than `MOST_UNLEARNT`, or no number.
    """
    if not unlearnt <= MOST_UNLEARNT:
        raise InputError(
            f"diffusion.learning_rate: found {learning_rate:g}, with which the training failed: its loss is"
            f" {unlearnt:.2f} of that of a network that knows nothing, allowed is at most {MOST_UNLEARNT}; set a"
            " smaller learning rate, or more diffusion.steps if there were only a few"
        )


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, step: int, decay: float) -> None:
    """Exponential moving average of the weights; early steps forget the random start faster."""
    decay = min(decay, (1 + step) / (10 + step))
    torch._foreach_lerp_(list(average.parameters()), list(network.parameters()), 1 - decay)
