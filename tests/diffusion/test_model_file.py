from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from sketchscope.diffusion.author_network import AuthorNetwork, author_alpha_bar
from sketchscope.diffusion.model_file import load_model, load_network, save_model
from sketchscope.diffusion.schedule import cosine_alpha_bar
from sketchscope.diffusion.training import build_networks
from sketchscope.diffusion.unet import UNet
from sketchscope.errors import InputError

DATA, TIMESTEPS = Path(__file__).parents[1] / "data/reference", 100


def networks(shape=(8, 8), channels=(8,)):
    """A network, its average, and the description of a finished training."""
    *both, description = build_networks(channels, 1, shape, (1.0,) * len(shape), TIMESTEPS)
    return *both, description | {"steps": 7, "steps_wanted": 7}


@pytest.mark.parametrize(("shape", "channels"), [((16, 8), (8, 16)), ((5, 16, 16), (8, 8, 16)), ((8, 8), (8,))])
def test_model_there_and_back(tmp_path, shape, channels):
    network, average, description = networks(shape, channels)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, 0, 0.1)
    assert not any(torch.equal(a, b) for a, b in zip(network.parameters(), average.parameters(), strict=True))
    save_model(tmp_path / "model.safetensors", network, description)
    loaded, read = load_model(tmp_path / "model.safetensors")
    assert not loaded.training
    assert read["timesteps"] == TIMESTEPS
    assert read["patch_shape"] == list(shape)
    assert read["voxel_size"] == [1.0] * len(shape)
    assert read["architecture"]["channels"] == list(channels)
    assert loaded.total_stride == network.total_stride
    x_t, t = torch.randn(2, 1, *shape), torch.tensor([1, 50])
    assert torch.equal(loaded(x_t, t), network.eval()(x_t, t))


def truncated(path):
    path.write_bytes(path.read_bytes()[:-100])


def text(path):
    path.write_text("step,loss\n")


def missing(path):
    path.unlink()


def empty(path):
    path.write_bytes(b"")


def without_description(path):
    save_file({"weight": torch.zeros(3)}, path)


def of_another_program(path):
    save_file({"weight": torch.zeros(3)}, path, metadata={"sketchscope": "not JSON"})


def of_another_architecture(path):
    network, _, description = networks((8, 8), (8, 16))
    description["architecture"]["channels"] = [8, 24]
    save_model(path, network, description)


@pytest.mark.parametrize(
    "spoil", [truncated, empty, text, missing, without_description, of_another_program, of_another_architecture]
)
def test_unusable_model(tmp_path, spoil):
    path = tmp_path / "model.safetensors"
    network, _, description = networks()
    save_model(path, network, description)
    spoil(path)
    with pytest.raises(InputError, match=r"model.safetensors: (is not a diffusion model|cannot be read)"):
        load_model(path)


@pytest.mark.parametrize(
    ("steps", "sentence"),
    [
        ({"steps": 206, "steps_wanted": 2500}, "steps of its training: 206 of 2500, .* train it to the end"),
        ({"steps": 0, "steps_wanted": 2500}, "0 of 2500"),
        ({"steps": None, "steps_wanted": 2500}, "unknown of 2500"),
        ({"steps": None, "steps_wanted": None}, "unknown of unknown"),
    ],
)
@pytest.mark.parametrize("load", [load_model, load_network])
def test_model_of_an_unfinished_training_is_refused(tmp_path, steps, sentence, load):
    path = tmp_path / "model.safetensors"
    network, _, description = networks()
    save_model(path, network, {key: value for key, value in (description | steps).items() if value is not None})
    with pytest.raises(InputError, match=rf"^{path}: .*{sentence}"):
        load(path)


def test_network_comes_with_the_schedule_that_it_was_trained_with(tmp_path):
    network, _, description = networks()
    save_model(tmp_path / "model.safetensors", network, description)
    trained, alpha_bar = load_network(tmp_path / "model.safetensors")
    assert isinstance(trained, UNet)
    np.testing.assert_array_equal(alpha_bar, cosine_alpha_bar(TIMESTEPS))


def test_network_of_the_authors_comes_with_theirs():
    published, alpha_bar = load_network(DATA / "tiny2d.ckpt")
    assert isinstance(published, AuthorNetwork)
    np.testing.assert_array_equal(alpha_bar, author_alpha_bar(published.timesteps))
