import itertools

import numpy as np
import pytest
import torch
from running import run_script
from sketchscope.diffusion.author_network import AuthorNetwork
from sketchscope.diffusion.generate import (
    SPACING,
    VolumeGenerator,
    enlarge_shape,
    generate_volume,
    lay_tiles,
    load_generator,
    make_generator,
    predict_volume,
    sample_from_noise,
)
from sketchscope.diffusion.levels import choose_kernels, choose_strides
from sketchscope.diffusion.memory import Batches
from sketchscope.diffusion.model_file import save_model
from sketchscope.diffusion.noise import draw_voxel_noise
from sketchscope.diffusion.samplers import Sampler, p_sample_loop
from sketchscope.diffusion.schedule import cosine_alpha_bar, respace
from sketchscope.diffusion.tiling import Tiling
from sketchscope.diffusion.unet import UNet
from sketchscope.errors import InputError
from sketchscope.images.manifest import ManifestRow, write_manifest
from sketchscope.io.images import write_image
from sketchscope.run.devices import choose_precision

CPU, FP32 = torch.device("cpu"), torch.float32
ALPHA_BAR = cosine_alpha_bar(1000)
SAMPLERS = [("ddim", 0.0), ("ddim", 0.5), ("ddpm", 0.0), ("dpm-solver++", 0.0), ("dpm-solver++", 0.5)]
GEOMETRIES = [  # shape of the sketch, of a tile, overlap
    ((32, 32), (16, 16), (8, 4)),
    ((16, 16), (16, 16), (4, 4)),
    ((37, 21), (16, 16), (4, 4)),  # last tiles overlap by more
    ((9, 40), (16, 16), (4, 4)),  # smaller than a tile
    ((1, 1), (8, 8), (2, 2)),
    ((5, 19, 24), (4, 8, 16), (1, 2, 4)),
    ((1, 19, 8), (4, 8, 16), (0, 2, 4)),
]


pytestmark = pytest.mark.usefixtures("one_thread")


class Local(torch.nn.Module):
    """Predicts each voxel's noise from that voxel alone: where a tile ends makes no difference."""

    in_channels, first_step, sees_sketch, prediction = 1, 1, False, "eps"

    def __init__(self, dims):
        super().__init__()
        torch.manual_seed(0)
        conv = {2: torch.nn.Conv2d, 3: torch.nn.Conv3d}[dims]
        self.layers = torch.nn.Sequential(conv(2, 8, 1), torch.nn.Tanh(), conv(8, 1, 1))
        self.total_stride = (1,) * dims

    def forward(self, x_t, t):
        step = torch.ones_like(x_t) * t.reshape(-1, *[1] * (x_t.ndim - 1)) / 1000
        return self.layers(torch.cat([x_t, step], dim=1))


class Exact(torch.nn.Module):
    """Knows the noise expected where all voxels are N(mean, spread^2)."""

    in_channels, first_step, sees_sketch, prediction = 1, 1, False, "eps"

    def __init__(self, mean, spread, dims):
        super().__init__()
        self.mean, self.spread, self.total_stride = mean, spread, (1,) * dims

    def forward(self, x_t, t):
        alpha_bar = float(ALPHA_BAR[t[0]])
        variance = alpha_bar * self.spread**2 + 1 - alpha_bar
        return (1 - alpha_bar) ** 0.5 * (x_t - alpha_bar**0.5 * self.mean) / variance


def unet(dims, in_channels=1):
    """An untrained network whose blocks all act: their last convolutions start at zero."""
    torch.manual_seed(0)
    voxel_size, patch_shape = (1.0, 0.4, 0.4)[-dims:], (4, 16, 16)[-dims:]
    strides = choose_strides(voxel_size, patch_shape, 1)
    network = UNet([8, 16], strides, choose_kernels(voxel_size, strides), 1, in_channels)
    for name, parameter in network.named_parameters():
        if "conv2" in name:
            torch.nn.init.normal_(parameter, 0, 0.2)
    return network.eval()


def sketch_of(shape, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)


