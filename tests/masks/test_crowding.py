import math

import numpy as np
import pytest
from simulating import PLAIN, counted_nuclei
from sketchscope.errors import InputError
from sketchscope.masks.cells import NucleiSettings
from sketchscope.masks.crowding import check_density, describe_crowd, largest_density
from sketchscope.masks.specimen import SpecimenSettings

NUCLEI = {
    **{"diameter": 10.0, "diameter_cv": 0.2, "elongation": 1.3, "elongation_sd": 0.2, "flatness": 1.0},
    **{"roughness": 0.05, "cluster_fraction": 0.3, "cluster_gap_um": 0.5},
}
EMBRYO = SpecimenSettings("ellipsoid", [50.0, 60.0, 80.0], None, 0.0)
# voxels of a micrometre, and what differs from NUCLEI
CASES = {
    "2D": ((160, 160), {}),
    "2D, long": ((160, 160), {"elongation": 3.0}),
    "2D, spacing": ((160, 160), {"spacing_um": 12.0, "cluster_fraction": 0.0}),
    "3D": ((50, 70, 70), {}),
    "thin stack": ((5, 120, 120), {}),
    "one layer": ((5, 120, 120), {"flatness": 0.5, "layer_um": (0.5, 0.5)}),
    "embryo": ((54, 64, 84), {"specimen": EMBRYO}),
}


def values_of(density, **changes):
    settings = NucleiSettings(**PLAIN | NUCLEI | changes, density=density)
    return settings._asdict() | {"specimen": settings.specimen._asdict()}


def simulate(shape, density, seed=0, **changes):
    return counted_nuclei(shape, (1.0,) * len(shape), np.random.default_rng(seed), **NUCLEI | changes, density=density)


@pytest.mark.parametrize(("shape", "changes"), CASES.values(), ids=CASES)
def test_just_below_the_largest_density_nuclei_find_a_place_and_above_it_is_refused(shape, changes):
    height = shape[0] if len(shape) == 3 else None
    largest = largest_density(describe_crowd(values_of(1.0, **changes), height))
    labels, census = simulate(shape, 0.93 * largest, **changes)
    assert census.placed >= 0.9 * census.drawn
    assert census.placed / census.size * 10 ** (2 * len(shape)) == pytest.approx(0.93 * largest, rel=0.2), "Poisson"
    assert labels.max() > 10
    with pytest.raises(InputError, match=r"^simulation\.density: found .* can be packed up to \d"):
        simulate(shape, 1.01 * largest, **changes)


@pytest.mark.parametrize("density", [300.0, 600.0, 1000.0])
def test_a_stack_is_as_dense_as_asked(density):
    """Random places alone end at about 640 of these nuclei."""
    censuses = [simulate((64, 64, 64), density, seed)[1] for seed in range(3)]
    reached = sum(census.placed for census in censuses) / sum(census.size for census in censuses) * 1e6
    assert reached == pytest.approx(density, rel=0.1)


def test_what_is_refused_is_one_sentence():
    with pytest.raises(InputError) as refused:
        check_density(values_of(1300.0), 64.0, "organisms.mine.simulation")
    assert str(refused.value).startswith("organisms.mine.simulation.density: found 1300; nuclei of this size")
    largest = float(str(refused.value).split("up to ")[1].split(" per")[0])
    check_density(values_of(largest), 64.0, "organisms.mine.simulation")


def test_of_a_range_the_denser_end_counts_with_its_own_size():
    check_density(values_of([10.0, 80.0]), None, "simulation")
    with pytest.raises(InputError, match="found 160;"):
        check_density(values_of([10.0, 160.0]), None, "simulation")
    check_density(values_of([10.0, 160.0], size_exponent=0.5), None, "simulation")


def test_the_mean_size_of_nuclei():
    """Log-normal diameters: the mean of the cube is that of the mean, (1 + cv^2)^3 times."""
    draws = 10 * np.exp(np.sqrt(np.log(1.04)) * np.random.default_rng(0).standard_normal(10**6) - np.log(1.04) / 2)
    for height, mean in ((None, np.mean(np.pi / 4 * draws**2)), (1e9, np.mean(np.pi / 6 * draws**3))):
        assert describe_crowd(values_of(1.0), height).size == pytest.approx(mean, rel=0.01)
    assert describe_crowd(values_of(1.0, spacing_um=20.0), None).size == pytest.approx(math.pi / 4 * 400)
    assert describe_crowd(
        values_of(1.0, mitotic_fraction=0.5, mitotic_elongation=2.3), None
    ).elongation == pytest.approx(1.8)
