import math

import pytest
import torch
from sketchscope.diffusion.levels import choose_kernels, choose_strides
from sketchscope.diffusion.unet import UNet, embed_steps

NETWORKS = [  # channels, voxel size, patch shape
    ((8,), (1.0, 1.0), (8, 8)),
    ((8, 16), (1.0, 1.0), (16, 12)),
    ((16, 24, 32), (0.5, 0.5), (32, 16)),
    ((8, 16), (1.0, 1.0, 1.0), (8, 8, 16)),
    ((8, 16, 24), (2.0, 0.5, 0.5), (5, 16, 16)),
    ((8, 8, 16), (1.0, 0.2, 0.2), (1, 16, 24)),
]


pytestmark = pytest.mark.usefixtures("one_thread")


def build(channels, voxel_size, patch_shape, blocks=1):
    """A network all of whose parameters act: the last convolution of a block starts at zero."""
    torch.manual_seed(0)
    strides = choose_strides(voxel_size, patch_shape, len(channels) - 1)
    network = UNet(channels, strides, choose_kernels(voxel_size, strides), blocks)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, 0.1, 0.1)
    return network


def noisy(patch_shape, count=2):
    return torch.randn(count, 1, *patch_shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("voxel_size", "patch_shape", "strides", "sizes"),
    [
        ((1, 1), (96, 96), [(2, 2)] * 3, [(3, 3)] * 4),
        ((1, 1), (96, 12), [(2, 2), (2, 1), (2, 1)], [(3, 3)] * 4),
        ((1, 1, 1), (32, 64, 64), [(2, 2, 2)] * 3, [(3, 3, 3)] * 4),
        ((1, 0.2, 0.2), (16, 64, 64), [(1, 2, 2), (1, 2, 2), (2, 2, 2)], [(1, 3, 3)] * 2 + [(3, 3, 3)] * 2),
        ((1, 0.2, 0.2), (5, 64, 64), [(1, 2, 2)] * 3, [(1, 3, 3)] * 2 + [(3, 3, 3)] * 2),
        ((1, 0.2, 0.2), (1, 64, 64), [(1, 2, 2)] * 3, [(1, 3, 3)] * 2 + [(3, 3, 3)] * 2),
        ((2, 0.5, 0.5), (16, 64, 64), [(1, 2, 2)] * 2 + [(2, 2, 2)], [(1, 3, 3)] + [(3, 3, 3)] * 3),
        ((2, 0.5, 0.5), (5, 64, 64), [(1, 2, 2)] * 3, [(1, 3, 3)] + [(3, 3, 3)] * 3),
        ((1, 1, 1), (5, 64, 64), [(1, 2, 2)] * 3, [(3, 3, 3)] * 4),  # a thin stack does not keep the plane whole
        ((1, 1, 1), (1, 64, 64), [(1, 2, 2)] * 3, [(3, 3, 3)] * 4),
        ((1, 1, 1), (4, 4, 4), [(1, 1, 1)] * 3, [(3, 3, 3)] * 4),  # too small to halve at all
    ],
)
def test_anisotropy_and_thin_stacks(voxel_size, patch_shape, strides, sizes):
    assert choose_strides(voxel_size, patch_shape, 3) == strides
    assert choose_kernels(voxel_size, strides) == sizes


def test_one_level_needs_no_stride():
    assert choose_strides((1, 1), (64, 64), 0) == []
    assert choose_kernels((1, 0.2, 0.2), []) == [(1, 3, 3)]


@pytest.mark.parametrize("blocks", [1, 2])
@pytest.mark.parametrize(("channels", "voxel_size", "patch_shape"), NETWORKS)
def test_shape_is_kept(channels, voxel_size, patch_shape, blocks):
    network = build(channels, voxel_size, patch_shape, blocks)
    x_t, t = noisy(patch_shape), torch.tensor([3, 400])
    eps = network(x_t, t)
    assert eps.shape == x_t.shape
    assert torch.isfinite(eps).all()
    larger = tuple(3 * stride for stride in network.total_stride)
    assert network(noisy(larger), t).shape == (2, 1, *larger)