def generate(network, sketch, *, key=(1, 2, 3), dtype=FP32, t_start=400, steps=4, report=lambda share: None, **changes):
    """Generate in small tiles, with steps that are evenly spaced."""
    settings = {"sampler": "ddim", "eta": 0.0, "clip": True, "batch_size": 4}
    settings |= {"tile_shape": (4, 16, 16)[-sketch.ndim :], "overlap": (1, 4, 4)[-sketch.ndim :]} | changes
    sampler = Sampler(settings.pop("sampler"), t_start, steps, settings.pop("eta"), settings.pop("clip"))
    schedule = respace(ALPHA_BAR, t_start, steps)
    generator = VolumeGenerator(network, schedule, sampler, Tiling(**settings), CPU, dtype)
    return generate_volume(generator, sketch, key=key, report=report)


@pytest.mark.parametrize(("sampler", "eta"), SAMPLERS)
@pytest.mark.parametrize(("shape", "tile_shape", "overlap"), GEOMETRIES)
def test_any_size(shape, tile_shape, overlap, sampler, eta):
    sketch = sketch_of(shape)
    kept = sketch.copy()
    settings = {"tile_shape": tile_shape, "overlap": overlap, "sampler": sampler, "eta": eta}
    image = generate(unet(len(shape)), sketch, steps=3, **settings)
    assert image.shape == shape
    assert image.dtype == np.float32
    assert np.isfinite(image).all()
    assert abs(image).max() <= 1
    np.testing.assert_array_equal(sketch, kept)


@pytest.mark.parametrize(("sampler", "eta"), SAMPLERS)
@pytest.mark.parametrize(("shape", "tile_shape", "overlap"), GEOMETRIES)
def test_tiles_of_a_local_network_leave_no_trace(shape, tile_shape, overlap, sampler, eta):
    sketch, network = sketch_of(shape), Local(len(shape))
    tiled = generate(network, sketch, tile_shape=tile_shape, overlap=overlap, sampler=sampler, eta=eta)
    whole = generate(network, sketch, tile_shape=shape, overlap=(0,) * len(shape), sampler=sampler, eta=eta)
    np.testing.assert_allclose(tiled, whole, atol=1e-5)
    assert tiled.std() > 0.05 or tiled.size == 1


@pytest.mark.parametrize("shape", [(37, 45), (5, 30, 37)])
@pytest.mark.parametrize("make", [unet, lambda dims: unet(dims, 2), lambda dims: Local(dims)])
def test_batch_size_does_not_matter(shape, make):
    sketch, network = sketch_of(shape), make(len(shape))
    single, several, all_at_once = (generate(network, sketch, batch_size=size) for size in (1, 8, None))
    np.testing.assert_allclose(single, several, atol=1e-5)
    np.testing.assert_allclose(single, all_at_once, atol=1e-5)


@pytest.mark.parametrize("sampler", ["ddim", "ddpm", "dpm-solver++"])
@pytest.mark.parametrize("dims", [2, 3])
def test_part_of_a_volume(sampler, dims):
    """Noise belongs to the voxel: a smaller volume gets the same values, here with a network that sees no farther."""
    shape, smaller = (9, 40, 37)[-dims:], (6, 23, 19)[-dims:]
    part = tuple(map(slice, smaller))
    sketch, network = sketch_of(shape), Local(dims)
    image = generate(network, sketch, sampler=sampler)
    np.testing.assert_allclose(generate(network, sketch[part], sampler=sampler), image[part], atol=1e-5)


@pytest.mark.parametrize("dims", [2, 3])
def test_the_sketch_beside_the_image_belongs_to_its_voxels(dims):
    """Tiles of a volume get their parts of it: far from a change, nothing changes."""
    sketch, network = sketch_of((4, 64, 64)[-dims:]), unet(dims, 2)
    other = sketch.copy()
    other[..., 48:] *= -1
    images = [generate(network, drawn, t_start=900, steps=2) for drawn in (sketch, other)]
    np.testing.assert_array_equal(images[0][..., :16], images[1][..., :16])
    assert abs(images[0] - images[1])[..., 48:].mean() > 0.01


