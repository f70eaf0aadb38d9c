from collections import defaultdict

import numpy as np
import pytest
import torch
from scipy import ndimage
from sketchscope.errors import InputError
from sketchscope.segmentation import cellpose
from sketchscope.segmentation.cellpose import (
    DIAM_MEAN,
    MOST_PLANES,
    Segmenter,
    Thresholds,
    Training,
    cut_planes,
    make_isotropic,
    make_training_planes,
    normalise99,
    train,
)
from skimage.measure import regionprops

CPU = torch.device("cpu")
GEOMETRY = {"2d": ((48, 60), (0.5, 0.5)), "3d": ((12, 48, 60), (1.0, 0.5, 0.5))}
DIAMETER = 8.0
CENTRES = [(6, 6.5, 7), (6, 17, 9), (6, 9, 22)]  # micrometres
SETTINGS = Training(epochs=3, images_per_epoch=2, batch_size=2, crop=64, learning_rate=0.005, weight_decay=1e-5)
THRESHOLDS = Thresholds(flow_threshold=0.4, cellprob_threshold=0.0, min_size=15, stitch_threshold=None)


# in one worker, as it takes longest to import Cellpose and to train the models that most tests share
pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.xdist_group("cellpose")]


@pytest.fixture(params=GEOMETRY)
def geometry(request):
    return GEOMETRY[request.param]


def height(shape, voxel_size, centre):
    """A cell as a hill: 1 in its centre, 0 on its boundary, negative outside."""
    axes = [np.arange(n) * size - c for n, size, c in zip(shape, voxel_size, centre[-len(shape) :], strict=True)]
    return 1 - sum(axis**2 for axis in np.ix_(*axes)) / (DIAMETER / 2) ** 2


def hills(shape, voxel_size):
    """Image and labels of three round cells."""
    heights = np.array([height(shape, voxel_size, centre) for centre in CENTRES])
    image = np.maximum(heights.max(axis=0), 0)
    labels = np.where(image > 0, heights.argmax(axis=0) + 1, 0).astype(np.uint16)
    return (1000 * image + 100).astype(np.uint16), labels


# resampling


def test_isotropic_shape_and_type(geometry):
    image, labels = hills(*geometry)
    resampled = make_isotropic(image, 0.25, geometry[1], 1)
    assert resampled.shape == ((96, 120) if image.ndim == 2 else (48, 96, 120))
    assert resampled.dtype == np.float32
    assert make_isotropic(labels, 0.25, geometry[1], 0).dtype == labels.dtype


@pytest.mark.parametrize("pixel", [0.25, 0.37, 0.9])
def test_isotropic_keeps_labels_and_places(geometry, pixel):
    image, labels = hills(*geometry)
    finer = make_isotropic(labels, pixel, geometry[1], 0)
    assert list(np.unique(finer)) == [0, 1, 2, 3]
    weight = make_isotropic(image, pixel, geometry[1], 1) - 100
    for label in (1, 2, 3):
        before = (np.array(ndimage.center_of_mass(labels == label)) + 0.5) / labels.shape
        after = (np.array(ndimage.center_of_mass(finer == label)) + 0.5) / finer.shape
        bright = (np.array(ndimage.center_of_mass(weight * (finer == label))) + 0.5) / finer.shape
        np.testing.assert_allclose(after, before, atol=0.5 / min(finer.shape))
        np.testing.assert_allclose(bright, before, atol=0.5 / min(finer.shape))


def test_isotropic_of_cubic_voxels_changes_nothing():
    image, labels = hills(*GEOMETRY["2d"])
    np.testing.assert_allclose(make_isotropic(image, 0.5, (0.5, 0.5), 1), image, atol=1e-3)
    np.testing.assert_array_equal(make_isotropic(labels, 0.5, (0.5, 0.5), 0), labels)


def test_isotropic_never_vanishes():
    assert make_isotropic(np.ones((2, 9, 9)), 5.0, (0.1, 1.0, 1.0), 1).shape == (1, 2, 2)


def test_isotropic_averages_when_it_shrinks():
    noise = np.random.default_rng(0).normal(size=(200, 200))
    assert make_isotropic(noise, 4.0, (1.0, 1.0), 1).std() < 0.4


# planes


def test_planes_of_an_image_are_the_image():
    image, labels = hills(*GEOMETRY["2d"])
    ((plane, truth),) = cut_planes(image, labels)
    np.testing.assert_array_equal(plane, image)
    np.testing.assert_array_equal(truth, labels)


def test_planes_of_a_volume_are_as_many_along_every_axis():
    volume = np.arange(2 * 8 * 17).reshape(2, 8, 17)
    found = list(cut_planes(volume, -volume))
    expected = [volume[0], volume[1], volume[:, 2], volume[:, 6], volume[:, :, 4], volume[:, :, 12]]
    assert len(found) == len(expected)
    for (plane, truth), slice_ in zip(found, expected, strict=True):
        np.testing.assert_array_equal(plane, slice_)
        np.testing.assert_array_equal(truth, -slice_)


