import numpy as np
from sketchscope.images.windows import crop_typical, windows_with_cells


def test_crop_is_typical():
    image = np.zeros((40, 120))
    image[:, :40], image[:, 40:80] = 10, 5
    rows, columns = crop_typical(image, (40, 40))
    assert (rows, columns) == (slice(0, 40), slice(40, 80))
    assert image[crop_typical(image, (500, 500))].shape == image.shape


def test_windows_hold_cells():
    """Of a mostly empty image the typical window is empty; with cells in it, there is something to compare."""
    image, labels = np.zeros((40, 160)), np.zeros((40, 160), int)
    labels[10:30, 130:150] = 1
    image[labels > 0] = 5
    assert not labels[crop_typical(image, (40, 40))].any()
    (window,) = windows_with_cells(image, labels, (40, 40), 1)
    assert labels[window].any()
    labels[:, ::40] = 2
    windows = windows_with_cells(image, labels, (40, 40), 3)
    assert all((labels[window] > 0).mean() >= (labels > 0).mean() for window in windows)
    assert len({window[1].start // 40 for window in windows}) == len(windows), "they do not overlap"