@pytest.mark.parametrize(("sampler", "eta"), SAMPLERS)
@pytest.mark.parametrize("shape", [(20, 24), (4, 16, 20)])
def test_reproducible(shape, sampler, eta):
    network, sketch = unet(len(shape)), sketch_of(shape)
    first = generate(network, sketch, sampler=sampler, eta=eta)
    torch.manual_seed(99)
    np.testing.assert_array_equal(first, generate(network, sketch, sampler=sampler, eta=eta))
    for key in ([2, 2, 3], [1, 3, 3], [1, 2, 4]):
        other = generate(network, sketch, sampler=sampler, eta=eta, key=key)
        assert abs(first - other).mean() > 0.05
    assert abs(first - generate(network, -sketch, sampler=sampler, eta=eta)).mean() > 0.05


def test_samplers_differ():
    network, sketch = unet(2), sketch_of((20, 24))
    images = [generate(network, sketch, sampler=sampler, eta=eta) for sampler, eta in SAMPLERS]
    for first, second in itertools.combinations(images, 2):
        assert abs(first - second).mean() > 0.005  # ddim and dpm-solver++ approach the same image


@pytest.mark.parametrize("sampler", ["ddim", "ddpm", "dpm-solver++"])
@pytest.mark.parametrize("shape", [(90, 110), (6, 40, 50)])
def test_exact_network_gives_the_images_it_knows(shape, sampler):
    """From pure noise on, the sketch is forgotten, and mean and spread are those of the known images."""
    network = Exact(0.3, 0.1, len(shape))
    settings = {"tile_shape": (4, 64, 64)[-len(shape) :], "overlap": (1, 16, 16)[-len(shape) :], "sampler": sampler}
    image = generate(network, sketch_of(shape), t_start=1000, steps=250, **settings)
    assert image.mean() == pytest.approx(0.3, abs=0.01)
    assert image.std() == pytest.approx(0.1, rel=0.06)
    assert abs(np.corrcoef(image.ravel(), sketch_of(shape).ravel())[0, 1]) < 0.05


@pytest.mark.parametrize("shape", [(40, 50), (4, 24, 30)])
@pytest.mark.parametrize(("t_start", "steps"), [(400, 20), (1000, 40)])
def test_solver_gets_nearer_than_ddim(shape, t_start, steps):
    """Both approach the image to which the exact flow leads: every voxel keeps its quantile."""
    sketch, alpha_bar, mean, spread = sketch_of(shape), ALPHA_BAR[t_start], 0.1, 0.2
    noise = draw_voxel_noise([1, 2, 3, 0, 0], (0,) * len(shape), shape)
    x_t = alpha_bar**0.5 * sketch + (1 - alpha_bar) ** 0.5 * noise
    quantile = (x_t - alpha_bar**0.5 * mean) / (alpha_bar * spread**2 + 1 - alpha_bar) ** 0.5

    def error(sampler):
        image = generate(Exact(mean, spread, len(shape)), sketch, t_start=t_start, steps=steps, sampler=sampler)
        return abs(image - (mean + spread * quantile)).mean() / spread

    assert error("dpm-solver++") < 0.015  # measured: 0.009 and 0.013; ddim 0.064 and 0.067
    assert 4 * error("dpm-solver++") < error("ddim") < 0.07


@pytest.mark.parametrize("dims", [2, 3])
def test_start_decides_what_is_left_of_the_sketch(dims):
    shape = (4, 40, 50)[-dims:]
    sketch, network = sketch_of(shape), Exact(0.0, 0.5, dims)
    likeness = [
        np.corrcoef(generate(network, sketch, t_start=t_start, steps=min(t_start, 10)).ravel(), sketch.ravel())[0, 1]
        for t_start in (1, 200, 600, 1000)
    ]
    assert likeness[0] > 0.999
    assert likeness == sorted(likeness, reverse=True)
    assert likeness[2] < 0.8
    assert abs(likeness[3]) < 0.1


