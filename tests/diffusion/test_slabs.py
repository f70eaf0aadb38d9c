import itertools
import resource

import numpy as np
import pytest
import torch
from running import run_script
from sketchscope.diffusion.generate import VolumeGenerator, generate_volume
from sketchscope.diffusion.samplers import Sampler
from sketchscope.diffusion.schedule import cosine_alpha_bar, respace
from sketchscope.diffusion.slabs import blend_slabs, cut_slabs, localise, name_slab_file
from sketchscope.diffusion.tiling import Tiling, cut_tiles
from sketchscope.diffusion.unet import UNet
from sketchscope.images.manifest import ManifestRow, write_manifest
from sketchscope.io.images import read_image, write_image

CASES = [
    ((70, 90), (32, 40), (16, 16), (4, 4)),
    ((70, 90), (16, 16), (16, 16), (12, 12)),
    ((64, 33), (64, 20), (16, 16), (0, 0)),
    ((5, 60, 47), (5, 32, 24), (5, 16, 16), (0, 4, 4)),
    ((20, 40, 40), (8, 16, 16), (8, 16, 16), (2, 4, 8)),
    ((10, 10), (64, 64), (16, 16), (4, 4)),
]


def everything(shape):
    return tuple(map(slice, (0,) * len(shape), shape))


