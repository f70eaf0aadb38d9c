import numpy as np
import pytest
from labelling import SHAPES, blobs
from sketchscope.errors import InputError
from sketchscope.labels import Pieces, check_instances, count_pieces, separate_cells

rng = np.random.default_rng
both_dimensions = pytest.mark.parametrize("shape", SHAPES)


def check(*labels):
    check_instances({f"{number}.tif": count_pieces(found) for number, found in enumerate(labels)})


def boxes(shape):
    """Six cells that do not touch."""
    labels = np.zeros(shape, int)
    for number in range(6):
        y, x = 1 + 9 * (number // 3), 1 + 8 * (number % 3)
        labels[..., y : y + 6, x : x + 6] = number + 1
    return labels


def classes(labels):
    """Background 0, inside of cells 1, their boundaries 2, as a network for pixels learns them."""
    inner = labels.copy()
    for axis in range(labels.ndim):
        for step in (-1, 1):
            inner[np.roll(labels, step, axis) != labels] = 0
    return np.where(inner > 0, 1, np.where(labels > 0, 2, 0))


@both_dimensions
def test_pieces_are_counted_and_diagonals_connect(shape):
    labels = np.zeros(shape, int)
    assert count_pieces(labels) == Pieces(0, 0, 0)
    labels[..., 2, 2] = labels[..., 3, 3] = 7
    labels[..., 9:12, 9:12] = labels[..., 15:18, 9:12] = labels[..., 15:18, 14:18] = 3
    assert count_pieces(labels) == Pieces(labels=2, pieces=4, split=1)
    labels[labels == 0] = 5
    assert count_pieces(labels) == Pieces(labels=3, pieces=5, split=1)


@both_dimensions
def test_labels_of_cells_pass(shape):
    labels = blobs(rng(0), shape, 12)
    assert count_pieces(labels) == Pieces(12, 12, 0)
    check(labels)
    check(labels, np.zeros(shape, int), (labels == 1).astype(int))
    torn = boxes(shape)
    torn[..., ::2, :][torn[..., ::2, :] == 1] = torn[..., ::2][torn[..., ::2] == 1] = (
        0  # one cell of six in nine pieces
    )
    assert count_pieces(torn) == Pieces(6, 14, 1)
    check(torn)
    check_instances({})


@both_dimensions
@pytest.mark.parametrize(
    "spoil",
    [
        lambda labels: (labels > 0).astype(int),
        lambda labels: np.where(labels > 0, 255, 0),
        classes,
        lambda labels: rng(1).integers(0, 200, labels.shape),
        lambda labels: np.where(labels > 0, labels % 2 + 1, 0),
    ],
    ids=["binary", "255", "classes", "grey values", "two kinds of cells"],
)
def test_images_that_number_no_cells_are_refused(shape, spoil):
    labels = spoil(boxes(shape))
    found = count_pieces(labels)
    with pytest.raises(InputError) as caught:
        check(np.zeros(shape, int), labels)
    numbers = "one number" if found.labels == 1 else f"{found.labels} different numbers"
    assert str(caught.value) == (
        f"1.tif: holds {found.pieces} separate pieces with {numbers}; one number for each cell is needed, or"
        " labels_are: binary for masks that tell only cells from background"
    )


@both_dimensions
def test_pieces_of_a_mask_become_cells(shape):
    mask = np.zeros(shape, np.uint8)
    mask[..., 1:4, 1:4] = mask[..., 4:7, 4:7] = mask[..., 12:15, 1:4] = 255
    labels = separate_cells(mask, "a.tif")
    assert labels.dtype == np.uint16
    np.testing.assert_array_equal(labels > 0, mask > 0)
    assert [int(labels[(0,) * (mask.ndim - 2)][point]) for point in ((2, 2), (5, 5), (13, 2))] == [1, 2, 3]
    assert not separate_cells(np.zeros(shape, np.uint8), "a.tif").any()
    with pytest.raises(
        InputError, match=r"^a\.tif: holds 2 different numbers beside 0; with labels_are: binary one is"
    ):
        separate_cells(mask // 2 + (np.indices(shape)[-1] == 3) * (mask > 0), "a.tif")