def test_first_step_by_hand():
    """x_t at the start is the sketch with the voxels' own noise; one step of a local network undoes it."""
    sketch, alpha_bar, seen = sketch_of((8, 8)), ALPHA_BAR[400], []

    class Noting(Exact):
        def forward(self, x_t, t):
            seen.append((x_t.clone(), t.tolist()))
            return super().forward(x_t, t)

    image = generate(Noting(0.0, 0.5, 2), sketch, steps=1, tile_shape=(8, 8))
    ((x_t, steps),) = seen
    assert steps == [400]
    noise = draw_voxel_noise([1, 2, 3, 0, 0], (0, 0), (8, 8))
    expected = alpha_bar**0.5 * sketch + (1 - alpha_bar) ** 0.5 * noise
    np.testing.assert_allclose(x_t[0, 0], expected, atol=1e-6)
    shrunk = alpha_bar**0.5 * 0.25 / (alpha_bar * 0.25 + 1 - alpha_bar) * expected
    np.testing.assert_allclose(image, shrunk.clip(-1, 1), atol=1e-5)


def test_steps_are_asked_in_order_and_progress_is_reported():
    asked, reported = [], []
    network = Local(2)
    network.register_forward_pre_hook(lambda module, inputs: asked.append(int(inputs[1][0])))
    generate(network, sketch_of((16, 40)), steps=4, batch_size=2, report=reported.append)
    assert asked == [400, 400, 300, 300, 200, 200, 100, 100]
    np.testing.assert_allclose(reported, [2 / 12, 3 / 12, 5 / 12, 6 / 12, 8 / 12, 9 / 12, 11 / 12, 1])


@pytest.mark.parametrize(
    ("sampler", "eta", "draws"),
    [("ddim", 0.0, 1), ("ddim", 0.5, 6), ("ddpm", 0.0, 6), ("dpm-solver++", 0.0, 1), ("dpm-solver++", 0.5, 6)],
)
def test_fresh_noise_of_every_step_is_its_own(monkeypatch, sampler, eta, draws):
    keys = []

    def noted(key, origin, shape):
        keys.append(tuple(key))
        return draw_voxel_noise(key, origin, shape)

    monkeypatch.setattr("sketchscope.diffusion.generate.draw_voxel_noise", noted)
    generate(Local(2), sketch_of((16, 16)), steps=5, sampler=sampler, eta=eta)
    assert len(keys) == len(set(keys)) == draws
    assert all(key[:3] == (1, 2, 3) for key in keys)


class Contradicting(torch.nn.Module):
    """Predicts `eps` in the first tile of a batch, twice as much in the next, and so on."""

    in_channels, first_step, sees_sketch, prediction = 1, 1, False, "eps"

    def __init__(self, eps):
        super().__init__()
        self.eps, self.total_stride = eps, (1, 1)

    def forward(self, x_t, t):
        return self.eps * torch.arange(1, len(x_t) + 1).reshape(-1, 1, 1, 1) + torch.zeros_like(x_t)


