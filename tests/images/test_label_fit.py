import numpy as np
import pytest
from labelling import blobs
from scipy import ndimage
from sketchscope.images.label_fit import examine_labels, measure_fit
from sketchscope.images.manifest import ManifestRow
from sketchscope.io.images import write_image

SHAPES = [(80, 100), (8, 60, 60)]
everywhere = pytest.mark.parametrize("shape", SHAPES)
both_stains = pytest.mark.parametrize("touching", [False, True])


def cells(shape, seed, touching):
    """Labels and their image: bright cells, or bright boundaries, blurred, with noise."""
    rng = np.random.default_rng(seed)
    if touching:
        grid = np.stack(np.indices(shape), -1)[..., None, :]
        labels = np.linalg.norm(grid - rng.uniform(0, shape, (20, len(shape))), axis=-1).argmin(-1) + 1
        signal = ndimage.generic_filter(labels, np.ptp, 3) > 0
    else:
        labels = blobs(rng, shape, 20)
        signal = labels > 0
    image = 100 + 60 * ndimage.gaussian_filter(signal.astype(float), 0.7) + rng.normal(0, 20, shape)
    return labels.astype(np.uint16), image.clip(0).astype(np.uint16)


@everywhere
@both_stains
def test_labels_of_the_image_fit_and_others_do_not(shape, touching):
    labels, image = cells(shape, 0, touching)
    assert measure_fit(image, labels, touching=touching) > 0.85
    for seed in (1, 2, 3):
        other = cells(shape, seed, touching)[0]
        assert measure_fit(image, other, touching=touching) < 0.68
    assert measure_fit(image.max() - image, labels, touching=touching) < 0.2, "dark cells do not fit either"


@everywhere
def test_nothing_is_measured_where_there_is_nothing_to_compare(shape):
    image, labels = np.ones(shape), np.zeros(shape, int)
    assert measure_fit(image, labels, touching=False) is None
    assert measure_fit(image, labels + 1, touching=False) is None
    assert measure_fit(image, labels, touching=True) is None
    labels[..., :5] = 1
    assert measure_fit(image, labels, touching=False) == 0.5


def rows_of(shape, splits, labelled):
    numbers = {"voxel_size": (1.0,) * len(shape), "low": 0.0, "high": 1.0, "gamma": 1.0}
    return [
        ManifestRow(
            f"{n:04d}",
            split,
            f"data/t{n}.tif",
            0,
            shape,
            "uint16",
            labelled=n in labelled and split != "train",
            label_file=f"truth/t{n}.tif" if n in labelled else "",
            **numbers,
        )
        for n, split in enumerate(splits)
    ]


@everywhere
@both_stains
def test_labels_of_another_image_are_warned_of(tmp_path, shape, touching):
    rows = rows_of(shape, ["train", "test", "test", "test"], labelled={1, 2})
    for number in (1, 2, 3):
        labels, image = cells(shape, number, touching)
        write_image(tmp_path / f"images/{number:04d}.ome.tif", image, rows[0].voxel_size)
        if number < 3:
            write_image(tmp_path / f"labels/{number:04d}.ome.tif", labels, rows[0].voxel_size)
    folders = tmp_path / "images", tmp_path / "labels"
    assert examine_labels(rows, *folders, touching=touching) == []
    write_image(tmp_path / "labels/0002.ome.tif", cells(shape, 1, touching)[0], rows[0].voxel_size)
    (warning,) = examine_labels(rows, *folders, touching=touching)
    what = "boundaries of cells" if touching else "cells"
    assert warning.startswith(f"truth/t2.tif does not seem to belong to image 2 (data/t2.tif): the {what} are brighter")
    assert warning.endswith("of what lies beside them, where labels of another image give 50%")


def test_labels_that_score_nothing_are_warned_of(tmp_path):
    rows = rows_of((8, 8), ["train", "train", "train", "test"], labelled={0, 2})
    assert examine_labels(rows, tmp_path, tmp_path, touching=False) == [
        "no test image has labels, so nothing is scored; labels belong to the images 0,2"
    ]
    assert examine_labels(rows_of((8, 8), ["train", "test"], labelled=()), tmp_path, tmp_path, touching=False) == []
