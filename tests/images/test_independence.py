import numpy as np
import pytest
from sketchscope.images.independence import examine_groups, find_series
from sketchscope.images.manifest import ManifestRow
from sketchscope.io.images import write_image

SHAPES = [(48, 60), (4, 48, 60)]


def rows_of(shape, count, name="t{:03d}.tif", split="train", group=""):
    numbers = {"voxel_size": (1.0,) * len(shape), "low": 0.0, "high": 1.0, "gamma": 1.0, "labelled": False}
    return [
        ManifestRow(f"{n:04d}", split, f"data/{name.format(n)}", 0, shape, "uint16", group=group, **numbers)
        for n in range(count)
    ]


def write(folder, rows, images):
    for row, image in zip(rows, images, strict=True):
        write_image(folder / f"{row.image}.ome.tif", image, row.voxel_size)


def blobs(shape, rng):
    """Ten random bright boxes."""
    image = np.zeros(shape, np.uint16)
    for _ in range(10):
        y, x = rng.integers(0, np.array(shape[-2:]) - 8)
        image[..., y : y + 8, x : x + 8] += 100
    return image


def movie(shape, count, rng):
    """Boxes that drift by half a pixel a frame, with noise."""
    first = blobs(shape, rng)
    return [np.roll(first, n // 2, -1) + rng.integers(0, 30, shape).astype(np.uint16) for n in range(count)]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_movie_in_single_files_is_warned_of_with_its_correlation(tmp_path, shape):
    rows = rows_of(shape, 20)
    write(tmp_path, rows, movie(shape, 20, np.random.default_rng(0)))
    found = examine_groups(rows, tmp_path)
    (warning,) = found["warnings"]
    assert found["n_groups"] == 20
    assert found["neighbours"] > found["apart"] + 0.3
    assert warning.startswith(
        "20 files (t000.tif to t019.tif) are numbered like the frames of one movie, and look like it"
    )
    assert f"neighbours correlate at {found['neighbours']:.2f}" in warning
    assert "each counts as independent" in warning
    assert "set groups" in warning
    assert found["notes"] == []


@pytest.mark.parametrize("shape", SHAPES)
def test_numbered_files_that_share_nothing_are_noted_and_not_warned_of(tmp_path, shape):
    rng, rows = np.random.default_rng(1), rows_of(shape, 12)
    background = 1000 + 20 * np.arange(shape[-1], dtype=np.uint16)  # what all share says nothing
    write(tmp_path, rows, [blobs(shape, rng) + background for _ in rows])
    found = examine_groups(rows, tmp_path)
    assert found["warnings"] == []
    assert abs(found["neighbours"] - found["apart"]) < 0.2
    assert "though they do not look like it" in found["notes"][0]
    assert "each counts as independent" in found["notes"][0]


def test_a_group_that_is_named_needs_no_warning(tmp_path):
    rows = rows_of(SHAPES[0], 8, group="movie")
    write(tmp_path, rows, movie(SHAPES[0], 8, np.random.default_rng(0)))
    found = examine_groups(rows, tmp_path)
    assert (found["n_groups"], found["warnings"], found["notes"], found["neighbours"]) == (1, [], [], None)


def test_series_have_consecutive_numbers_and_one_stem():
    shape = SHAPES[0]
    assert len(find_series(rows_of(shape, 3))) == 3
    assert find_series(rows_of(shape, 2)) == []
    apart = [row._replace(source=f"data/t{3 * n}.tif") for n, row in enumerate(rows_of(shape, 6))]
    assert find_series(apart) == []
    others = [row._replace(source=f"data/{'abc'[n]}1.tif") for n, row in enumerate(rows_of(shape, 3))]
    assert find_series(others) == []
    shuffled = [row._replace(source=f"data/t{number}_c1.tif") for number, row in zip((11, 9, 10), apart, strict=False)]
    assert [row.source for row in find_series(shuffled)] == [f"data/t{n}_c1.tif" for n in (9, 10, 11)]


def test_few_numbered_files_are_warned_of_without_a_measurement(tmp_path):
    rows = rows_of(SHAPES[0], 4)
    write(tmp_path, rows, movie(SHAPES[0], 4, np.random.default_rng(0)))
    found = examine_groups(rows, tmp_path)
    assert found["neighbours"] is None
    assert found["warnings"] == [
        "4 files (t000.tif to t003.tif) are numbered like the frames of one movie, but each counts as independent; if "
        "they share a movie or specimen, set groups"
    ]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_movie_that_is_learnt_from_and_scored_is_told(tmp_path, shape):
    rows = [row._replace(group="a/movie.tif") for row in rows_of(shape, 6)]
    rows = [row._replace(split="test" if n > 3 else "train") for n, row in enumerate(rows)]
    images = movie(shape, 6, np.random.default_rng(0))
    write(tmp_path, rows, images)
    found = examine_groups(rows, tmp_path)
    expected = np.corrcoef(images[3].ravel(), images[4].ravel())[0, 1]
    assert found["shared_groups"] == ["a/movie.tif"]
    assert found["train_test"] == pytest.approx(expected)
    assert found["warnings"] == [
        "training and test images share a movie or specimen (movie.tif): scores may be too good; a training image and "
        f"the test image next to it correlate at {expected:.2f}"
    ]
    assert (found["n_groups"], found["n_test_groups"]) == (1, 1)


def test_a_split_between_groups_is_not_warned_of(tmp_path):
    rows = [
        row._replace(group=str(n // 3), split="test" if n > 2 else "train")
        for n, row in enumerate(rows_of((24, 24), 6))
    ]
    write(tmp_path, rows, np.random.default_rng(0).integers(0, 99, (6, 24, 24)).astype(np.uint16))
    found = examine_groups(rows, tmp_path)
    assert (found["n_groups"], found["n_test_groups"], found["shared_groups"], found["warnings"]) == (2, 1, [], [])


@pytest.mark.parametrize("shape", SHAPES)
def test_a_test_image_with_the_pixels_of_a_training_image_is_warned_of(tmp_path, shape):
    rows = [row._replace(split="test" if n > 2 else "train") for n, row in enumerate(rows_of(shape, 5, name="{}x.tif"))]
    images = np.random.default_rng(0).integers(0, 99, (5, *shape)).astype(np.uint16)
    images[4] = images[1]
    write(tmp_path, rows, images)
    found = examine_groups(rows, tmp_path)
    assert found["copies"] == [("0004", "0001")]
    assert found["warnings"][0] == (
        "the test image 4 (data/4x.tif) is a copy of the training image 1 (data/1x.tif): scores are too good; leave one"
        " out of train_images or test_images"
    )
    images[3] = images[2]
    write(tmp_path, rows, images)
    found = examine_groups(rows, tmp_path)
    assert found["copies"] == [("0003", "0002"), ("0004", "0001")]
    assert "(data/2x.tif), and 1 other test images are such copies: scores are too good" in found["warnings"][0]
    images[4, ..., -1, -1] += 1
    write(tmp_path, rows, images)
    assert examine_groups(rows, tmp_path)["copies"] == [("0003", "0002")]