def test_contradicting_tiles_are_blended():
    """Predictions are averaged by the window, nothing else."""
    shape, tile_shape, overlap = (8, 28), (8, 16), (0, 4)
    between = 1 + np.sin(np.pi / 2 * (np.arange(4) + 0.5) / 4) ** 2
    expected = np.tile([*[1.0] * 12, *between, *[2.0] * 12], (8, 1))
    grid = lay_tiles(shape, Tiling(tile_shape, overlap, 8), CPU)
    blended = predict_volume(Contradicting(1), [torch.zeros(shape)], 5, grid, Batches(8), FP32)
    np.testing.assert_allclose(blended, expected, atol=1e-6)

    settings = {"t_start": 20, "steps": 1, "tile_shape": tile_shape, "overlap": overlap}
    one, none = (generate(Contradicting(eps), np.zeros(shape, np.float32), **settings) for eps in (1, 0))
    weight = ((1 - ALPHA_BAR[20]) / ALPHA_BAR[20]) ** 0.5
    np.testing.assert_allclose((none - one) / weight, expected, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("dims", [2, 3])
def test_mixed_precision_is_near(dims, dtype):
    network, sketch = unet(dims), sketch_of((4, 20, 24)[-dims:])
    exact, mixed = generate(network, sketch), generate(network, sketch, dtype=dtype)
    assert mixed.dtype == np.float32
    assert not np.array_equal(exact, mixed)
    assert abs(exact - mixed).mean() < 0.02


@pytest.mark.parametrize(("shape", "tile_shape"), [((3, 8), (8, 8)), ((1, 5), (8, 8)), ((2, 8, 3), (4, 8, 8))])
def test_padding_is_a_mirror(shape, tile_shape):
    seen, sketch, network = [], sketch_of(shape), Exact(0.0, 0.5, len(shape))
    network.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0][0, 0]))
    image = generate(network, sketch, t_start=1, steps=1, tile_shape=tile_shape)  # hardly any noise
    padded = np.pad(sketch, [(0, n - size) for n, size in zip(tile_shape, shape, strict=True)], "symmetric")
    np.testing.assert_allclose(seen[0], padded, atol=0.05)
    np.testing.assert_allclose(image, sketch, atol=0.05)


@pytest.mark.parametrize(
    ("shape", "tile_shape", "padded"),
    [((5, 40), (8, 16), (8, 40)), ((1, 1, 99), (4, 4, 4), (4, 4, 99)), ((8, 8), (8, 8), (8, 8))],
)
def test_enlarged_shape(shape, tile_shape, padded):
    assert enlarge_shape(shape, tile_shape) == padded


@pytest.mark.parametrize(("dims", "tile_shape"), [(2, (15, 16)), (3, (4, 16, 17))])
def test_tile_that_the_network_cannot_halve(dims, tile_shape):
    message = rf"generation.tile_shape: found \[{', '.join(map(str, tile_shape))}\]; .* a multiple of .*2, 2$"
    with pytest.raises(InputError, match=message):
        generate(unet(dims), sketch_of((4, 20, 24)[-dims:]), tile_shape=tile_shape)


@pytest.mark.parametrize("shape", [(16, 12), (4, 8, 16)])
def test_samples_from_noise(shape):
    network = unet(len(shape))
    settings = {"steps": 5, "dtype": FP32}
    unseen = np.empty((3, 0, *shape), np.float32)
    samples = sample_from_noise(network, ALPHA_BAR, unseen, key=[1], **settings)
    assert samples.shape == (3, *shape)
    assert samples.dtype == np.float32
    assert abs(samples).max() <= 1
    assert len({sample.tobytes() for sample in samples}) == 3
    np.testing.assert_array_equal(samples, sample_from_noise(network, ALPHA_BAR, unseen, key=[1], **settings))
    assert not np.array_equal(samples, sample_from_noise(network, ALPHA_BAR, unseen, key=[2], **settings))


def test_samples_with_fewer_steps_in_the_schedule_than_wanted():
    unseen = np.empty((1, 0, 8, 8), np.float32)
    samples = sample_from_noise(unet(2), cosine_alpha_bar(3), unseen, steps=25, key=[0], dtype=FP32)
    assert np.isfinite(samples).all()


@pytest.mark.parametrize("shape", [(40, 40), (6, 16, 20)])
def test_samples_of_an_exact_network(shape):
    network = Exact(-0.2, 0.15, len(shape))
    network.register_parameter("unused", torch.nn.Parameter(torch.zeros(1)))
    unseen = np.empty((4, 0, *shape), np.float32)
    samples = sample_from_noise(network, ALPHA_BAR, unseen, steps=500, key=[0], dtype=FP32)
    assert samples.mean() == pytest.approx(-0.2, abs=0.01)
    assert samples.std() == pytest.approx(0.15, rel=0.1)