@pytest.mark.parametrize("size", [12, 13, 50, 301])
def test_planes_are_few_and_evenly_spaced(size):
    volume = np.broadcast_to(np.arange(size), (20, 20, size))
    positions = [plane[0, 0] for plane, _ in cut_planes(volume, volume) if plane.shape == (20, 20)]
    assert len(positions) == MOST_PLANES
    assert np.ptp(np.diff(positions)) <= 1
    assert abs((size - 1 - positions[-1]) - positions[0]) <= 1


def test_training_planes_have_cells_of_30_pixels(geometry):
    images, labels = make_training_planes([hills(*geometry)], geometry[1], DIAMETER)
    assert len(images) == len(labels)
    widest = 0
    for image, truth in zip(images, labels, strict=True):
        assert image.shape == truth.shape
        assert image[truth > 0].mean() > image[truth == 0].mean()
        widest = max(widest, *(cell.equivalent_diameter_area for cell in regionprops(truth)))
    assert widest == pytest.approx(DIAM_MEAN, rel=0.05)


def test_training_planes_for_stitching_are_the_slices_as_they_are():
    shape, voxel_size = GEOMETRY["3d"]
    image, labels = hills(shape, voxel_size)
    images, kept = make_training_planes([(image, labels)], voxel_size, DIAMETER, stitched=True)
    pixel = DIAMETER / DIAM_MEAN
    brightness = normalise99(image)
    slices = [index for index in range(shape[0]) if labels[index].any()]
    assert 5 < len(kept) == len(slices)
    for index, plane, truth in zip(slices, images, kept, strict=True):
        np.testing.assert_array_equal(plane, make_isotropic(brightness[index], pixel, voxel_size[1:], 1))
        np.testing.assert_array_equal(truth, make_isotropic(labels[index], pixel, voxel_size[1:], 0))


def test_training_planes_of_images_are_the_same_for_stitching():
    pair = hills(*GEOMETRY["2d"])
    usual, stitched = (
        make_training_planes([pair], GEOMETRY["2d"][1], DIAMETER, stitched=flag) for flag in (False, True)
    )
    np.testing.assert_array_equal(usual, stitched)


def test_training_planes_leaves_out_empty_ones_and_counts_them(capsys):
    image, labels = hills(*GEOMETRY["2d"])
    images, kept = make_training_planes([(image, labels), (image, 0 * labels), (image, labels)], (0.5, 0.5), DIAMETER)
    assert len(images) == len(kept) == 2
    assert capsys.readouterr().out == "2 planes to train on, 1 without a cell left out\n"


def test_training_planes_of_a_volume_with_an_empty_part(capsys):
    image, labels = hills(*GEOMETRY["3d"])
    labels[..., 30:] = 0
    _, kept = make_training_planes([(image, labels)], GEOMETRY["3d"][1], DIAMETER)
    assert all(truth.any() for truth in kept)
    assert f"{len(kept)} planes to train on, " in capsys.readouterr().out
    assert len(kept) < len(list(cut_planes(*[np.zeros((45, 90, 112))] * 2)))


def test_training_planes_without_any_cell():
    image = np.zeros((40, 40), np.uint16)
    with pytest.raises(InputError, match=r"^masks: no training plane holds a cell; raise simulation\.density"):
        make_training_planes([(image, image)], (0.5, 0.5), DIAMETER)


def test_training_planes_keep_wide_labels_apart():
    image, labels = hills(*GEOMETRY["2d"])
    wide = np.array([0, 1, 65_536, 65_537], np.uint32)[labels]
    _, (kept,) = make_training_planes([(image, wide)], (0.5, 0.5), DIAMETER)
    assert list(np.unique(kept)) == [0, 1, 65_536, 65_537]


# training


def training_data():
    image, labels = hills((64, 64), (DIAMETER / DIAM_MEAN,) * 2)
    noise = np.random.default_rng(0)
    return [image + noise.normal(0, 30, image.shape).astype(np.float32) for _ in range(3)], [labels] * 3


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Folder of three models, two of them with one seed, and the losses of the first."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("cellpose") / "models"
    for name, seed in (("other", 2), ("again", 1), ("first", 1)):
        losses = train(folder / name, *training_data(), SETTINGS, pixel_diameter=17.5, seed=seed, device=CPU)
    return folder, losses


def weights(path):
    return torch.load(path, weights_only=True)


def test_cellpose_opens_the_model(trained):
    from cellpose.models import CellposeModel

    model = CellposeModel(pretrained_model=str(trained[0] / "first"), device=CPU)
    assert model.diam_mean == 30
    assert model.diam_labels == 17.5
    stored = weights(trained[0] / "first")
    assert stored.keys() == model.net.state_dict().keys()
    for name, value in model.net.state_dict().items():
        assert torch.equal(value, stored[name])


def test_training_writes_nothing_else(trained):
    assert sorted(path.name for path in trained[0].iterdir()) == ["again", "first", "other"]


def test_losses(trained):
    assert trained[1].shape == (3,)
    assert np.isfinite(trained[1]).all()
    assert (trained[1] > 0).all()


