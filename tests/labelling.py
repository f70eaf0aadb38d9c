"""Label images to score: random cells, and predictions of them with every kind of mistake."""

import numpy as np

SHAPES = [(40, 50), (8, 20, 24)]


def blobs(rng, shape, n_cells):
    """Labels 1..n: each voxel belongs to the nearest of n random centres if that is near enough."""
    grid = np.stack(np.indices(shape), axis=-1)[..., None, :]
    distance = np.linalg.norm(grid - rng.uniform(0, shape, (n_cells, len(shape))), axis=-1)
    labels = np.where(distance.min(-1) < 6, distance.argmin(-1) + 1, 0)
    return np.unique(labels, return_inverse=True)[1].reshape(shape).astype(np.uint16)


def spoilt(rng, labels):
    """A prediction: the labels moved by a voxel, two cells merged, one lost, one invented, renumbered."""
    predicted = np.roll(labels, 1, axis=-1)
    predicted[predicted == 2] = 1
    predicted[predicted == 3] = 0
    predicted[(slice(0, 3),) * labels.ndim] = labels.max() + 1
    order = np.concatenate([[0], 1 + rng.permutation(labels.max() + 1)])
    return np.unique(order[predicted], return_inverse=True)[1].reshape(labels.shape)


def random_pair(shape, seed):
    """Reference and predicted labels; of five seeds, three look like a prediction, two are unrelated cells."""
    rng = np.random.default_rng(seed)
    reference = blobs(rng, shape, 15)
    return reference, spoilt(rng, reference) if seed % 5 < 3 else blobs(rng, shape, 18).astype(int)