@pytest.mark.parametrize("shape", [(32, 40), (8, 24, 24)])
def test_network_of_the_authors(shape):
    """It gets a channel of noise that stays as it is, and counts the steps from 0."""
    torch.manual_seed(0)
    network, seen = AuthorNetwork(4, dims=len(shape)).eval(), []
    network.register_forward_pre_hook(lambda module, inputs: seen.append(inputs))
    image = generate(network, sketch_of(shape), tile_shape=shape, overlap=[0] * len(shape), t_start=40, steps=4)
    assert image.shape == shape
    assert [t.tolist() for _, t in seen] == [[39], [29], [19], [9]]
    noises = [x[0, 1] for x, _ in seen]
    assert all(torch.equal(noises[0], noise) for noise in noises)
    assert noises[0].std() == pytest.approx(1, abs=0.1)
    assert not torch.equal(seen[0][0][0, 0], seen[1][0][0, 0])
    tiled = generate(network, sketch_of(shape), tile_shape=[8, 16, 16][-len(shape) :], t_start=40, steps=1)
    assert abs(tiled).max() <= 1


def saved_unet(path):
    """A network in the plane that is also in a file."""
    network = unet(2)
    architecture = {"channels": [8, 16], "strides": network.strides, "kernel_sizes": [(3, 3), (3, 3)], "blocks": 1}
    save_model(path, network, {"architecture": architecture, "timesteps": 1000, "steps": 1, "steps_wanted": 1})
    return network


@pytest.mark.parametrize(("sampler", "eta"), SAMPLERS)
def test_prepared_generator(tmp_path, sampler, eta):
    """A generator from a file is that of its network: steps close together near the clean image, all settings used."""
    network, sketch = saved_unet(tmp_path / "model.safetensors"), sketch_of((20, 24))
    chosen, tiling = Sampler(sampler, 300, 5, eta, clip=True), Tiling((16, 16), (4, 4), None)
    generators = (
        make_generator(network, ALPHA_BAR, CPU, chosen, tiling),
        load_generator(tmp_path / "model.safetensors", CPU, chosen, tiling),
    )
    made, loaded = (generator(sketch, key=[1, 2, 3], origin=[3, 5]) for generator in generators)
    np.testing.assert_array_equal(made, loaded)
    schedule, dtype = respace(ALPHA_BAR, 300, 5, SPACING), choose_precision("auto", CPU)
    expected = VolumeGenerator(network, schedule, chosen, tiling, CPU, dtype)
    np.testing.assert_array_equal(made, generate_volume(expected, sketch, key=[1, 2, 3], origin=[3, 5]))


@pytest.mark.parametrize("shape", [(20, 24), (5, 20, 24)])
def test_unclipped_images_still_lie_in_their_range(shape):
    sketch, network = 0.9 * np.sign(sketch_of(shape)), Local(len(shape))
    clipped, unclipped = (generate(network, sketch, sampler="ddpm", clip=clip) for clip in (True, False))
    assert abs(unclipped).max() <= 1
    assert abs(clipped - unclipped).max() > 0.01


def test_unknown_sampler():
    with pytest.raises(InputError, match=r"^generation.sampler is 'euler'; allowed is ddim, ddpm, dpm-solver\+\+$"):
        generate(Local(2), sketch_of((16, 16)), sampler="euler")