def test_training_moves_the_weights(trained):
    from cellpose.models import CellposeModel

    torch.manual_seed(1)
    start = dict(CellposeModel(pretrained_model=False, device=CPU, mkldnn=False).net.named_parameters())
    stored = weights(trained[0] / "first")
    kernels = [name for name, value in start.items() if value.ndim == 4]
    assert len(kernels) > 20
    assert all(0 < (stored[name] - start[name]).abs().max() < 1 for name in kernels)


def test_same_seed_same_weights(trained):
    first, again, other = (weights(trained[0] / name) for name in ("first", "again", "other"))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["output.2.weight"], other["output.2.weight"])


def test_training_leaves_its_input_and_the_folder_alone_and_reports(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    images, labels = training_data()
    labels = [5 * truth for truth in labels]
    train("model", images, labels, SETTINGS._replace(epochs=1), pixel_diameter=17.5, seed=1, device=CPU)
    assert list(np.unique(labels[0])) == [0, 5, 10]
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert "train_loss=" in capsys.readouterr().out


# segmentation


def segmenter(path, voxel_size, **changes):
    return Segmenter(path, voxel_size, DIAMETER, THRESHOLDS._replace(**changes), device=CPU)


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_labels_have_the_shape_of_the_image(trained, geometry, monkeypatch, precision):
    monkeypatch.setattr(cellpose, "choose_precision", lambda *_: precision)
    image, _ = hills((*geometry[0][:-2], 24, 36), geometry[1])
    image = image if image.ndim == 2 else image[4:8]
    labels = segmenter(trained[0] / "first", geometry[1], cellprob_threshold=-10.0).segment(image)
    assert labels.shape == image.shape
    assert np.issubdtype(labels.dtype, np.integer)


def see_hills(data):
    """A network for images of hills: flows lead uphill to rest on top, and a cell is what is higher than a fifth."""
    image = data[:, :1].float()
    slope = torch.cat(torch.gradient(image, dim=(2, 3)), dim=1)
    uphill = slope / slope.norm(dim=1, keepdim=True).clamp(min=0.05)
    return torch.cat([5 * uphill, 20 * (image - 0.2)], dim=1), torch.ones(len(data), 256), []


@pytest.mark.parametrize("stitch_threshold", [None, 0.25])
def test_finds_cells_whatever_the_voxel_size(trained, geometry, stitch_threshold):
    """The network is replaced by one that is right, so that what surrounds it must be right too."""
    found = segmenter(trained[0] / "first", geometry[1], stitch_threshold=stitch_threshold)
    found.model.net.forward = see_hills
    image, truth = hills(*geometry)
    labels = found.segment(image)
    assert labels.shape == image.shape
    assert labels.max() == 3
    for label in (1, 2, 3):
        cell = (image > 300) & (truth == label)
        same = labels == np.bincount(labels[cell]).argmax()
        assert (same & cell).sum() / (same | cell).sum() > 0.75


def test_cells_are_30_pixels_wide_for_the_network(trained, geometry):
    widths = defaultdict(float)

    def watch(data):
        area = (data[:, 0] > 0.01).flatten(1).sum(dim=1).max().item()
        widths[data.shape[2:]] = max(widths[data.shape[2:]], 2 * np.sqrt(area / np.pi))
        return see_hills(data)

    found = segmenter(trained[0] / "first", geometry[1])
    found.model.net.forward = watch
    image, labels = hills(*geometry)
    found.segment(np.where(labels == 1, image, 100))
    assert len(widths) == (1 if image.ndim == 2 else 3)
    np.testing.assert_allclose(list(widths.values()), DIAM_MEAN, rtol=0.08)


@pytest.mark.parametrize("shape", [(2, 20, 20), (2, 9, 30), (4, 17, 5)])
def test_smallest_stacks(trained, shape):
    found = segmenter(trained[0] / "first", (1.0, 0.5, 0.5))
    found.model.net.forward = see_hills
    assert found.segment(np.random.default_rng(0).integers(0, 255, shape, np.uint8)).shape == shape


@pytest.mark.parametrize("content", [b"", b"no model", b"PK\x03\x04 nor this"])
def test_a_file_that_is_no_model(tmp_path, content):
    (tmp_path / "model").write_bytes(content)
    with pytest.raises(InputError, match=r"^\S*model: is not a Cellpose 3 model \(\w+\)$"):
        segmenter(tmp_path / "model", (0.5, 0.5))


def test_weights_of_another_network(tmp_path):
    torch.save({"weight": torch.zeros(3)}, tmp_path / "model")
    with pytest.raises(InputError, match=r"^\S*model: is not a Cellpose 3 model \(\w+\)$"):
        segmenter(tmp_path / "model", (0.5, 0.5))


def test_a_missing_model_is_not_replaced_by_a_download(tmp_path):
    with pytest.raises(InputError, match=r"^\S*model: no such file$"):
        segmenter(tmp_path / "model", (0.5, 0.5))
