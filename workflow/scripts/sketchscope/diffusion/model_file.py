"""Networks in files: our own as safetensors that say how to build them, and those of the paper's authors."""

import json

import numpy as np
from safetensors import safe_open
from safetensors.torch import save_file

from ..errors import InputError
from ..io.atomic import PathLike, atomic_path
from .author_network import AuthorNetwork, author_alpha_bar, load_author_network
from .schedule import cosine_alpha_bar
from .unet import UNet

Denoiser = UNet | AuthorNetwork


def load_network(path: PathLike) -> tuple[Denoiser, np.ndarray]:
    """Read a network to generate with.

    Parameters
    ----------
    path : path
        What `save_model` wrote, or a checkpoint of the paper's authors, whose name ends in .ckpt.

    Returns
    -------
    network : UNet or AuthorNetwork
        Ready to predict.
    alpha_bar : float64 array (T + 1,)
        The schedule that it was trained with, by step number.

    Raises
    ------
    InputError
        If the file is missing, damaged or of another kind.
    """
    if str(path).endswith(".ckpt"):
        published = load_author_network(path)
        return published, author_alpha_bar(published.timesteps)
    trained, description = load_model(path)
    return trained, cosine_alpha_bar(description["timesteps"])


def save_model(path: PathLike, network: UNet, description: dict) -> None:
    """Write weights and their description as safetensors.

    Parameters
    ----------
    path : path
    network : UNet
    description : dict
        architecture, timesteps, patch_shape, voxel_size; steps of the training that are done, and steps_wanted.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, metadata={"sketchscope": json.dumps(description)})


def load_model(path: PathLike) -> tuple[UNet, dict]:
    """Read what `save_model` wrote: the network, ready to predict, and its description.

    Raises
    ------
    InputError
        If the file is missing, damaged or holds something else, or if the training was not finished.
    """
    try:
        with safe_open(path, "pt") as file:
            description = json.loads(file.metadata()["sketchscope"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
        network = UNet(**description["architecture"])
        network.load_state_dict(tensors)
    except (OSError, KeyError, TypeError, RuntimeError, ValueError) as error:
        raise InputError(f"{path}: is not a diffusion model of this workflow ({error})") from error
    except Exception as error:  # safetensors raises an exception of its own for damaged files
        raise InputError(f"{path}: cannot be read, it may be truncated ({error})") from error
    _check_finished(path, description)
    return network.eval(), description


def _check_finished(path: PathLike, description: dict) -> None:
    """Refuse the model of a training that was not finished, or that does not say so."""
    done, wanted = (description.get(name, "unknown") for name in ("steps", "steps_wanted"))
    if done == "unknown" or done != wanted:
        raise InputError(
            f"{path}: steps of its training: {done} of {wanted}, and a model is not used before all are done; "
            "train it to the end with snakemake --forcerun train_diffusion"
        )
