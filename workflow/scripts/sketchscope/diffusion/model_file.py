"""A trained network as a safetensors file that says how to build it."""

import json

from safetensors import safe_open
from safetensors.torch import save_file

from ..errors import InputError
from ..io.atomic import PathLike, atomic_path
from .unet import UNet


def save_model(path: PathLike, network: UNet, description: dict) -> None:
    """Write weights and their description (architecture, timesteps, patch_shape, voxel_size) as safetensors."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, metadata={"sketchscope": json.dumps(description)})


def load_model(path: PathLike) -> tuple[UNet, dict]:
    """Read what `save_model` wrote: the network, ready to predict, and its description."""
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
    return network.eval(), description