@pytest.mark.parametrize(
    ("strides", "total"), [([(2, 2), (2, 2)], (4, 4)), ([(1, 2, 2), (2, 2, 2), (1, 2, 1)], (2, 8, 4)), ([], (1, 1))]
)
def test_total_stride(strides, total):
    network = UNet([8] * (len(strides) + 1), strides, [(3,) * len(total)] * (len(strides) + 1), 1)
    assert network.total_stride == total


@pytest.mark.parametrize(("channels", "voxel_size", "patch_shape"), NETWORKS)
def test_every_image_has_its_own_step(channels, voxel_size, patch_shape):
    """The step changes the prediction, and each image of a batch has its own."""
    network = build(channels, voxel_size, patch_shape)
    x_t = noisy(patch_shape, 1)
    early, late = network(x_t, torch.tensor([3])), network(x_t, torch.tensor([400]))
    assert (early - late).abs().mean() > 1e-3 * early.std()
    both = network(torch.cat([x_t, x_t]), torch.tensor([3, 400]))
    torch.testing.assert_close(both, torch.cat([early, late]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("blocks", [1, 2])
@pytest.mark.parametrize(("channels", "voxel_size", "patch_shape"), NETWORKS)
def test_gradient_reaches_every_parameter(channels, voxel_size, patch_shape, blocks):
    network = build(channels, voxel_size, patch_shape, blocks).double()  # rounding is no gradient
    x_t, target = noisy(patch_shape).double(), noisy(patch_shape).double().flip(0)
    ((network(x_t, torch.tensor([3, 400])) - target) ** 2).sum().backward()
    strongest = {name: parameter.grad.abs().max().item() for name, parameter in network.named_parameters()}
    assert {name: value for name, value in strongest.items() if value < 1e-6} == {}


def test_starts_without_residuals():
    """Untrained blocks pass on what they get: the second convolution starts at zero."""
    block = UNet([8, 16], [(2, 2)], [(3, 3)] * 2, 1).encoders[0][0]
    x = torch.randn(1, 8, 4, 4)
    torch.testing.assert_close(block(x, torch.randn(1, 32)), x)


@pytest.mark.parametrize(("channels", "voxel_size", "patch_shape"), NETWORKS[1:4])
def test_deterministic(channels, voxel_size, patch_shape):
    x_t, t = noisy(patch_shape), torch.tensor([3, 400])
    first, second = (build(channels, voxel_size, patch_shape)(x_t, t) for _ in range(2))
    assert torch.equal(first, second)


def test_timestep_embedding():
    embedding = embed_steps(torch.tensor([0, 1, 1000]), 16)
    assert embedding.shape == (3, 16)
    assert embedding[0].tolist() == [0] * 8 + [1] * 8
    for row, t in ((1, 1), (2, 1000)):
        for k in range(8):
            angle = t / 10000 ** (k / 8)
            assert embedding[row, k].item() == pytest.approx(math.sin(angle), abs=1e-4)
            assert embedding[row, 8 + k].item() == pytest.approx(math.cos(angle), abs=1e-4)


def test_receptive_field_is_wider_with_more_levels():
    """A change of one voxel is felt farther away by the deeper network (beyond the group norm's constant part)."""
    reach = []
    for channels in ((8,), (8, 16, 24)):
        network = build(channels, (1.0, 1.0), (64, 64))
        x_t = noisy((64, 64), 1).requires_grad_()
        network(x_t, torch.tensor([5]))[0, 0, 32, 32].backward()
        near = x_t.grad[0, 0, 32].abs()
        reach.append(int((near > 0.02 * near.max()).sum()))
    assert reach[1] > reach[0] + 4


def test_detail_passes_beside_the_lower_levels():
    network = build((8, 16, 24), (1.0, 1.0), (16, 16))
    for down in network.downs:
        torch.nn.init.zeros_(down.weight)
    x_t = noisy((16, 16))
    eps = network(x_t, torch.tensor([5, 5]))
    assert (eps[0] - eps[1]).abs().max() > 1e-2
    assert not torch.equal(eps[0, 0, ::2, ::2], eps[0, 0, 1::2, 1::2])
