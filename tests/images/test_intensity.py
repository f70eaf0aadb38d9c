import numpy as np
import pytest
from sketchscope.images.intensity import denormalise, find_limits, invert, normalise

SHAPES = [(24, 32), (4, 24, 32)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("dtype", "lowest", "highest"), [("uint8", 0, 255), ("uint16", 33000, 36800)])
@pytest.mark.parametrize("gamma", [1.0, 0.5])
def test_round_trip_of_integers_is_exact(shape, dtype, lowest, highest, gamma):
    image = np.random.default_rng(1).integers(lowest, highest, shape, endpoint=True).astype(dtype)
    low, high = np.percentile(image, (0.1, 99.9))
    found = denormalise(normalise(image, low, high, gamma), low, high, dtype, gamma)
    assert found.dtype == image.dtype
    np.testing.assert_array_equal(found, image)


def test_round_trip_is_exact_over_all_of_uint16_and_far_beyond_the_limits():
    image = np.arange(2**16, dtype="uint16")
    np.testing.assert_array_equal(denormalise(normalise(image, 200.5, 900.25), 200.5, 900.25, "uint16"), image)


@pytest.mark.parametrize("shape", SHAPES)
def test_round_trip_of_floats_is_close(shape):
    image = np.random.default_rng(2).normal(5, 3, shape).astype("float32")
    found = denormalise(normalise(image, -1.5, 12.0), -1.5, 12.0, "float32")
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, image, atol=2e-6)


def test_limits_become_minus_one_and_one_and_nothing_is_clipped():
    image = np.array([[0, 100, 200, 300, 400]], dtype="uint16")
    found = normalise(image, 100, 300)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [[-2, -1, 0, 1, 2]])


def test_integers_are_rounded_and_clipped_to_their_type():
    values = np.array([-1.02, 1.004, 1.2, -0.0001], dtype="float32")
    np.testing.assert_array_equal(denormalise(values, 0, 255, "uint8"), [0, 255, 255, 127])
    np.testing.assert_allclose(denormalise(values, 0, 255, "float32")[2], 280.5, rtol=1e-6)


def test_limits_are_percentiles():
    image = np.arange(1001, dtype="uint16").reshape(7, 143)
    assert find_limits(image, (10, 90), "a.tif") == pytest.approx((100, 900))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("dtype", "value_range"), [("uint8", (0, 255)), ("uint16", (0, 4095)), ("int16", (-(2**15), 2**15 - 1))]
)
def test_inversion_maps_the_ends_of_the_range_onto_each_other(shape, dtype, value_range):
    image = np.random.default_rng(3).integers(*value_range, shape, endpoint=True).astype(dtype)
    image.flat[:2] = value_range
    found = invert(image, value_range)
    assert found.dtype == image.dtype
    assert tuple(found.flat[:2]) == value_range[::-1]
    np.testing.assert_array_equal(invert(found, value_range), image)
    assert found.astype(int).sum() == image.size * sum(value_range) - image.astype(int).sum()
