import numpy as np
import pytest
from running import run_script
from scipy import ndimage
from sketchscope.images.manifest import ManifestRow, write_manifest
from sketchscope.io.atomic import write_json
from sketchscope.io.images import read_image, write_image
from sketchscope.sketches.from_images import add_missed, sketch_image
from sketchscope.stains import STAINS

GEOMETRY = {"2d": ((96, 120), (0.5, 0.5)), "3d": ((12, 80, 80), (1.5, 0.5, 0.5))}
DIAMETER = 10.0  # micrometres


@pytest.fixture(params=GEOMETRY)
def field(request):
    """Three bright balls and a dim one on a slow gradient with noise; labels of all four, and the voxel size."""
    shape, voxel_size = GEOMETRY[request.param]
    grid = np.indices(shape) * np.reshape(voxel_size, (-1, *[1] * len(shape)))
    labels = np.zeros(shape, np.uint16)
    for label, centre in enumerate([(9, 12, 12), (9, 12, 30), (9, 32, 12), (9, 30, 30)], 1):
        away = np.subtract(grid, np.reshape(centre[-len(shape) :], (-1, *[1] * len(shape))))
        labels[(away**2).sum(0) < (DIAMETER / 2) ** 2] = label
    clean = np.array([-0.8, 0.3, 0.6, 0.0, -0.65], np.float32)[labels] + 0.1 * grid[-1] / grid[-1].max()
    blurred = ndimage.gaussian_filter(clean, 0.5 / np.asarray(voxel_size))
    noise = np.random.default_rng(0).normal(0, 0.08, shape)
    return (blurred + noise).astype(np.float32), labels, voxel_size


def without(labels, *left_out):
    return np.where(np.isin(labels, left_out), 0, labels)


def iou(first, second):
    return (first & second).sum() / (first | second).sum()


def test_a_dim_cell_that_was_missed_is_added(field):
    image, labels, voxel_size = field
    found = add_missed(without(labels, 4), image, voxel_size, DIAMETER)
    assert found.max() == 4
    assert iou(found == 4, labels == 4) > 0.6
    np.testing.assert_array_equal(without(found, 4), without(labels, 4))


def test_nothing_is_added_where_all_cells_are_known(field):
    """Neither noise, nor the light around bright cells, nor a slow gradient is a cell."""
    image, labels, voxel_size = field
    np.testing.assert_array_equal(add_missed(labels, image, voxel_size, DIAMETER), labels)


def test_no_label_at_all_and_no_background(field):
    image, labels, voxel_size = field
    everywhere = np.ones_like(labels)
    np.testing.assert_array_equal(add_missed(everywhere, image, voxel_size, DIAMETER), everywhere)
    found = add_missed(np.zeros_like(labels), image, voxel_size, DIAMETER)
    assert all(found[labels == label].any() for label in (1, 2, 3))


@pytest.mark.parametrize("stain", ["nuclei", "membranes"])
def test_a_sketch_is_as_bright_as_its_image(field, stain):
    image, labels, voxel_size = field
    chosen = STAINS[stain]
    settings = {"background": None, "decay_um": None, "field": "flat"} | (
        {"membrane_um": 1.0} if stain == "membranes" else {}
    )
    settings = chosen.sketch(**chosen.plain, **settings)
    sketch = sketch_image(image, labels, voxel_size, DIAMETER, chosen.draw, settings)
    assert sketch.shape == image.shape
    assert sketch.dtype == np.float32
    assert sketch[0, 0].flat[0] == pytest.approx(image[labels == 0].mean(), abs=1e-6)
    assert len(np.unique(sketch)) == 5
    if stain == "nuclei":
        levels = [sketch[labels == label].mean() for label in (1, 2, 3, 4)]
        assert levels == pytest.approx([0.33, 0.66, 0.03, -0.58], abs=0.05)


def test_script_takes_better_masks_where_there_are_some(tmp_path, field):
    """And adds what the rough ones missed; each image has a sketch, test images have none."""
    image, labels, voxel_size = field
    numbers = {"voxel_size": voxel_size, "low": -1.0, "high": 1.0, "gamma": 1.0, "labelled": False}
    splits = {"0": "train", "1": "train", "2": "test"}
    rows = [ManifestRow(name, split, "a.tif", 0, image.shape, "float32", **numbers, group="a")
            for name, split in splits.items()]  # fmt: skip
    write_manifest(tmp_path / "manifest.csv", rows)
    write_json(tmp_path / "depth.json", {"decay_um": None})
    for name in splits:
        write_image(tmp_path / f"images/{name}.ome.tif", image, voxel_size)
        write_image(tmp_path / f"rough/{name}.ome.tif", without(labels, 2, 4), voxel_size)
    write_image(tmp_path / "better/1.ome.tif", labels, voxel_size)
    inputs = {name: tmp_path / name for name in ("images", "rough", "manifest.csv", "depth.json")}
    run_script(
        "draw_training_sketches",
        tmp_path,
        inputs={key.partition(".")[0]: path for key, path in inputs.items()} | {"better": [tmp_path / "better"]},
        outputs={"sketches": tmp_path / "sketches"},
        params={
            "stain": "nuclei",
            "settings": {"background": None, "decay_um": "auto", "field": "flat"},
            "cell_diameter": DIAMETER,
        },
    )
    assert {path.name for path in (tmp_path / "sketches").iterdir()} == {"0.ome.tif", "1.ome.tif"}
    sketches = [read_image(tmp_path / f"sketches/{name}.ome.tif") for name in "01"]
    assert iou(sketches[0] > -0.72, labels > 0) > 0.7
    np.testing.assert_array_equal(sketches[1] > -0.72, labels > 0)
    log = (tmp_path / "logs/draw_training_sketches.log").read_text()
    assert "0: 2 cells of the rough segmentation, 2 more that it missed" in log
    assert "1: 4 cells of masks.source, 0 more that it missed" in log
