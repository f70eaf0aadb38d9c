"""Cellpose 3 trained from scratch on synthetic pairs, and applied to real images, in two and three dimensions.

Cellpose is imported inside the functions: it takes seconds, and not every user of this module needs it.
Every argument that changes the numbers is given: the defaults of its functions and of its command line differ.
"""

import logging
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from skimage.transform import resize

from ..errors import InputError
from ..io.atomic import PathLike, atomic_path
from ..run.devices import autocast, choose_precision

DIAM_MEAN = 30.0  # pixels of a cell's diameter after rescaling for the network; Cellpose's own default
SCALE_RANGE = 0.5  # training crops are scaled by up to a quarter either way
MOST_PLANES = 12  # along each axis of a volume
CHANNELS = [0, 0]  # grey images


class Training(NamedTuple):
    """How long and on what Cellpose trains; the first epoch has learning rate 0."""

    epochs: int
    images_per_epoch: int
    batch_size: int
    crop: int
    """Side of a square training crop, pixels."""
    learning_rate: float
    weight_decay: float


class Thresholds(NamedTuple):
    """How Cellpose makes masks from flows."""

    flow_threshold: float
    """Largest flow error of a mask; 0 keeps every mask. 2D only."""
    cellprob_threshold: float
    """Smallest cell logit of a pixel."""
    min_size: int
    """Smallest mask, voxels."""
    stitch_threshold: float | None
    """Segment a stack plane by plane and join cells of neighbouring planes whose IoU exceeds this; None follows flows
    in three dimensions."""


def make_isotropic(image: np.ndarray, pixel: float, voxel_size: Sequence[float], order: int) -> np.ndarray:
    """Resample to square pixels or cubic voxels.

    Parameters
    ----------
    image : array (Z, Y, X) or (Y, X)
    pixel : float
        Micrometres of the new voxels.
    voxel_size : sequence of float
        Micrometres of the present ones.
    order : int
        1 interpolates intensities, 0 keeps labels.
    """
    shape = [max(1, round(n * size / pixel)) for n, size in zip(image.shape, voxel_size, strict=True)]
    resampled = resize(image, shape, order=order, mode="edge", preserve_range=True, anti_aliasing=order > 0)
    return resampled.astype(image.dtype if order == 0 else np.float32)


def cut_planes(image: np.ndarray, labels: np.ndarray, axes: int = 3) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield two-dimensional views of a pair: itself, or slices along the first `axes` axes of a volume.

    Every axis gives the same number of slices, evenly spaced, so that thin stacks do not train on their sections alone.
    It is at most `MOST_PLANES`, since neighbouring slices are much alike.
    """
    if image.ndim == 2:
        yield image, labels
        return
    count = min(MOST_PLANES, *image.shape)
    for axis, size in enumerate(image.shape[:axes]):
        for index in ((np.arange(count) + 0.5) * size / count).astype(int):
            yield image.take(index, axis), labels.take(index, axis)


def normalise99(image: np.ndarray) -> np.ndarray:
    """Map the percentiles 1 and 99 of the whole image or volume to 0 and 1, as Cellpose does to predict."""
    low, high = np.percentile(image, (1, 99))
    return ((image - low) / max(high - low, 1e-9)).astype(np.float32)


def make_training_planes(
    pairs: Iterable[tuple[np.ndarray, np.ndarray]],
    voxel_size: Sequence[float],
    cell_diameter: float,
    *,
    stitched: bool = False,
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Resample pairs so that a cell measures `DIAM_MEAN` pixels, and cut them into planes that hold a cell.

    Parameters
    ----------
    pairs : iterable of (image, labels)
        Arrays (Z, Y, X) or (Y, X).
    voxel_size : sequence of float
        Micrometres along each axis.
    cell_diameter : float
        Micrometres.
    stitched : bool
        Stacks will be segmented slice by slice: of them only the slices as they are, no sections across them.

    Raises
    ------
    InputError
        If no plane holds a cell.
    """
    pixel = cell_diameter / DIAM_MEAN
    pairs = ((normalise99(image), mask) for image, mask in pairs)
    if stitched:  # slices keep their distance
        pairs = (plane for pair in pairs for plane in cut_planes(*pair, axes=1))
        voxel_size = voxel_size[-2:]
    images: list[np.ndarray] = []
    labels: list[np.ndarray] = []
    empty = 0
    for image, mask in pairs:
        image = make_isotropic(image, pixel, voxel_size, 1)
        for plane, truth in cut_planes(image, make_isotropic(mask, pixel, voxel_size, 0)):
            if truth.any():
                images.append(plane)
                labels.append(truth)
            else:
                empty += 1
    print(f"{len(images)} planes to train on, {empty} without a cell left out")
    if not images:
        raise InputError("masks: no training plane holds a cell; raise simulation.density or volume_shape")
    return images, labels


def print_progress(name: str) -> None:
    """Print what a logger of Cellpose logs, so that it reaches the log of the job."""
    logger = logging.getLogger(name)
    logger.setLevel(logging.INFO)
    logger.handlers = [logging.StreamHandler(sys.stdout)]