@pytest.mark.parametrize("case", CASES)
def test_regions_of_the_joined_volume(case):
    """Joined block by block, it is what it is joined in one go."""
    shape, rng = case[0], np.random.default_rng(0)
    made = [(slab, rng.random([s.stop - s.start for s in slab.inner], np.float32)) for slab in cut_slabs(*case)]
    whole = blend_slabs(everything(shape), made)
    for region in cut_tiles(shape, [max(1, n // 3) for n in shape], [0] * len(shape)):
        np.testing.assert_array_equal(blend_slabs(region, made), whole[region])


@pytest.mark.parametrize("case", CASES)
def test_weights_sum_to_one_and_hide_the_border_of_a_slab(case):
    shape = case[0]
    ones = ((slab, np.ones([s.stop - s.start for s in slab.inner])) for slab in cut_slabs(*case))
    total = blend_slabs(everything(shape), ones)
    np.testing.assert_allclose(total, 1, atol=1e-6)
    for slab in cut_slabs(*case):
        for region, inner, weights, size in zip(slab.region, slab.inner, slab.weights, shape, strict=True):
            assert weights.min() >= 0
            assert region.start <= inner.start < inner.stop <= region.stop
            assert region.start < inner.start or inner.start == 0
            assert region.stop > inner.stop or inner.stop == size


@pytest.mark.parametrize("case", CASES)
def test_tiles_of_a_slab_are_tiles_of_the_volume(case):
    shape, _, tile_shape, overlap = case
    whole = {tuple((s.start, s.stop) for s in region) for region in cut_tiles(shape, tile_shape, overlap)}
    seen = set()
    for slab in cut_slabs(*case):
        extent = [s.stop - s.start for s in slab.region]
        for region in cut_tiles(extent, tile_shape, overlap):
            moved = ((r.start + s.start, r.stop + s.start) for r, s in zip(region, slab.region, strict=True))
            seen.add(tuple(moved))
    assert seen == whole


def test_slabs_are_about_as_large_as_asked():
    for slab in cut_slabs((512, 512), (128, 200), (64, 64), (16, 16)):
        sizes = [s.stop - s.start for s in slab.inner]
        assert sizes[0] <= 128
        assert sizes[1] <= 200


@pytest.fixture
def network():
    torch.manual_seed(0)
    network = UNet([8, 16], [(2, 2)], [(3, 3), (3, 3)], 1).eval()
    for parameter in network.parameters():  # else the last layers of a fresh network are zero
        torch.nn.init.normal_(parameter, std=0.1)
    return network


def prepared(network, batch_size=4):
    """Everything that is the same for all slabs."""
    schedule, sampler = respace(cosine_alpha_bar(100), 40, 4), Sampler("ddim", 40, 4, eta=0.5, clip=True)
    tiling = Tiling((16, 16), (4, 4), batch_size)
    return VolumeGenerator(network, schedule, sampler, tiling, torch.device("cpu"), torch.float32)


def generated(network, sketch, parts, **changes):
    """Slabs of a sketch, each generated on its own, in the order asked for."""
    generator = prepared(network, **changes)
    for slab in parts:
        origin = [s.start for s in slab.region]
        image = generate_volume(generator, sketch[slab.region], key=[1, 2, 3], origin=origin)
        yield slab, image[localise(slab.inner, slab.region)]


SHAPE, SLAB = (72, 90), (40, 40)


@pytest.fixture
def sketch():
    return np.random.default_rng(0).uniform(-1, 1, SHAPE).astype(np.float32)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("jobs", [1, 3, 7])
def test_any_number_of_jobs_gives_the_same_volume(network, sketch, jobs):
    grid = cut_slabs(SHAPE, SLAB, (16, 16), (4, 4))
    assert len(grid) >= 6
    one_after_another = blend_slabs(everything(SHAPE), generated(network, sketch, grid))
    made = {}
    for job in reversed(range(jobs)):  # each job makes its share, in any order
        numbers = range(job, len(grid), jobs)
        made |= dict(zip(numbers, generated(network, sketch, [grid[n] for n in numbers]), strict=True))
    joined = blend_slabs(everything(SHAPE), (made[number] for number in range(len(grid))))
    np.testing.assert_array_equal(joined, one_after_another)


@pytest.mark.usefixtures("one_thread")
def test_tile_batches_do_not_matter(network, sketch):
    grid = cut_slabs(SHAPE, SLAB, (16, 16), (4, 4))
    one, eight = (blend_slabs(everything(SHAPE), generated(network, sketch, grid, batch_size=size)) for size in (1, 8))
    np.testing.assert_allclose(one, eight, atol=1e-5)


def test_slabs_are_near_to_one_piece(network, sketch):
    (whole,) = generated(network, sketch, cut_slabs(SHAPE, SHAPE, (16, 16), (4, 4)))
    parts = blend_slabs(everything(SHAPE), generated(network, sketch, cut_slabs(SHAPE, SLAB, (16, 16), (4, 4))))
    other_noise = generate_volume(prepared(network), sketch, key=[1, 2, 4])
    assert np.abs(parts - whole[1]).mean() < 0.05 * np.abs(other_noise - whole[1]).mean()


def test_every_voxel_belongs_to_a_slab():
    for shape, slab in itertools.product([(40, 41), (100, 17)], [(20, 20), (33, 50)]):
        covered = np.zeros(shape, bool)
        for part in cut_slabs(shape, slab, (16, 16), (4, 4)):
            covered[part.inner] = True
        assert covered.all()


@pytest.mark.parametrize("suffix", [".ome.tif", ".ome.zarr"])
def test_script_joins_more_slabs_than_files_may_be_open(tmp_path, suffix):
    shape, geometry = (200, 210), {"tile_shape": (8, 8), "overlap": (2, 2)}
    grid = cut_slabs(shape, (8, 8), **geometry)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = 256
    assert len(grid) > 4 * most
    numbers = {"voxel_size": (1.0, 1.0), "low": 0.0, "high": 1000.0, "gamma": 1.0, "labelled": False}
    write_manifest(tmp_path / "manifest.csv", [ManifestRow("000", "train", "a.tif", 0, shape, "uint16", **numbers)])
    parts = [tmp_path / f"part_{part}" for part in range(3)]
    for volume, value in (("a", 0.0), ("b", 0.5)):
        write_image(tmp_path / f"sketches/{volume}{suffix}", np.zeros(shape, np.float32), (1.0, 1.0))
        for number, slab in enumerate(grid):
            part = parts[(number + (volume == "b") * len(grid)) % 3]
            part.mkdir(exist_ok=True)
            np.save(part / name_slab_file(volume, number), np.full([s.stop - s.start for s in slab.inner], value, "f4"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, soft), hard))
    try:
        run_script(
            "join_slabs",
            tmp_path,
            inputs={"manifest": tmp_path / "manifest.csv", "sketches": tmp_path / "sketches", "parts": parts},
            outputs={"synthetic": tmp_path / "synthetic"},
            params={"slab_shape": (8, 8), "tiles": geometry},
        )
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    for volume, value in (("a", 500), ("b", 750)):
        assert (read_image(tmp_path / f"synthetic/{volume}{suffix}") == value).all()
