import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from sketchscope.diffusion.author_network import AuthorNetwork, author_alpha_bar, load_author_network, pixel_shuffle
from sketchscope.diffusion.schedule import cosine_alpha_bar
from sketchscope.errors import InputError
from torch.utils.flop_counter import FlopCounterMode

DATA = Path(__file__).parents[1] / "data/reference"
BACKBONES = {2: "UNet2D_PixelShuffle_inject", 3: "UNet3D_PixelShuffle_inject"}


def save(path, network, **changes):
    """A checkpoint as the authors write it."""
    parameters = {
        "backbone": BACKBONES[network.dims],
        "in_channels": network.in_channels,
        "out_channels": 1,
        "feat_channels": 4,
        "t_channels": 8,
        "layer_norm": "instance",
        "out_activation": "none",
        "num_timesteps": 1000,
        "diffusion_schedule": "cosine",
        "image_noise_channel": -1,
    }
    weights = {f"network.{name}": value for name, value in network.state_dict().items()}
    weights |= {"sampler.betas": torch.zeros(3), "sampler.network.c1.0.bias": torch.zeros(1)}
    torch.save({"epoch": 1, "state_dict": weights, "hyper_parameters": parameters | changes}, path)
    return path


def small(dims=2, **changes):
    torch.manual_seed(0)
    return AuthorNetwork(4, t_channels=8, dims=dims, **changes)


@pytest.mark.parametrize("dims", [2, 3])
def test_output_is_that_of_the_authors_network(dims):
    network, known = load_author_network(DATA / f"tiny{dims}d.ckpt"), np.load(DATA / f"tiny{dims}d.npz")
    with torch.no_grad():
        found = network(torch.from_numpy(known["x"]), torch.from_numpy(known["t"]))
    np.testing.assert_allclose(found, known["y"], atol=2e-6)
    assert (network.dims, network.in_channels, network.timesteps) == (dims, 2, 1000)
    assert network.total_stride == (8,) * dims


def test_cost_is_that_of_the_authors_network():
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        AuthorNetwork(16)(torch.empty(1, 2, 32, 128, 128), torch.zeros(1))
    assert counter.get_total_flops() / 1e9 == pytest.approx(142.8, abs=0.01)


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("norm", ["instance", "batch", "none"])
def test_there_and_back(tmp_path, dims, norm):
    network = small(dims, layer_norm=norm)
    x, t = torch.randn(2, 2, *(8, 16, 24)[-dims:]), torch.tensor([3, 700])
    network.train()(3 * x + 1, t)  # running statistics other than those of the start
    network.eval()
    again = load_author_network(save(tmp_path / "a.ckpt", network, layer_norm=norm))
    assert not again.training
    with torch.no_grad():
        assert torch.equal(again(x, t), network(x, t))
        one_by_one = torch.cat([network(x[i : i + 1], t[i : i + 1]) for i in range(2)])
        torch.testing.assert_close(network(x, t), one_by_one, atol=1e-5, rtol=1e-5)


def test_pixel_shuffle_is_that_of_torch():
    x = torch.randn(2, 12, 5, 7)
    assert torch.equal(pixel_shuffle(x), torch.nn.functional.pixel_shuffle(x, 2))


def test_pixel_shuffle_in_3d_puts_every_channel_at_its_corner():
    x = torch.arange(8.0).reshape(1, 8, 1, 1, 1)
    assert pixel_shuffle(x).flatten().tolist() == list(range(8))


def test_schedule():
    theirs, ours = author_alpha_bar(1000), cosine_alpha_bar(1000)
    assert theirs[0] == 1
    betas = 1 - theirs[1:] / theirs[:-1]
    assert betas.min() == pytest.approx(1e-4)
    assert betas.max() == pytest.approx(0.9999)
    np.testing.assert_allclose(theirs[100:900], ours[100:900], rtol=1e-3)


def truncated(path):
    path.write_bytes(path.read_bytes()[:3000])


def with_code(path):
    torch.save({"state_dict": {}, "hyper_parameters": {"x": Path()}}, path)


def plain_pickle(path):
    path.write_bytes(pickle.dumps(os.getcwd))


def of_another_kind(path):
    torch.save({"model": torch.zeros(3)}, path)


def a_list(path):
    torch.save([torch.zeros(3)], path)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda path: path.unlink(), "no such file"),
        (truncated, "may be truncated"),
        (lambda path: path.write_text("text"), "cannot be read"),
        (with_code, "holds more than numbers and text"),
        (plain_pickle, "cannot be read"),
        (of_another_kind, "is no checkpoint of the authors"),
        (a_list, "is no checkpoint of the authors"),
        (lambda path: save(path, small(), backbone="UNet4D"), "backbone is 'UNet4D'; allowed is UNet2D_"),
        (
            lambda path: save(path, small(), layer_norm="group"),
            "layer_norm is 'group'; allowed is instance, batch, none",
        ),
        (lambda path: save(path, small(), out_activation="tanh"), "out_activation is 'tanh'; allowed is none"),
        (lambda path: save(path, small(), diffusion_schedule="linear"), "diffusion_schedule is 'linear'"),
        (lambda path: save(path, small(), image_noise_channel=0), "image_noise_channel is 0; allowed is -1"),
        (lambda path: save(path, small(), feat_channels=8), "are not those of the authors' network"),
        (lambda path: save(path, small(), layer_norm="batch"), "are not those of the authors' network"),
        (lambda path: save(path, small(), feat_channels="4"), "feat_channels is '4'; it must be a whole number"),
        (lambda path: save(path, small(3), backbone=BACKBONES[2]), "are not those of the authors' network"),
    ],
)
def test_bad_files_are_one_sentence(tmp_path, spoil, reason):
    path = save(tmp_path / "a.ckpt", small())
    spoil(path)
    with pytest.raises(InputError) as caught:
        load_author_network(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)