def train(
    path: PathLike,
    images: Sequence[np.ndarray],
    labels: Sequence[np.ndarray],
    settings: Training,
    *,
    pixel_diameter: float,
    seed: int,
    device: torch.device,
) -> np.ndarray:
    """Train a Cellpose network from random weights and write it.

    In float32: under bfloat16 the batch normalisations lose what they are to remove, and training fails.

    Parameters
    ----------
    path : path
        The model, in the format that Cellpose and its GUI open.
    images, labels : sequences of arrays (Y, X)
        From `make_training_planes`.
    settings : Training
    pixel_diameter : float
        Diameter of a cell in pixels of the original images, stored for the user of the model.
    seed : int
        Of the first weights and of the order of the data.
    device : torch.device

    Returns
    -------
    float array (epochs,)
        Mean training loss of each epoch.

    Raises
    ------
    InputError
        If the training diverged.
    """
    from cellpose.models import CellposeModel
    from cellpose.train import train_seg

    torch.manual_seed(seed)
    model = CellposeModel(pretrained_model=False, diam_mean=DIAM_MEAN, device=device, mkldnn=False)
    # Cellpose seeds each epoch with its number: beside the first weights only the order of the data can differ
    order = np.random.default_rng(seed).permutation(len(images))
    print_progress("cellpose.train")
    with tempfile.TemporaryDirectory() as folder:  # train_seg insists on saving
        losses = train_seg(
            model.net,
            train_data=[images[i] for i in order],
            train_labels=[labels[i].copy() for i in order],  # Cellpose renumbers them in place
            channels=CHANNELS,
            normalize={"normalize": False},  # the planes are; False alone would change a global of Cellpose
            batch_size=settings.batch_size,
            learning_rate=settings.learning_rate,
            weight_decay=settings.weight_decay,
            SGD=False,
            n_epochs=settings.epochs,
            nimg_per_epoch=settings.images_per_epoch,
            rescale=False,
            scale_range=SCALE_RANGE,
            bsize=settings.crop,
            min_train_masks=1,
            save_path=folder,
            save_every=settings.epochs + 1,
        )[1]
    if not np.isfinite(losses).all():
        raise InputError(
            f"cellpose.learning_rate: found {settings.learning_rate:g}, with which the training failed: its loss became"
            " infinite or NaN; set a smaller one"
        )
    model.net.diam_labels.data.fill_(pixel_diameter)
    with atomic_path(path) as temporary:
        model.net.save_model(temporary)
    return losses


def _as_float32(network: torch.nn.Module, inputs: tuple, outputs: tuple) -> tuple:
    """Convert what the network returns to a type that NumPy knows: under autocast it may be bfloat16."""
    return *(output.float() for output in outputs[:2]), outputs[2]


class Segmenter:
    """A trained Cellpose network, applied to images of one voxel size.

    Parameters
    ----------
    path : path
        Model that `train` or Cellpose wrote.
    voxel_size : sequence of float
        Micrometres along each axis.
    cell_diameter : float
        Micrometres.
    thresholds : Thresholds
    device : torch.device
    diam_mean : float, optional
        Pixels of a cell's diameter that the network was trained for; None takes what the file says.

    Raises
    ------
    InputError
        If the file is missing or is not a Cellpose 3 model.
    """

    def __init__(
        self,
        path: PathLike,
        voxel_size: Sequence[float],
        cell_diameter: float,
        thresholds: Thresholds,
        *,
        device: torch.device,
        diam_mean: float | None = None,
    ) -> None:
        from cellpose.models import CellposeModel

        if not os.path.isfile(path):  # Cellpose would fetch a model of its own instead
            raise InputError(f"{path}: no such file")
        try:
            self.model = CellposeModel(pretrained_model=str(path), device=device, mkldnn=False)
        except Exception as error:
            raise InputError(f"{path}: is not a Cellpose 3 model ({type(error).__name__})") from error
        if diam_mean is not None:
            self.model.diam_mean = diam_mean
        self.model.net.register_forward_hook(_as_float32)
        self.precision = device, choose_precision("auto", device)
        self.settings = {
            "channels": CHANNELS,
            "normalize": True,
            "diameter": cell_diameter / voxel_size[-1],
            "flow_threshold": thresholds.flow_threshold,
            "cellprob_threshold": thresholds.cellprob_threshold,
            "min_size": thresholds.min_size,
        }
        if len(voxel_size) == 3 and thresholds.stitch_threshold is None:
            self.settings |= {"do_3D": True, "z_axis": 0, "anisotropy": voxel_size[0] / voxel_size[-1]}
        elif len(voxel_size) == 3:
            self.settings |= {"stitch_threshold": thresholds.stitch_threshold, "z_axis": 0}

    def segment(self, image: np.ndarray) -> np.ndarray:
        """Segment one image (Z, Y, X) or (Y, X) into labels of the same shape."""
        with autocast(*self.precision):
            masks = self.model.eval(image, **self.settings)[0]
        return masks.reshape(image.shape)