@pytest.mark.parametrize("rule", ["generate_volumes", "generate_slabs"])
def test_interrupted_script_goes_on_with_another_batch_size(tmp_path, monkeypatch, rule):
    """The first of two volumes is made once: the batch size decides nothing but rounding."""
    saved_unet(tmp_path / "model.safetensors")
    numbers = {"voxel_size": (1.0, 1.0), "low": 0.0, "high": 1000.0, "gamma": 1.0, "labelled": False}
    write_manifest(tmp_path / "manifest.csv", [ManifestRow("0", "train", "a.tif", 0, (20, 24), "uint16", **numbers)])
    for seed, volume in enumerate(("a", "b")):
        write_image(tmp_path / f"sketches/{volume}.ome.tif", sketch_of((20, 24), seed), (1.0, 1.0))
    settings = {"sampler": "ddim", "t_start": 40, "steps": 2, "eta": 0.0, "clip": True}
    settings |= {"tile_shape": [16, 16], "overlap": [4, 4]}
    files = {"manifest": "manifest.csv", "sketches": "sketches", "model": "model.safetensors"}
    params = {"settings": settings, "volumes": {"a": 0, "b": 1}, "seed": 3, "slab_shape": [64, 64], "parts": 1}
    made = []

    def counted(*arguments, **keywords):
        made.append(arguments)
        if len(made) == 2:
            raise InputError("interrupted")
        return p_sample_loop(*arguments, **keywords)

    def attempt(batch_size):
        run_script(
            rule,
            tmp_path,
            inputs={name: tmp_path / file for name, file in files.items()} | {"choice": []},
            outputs={"synthetic": tmp_path / "made", "part": tmp_path / "made"},
            params=params,
            wildcards={"part": "0"},
            resources={"device": "cpu", "batch_size": batch_size},
        )
        return (tmp_path / f"logs/{rule}.log").read_text()

    monkeypatch.setattr("sketchscope.diffusion.generate.p_sample_loop", counted)
    with pytest.raises(SystemExit):
        attempt(batch_size=0)
    assert attempt(batch_size=1).count("finished by an earlier attempt") == 1
    assert len(made) == 3
    assert len(list((tmp_path / "made").iterdir())) == 2

    made.clear()
    with pytest.raises(SystemExit):
        attempt(batch_size=0)
    settings["t_start"] = 50
    assert "finished by an earlier attempt" not in attempt(batch_size=0)


class Follower(torch.nn.Module):
    """Knows that the image is the sketch beside x_t, whatever the noise."""

    in_channels, first_step, sees_sketch, prediction = 2, 1, True, "eps"

    def __init__(self, dims):
        super().__init__()
        self.total_stride = (1,) * dims

    def forward(self, x, t):
        alpha_bar = torch.from_numpy(ALPHA_BAR)[t.long()].reshape(-1, *[1] * (x.ndim - 1))
        return ((x[:, :1] - alpha_bar.sqrt() * x[:, 1:]) / (1 - alpha_bar).sqrt()).float()


@pytest.mark.parametrize("shape", [(40, 52), (6, 24, 20)])
def test_a_network_that_sees_the_sketch_gets_it(shape):
    """Whatever the start: in all tiles, also those of a part of a volume."""
    sketch = sketch_of(shape)
    for t_start in (300, 990):
        made = generate(Follower(len(shape)), sketch, t_start=t_start, steps=6)
        np.testing.assert_allclose(made, sketch, atol=2e-2)


class FollowerByVelocity(Follower):
    """Says the same by the velocity."""

    prediction = "v"

    def forward(self, x, t):
        alpha_bar = torch.from_numpy(ALPHA_BAR)[t.long()].reshape(-1, *[1] * (x.ndim - 1)).float()
        return alpha_bar.sqrt() * super().forward(x, t) - (1 - alpha_bar).sqrt() * x[:, 1:]


@pytest.mark.parametrize("shape", [(40, 52), (6, 24, 20)])
def test_a_network_that_predicts_the_velocity(shape):
    sketch, network = sketch_of(shape), FollowerByVelocity(len(shape))
    network.register_parameter("unused", torch.nn.Parameter(torch.zeros(1)))
    np.testing.assert_allclose(generate(network, sketch, t_start=1000, steps=6), sketch, atol=1e-3)
    samples = sample_from_noise(network, ALPHA_BAR, sketch[None, None], steps=20, key=[0], dtype=FP32)
    np.testing.assert_allclose(samples[0], sketch, atol=1e-3)


@pytest.mark.parametrize("shape", [(32, 40), (8, 24, 24)])
def test_samples_of_a_network_that_sees_sketches(shape):
    network = Follower(len(shape))
    network.register_parameter("unused", torch.nn.Parameter(torch.zeros(1)))
    sketches = np.stack([sketch_of(shape, seed)[None] for seed in range(2)])
    samples = sample_from_noise(network, ALPHA_BAR, sketches, steps=20, key=[0], dtype=FP32)
    np.testing.assert_allclose(samples, sketches[:, 0], atol=5e-2)
