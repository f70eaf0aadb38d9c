import numpy as np
from sketchscope.images.windows import crop_typical


def test_crop_is_typical():
    image = np.zeros((40, 120))
    image[:, :40], image[:, 40:80] = 10, 5
    rows, columns = crop_typical(image, (40, 40))
    assert (rows, columns) == (slice(0, 40), slice(40, 80))
    assert image[crop_typical(image, (500, 500))].shape == image.shape
