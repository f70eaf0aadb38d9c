"""Every fault is planted in pictures of simulated cells and looked for, as benchmarks/audit.py does many times."""

import runpy

import numpy as np
import pandas as pd
import pytest
from running import REPOSITORY
from sketchscope.evaluation import audit
from sketchscope.evaluation.audit.borders import audit_borders, find_contacts
from sketchscope.evaluation.audit.splits import is_split
from sketchscope.evaluation.audit.unlabelled import count_unlabelled

BENCHMARK = runpy.run_path(str(REPOSITORY / "benchmarks/audit.py"))
CASES, FAULTS = BENCHMARK["CASES"], BENCHMARK["FAULTS"]
# sizes that are far from the limits of what can be seen
PLANTED = {"shift": 2, "shrunk": 2, "grown": 2, "erased": 0.3, "dim": 1, "extra": 6, "double": 10, "torn": 0.5}
PLANTED |= {"rounded": 16}
SEEN = [(case, fault) for case in CASES for fault in PLANTED if CASES[case].touching in FAULTS[fault].stains]


@pytest.fixture(scope="module")
def plans():
    return {name: BENCHMARK["plan_clean"](case, np.random.default_rng(9)) for name, case in CASES.items()}


@pytest.mark.parametrize("name", CASES)
def test_a_pair_that_fits_raises_no_alarm(plans, name):
    summary, _ = BENCHMARK["audit_plan"](CASES[name], plans[name], np.random.default_rng(1))
    assert summary["warnings"] == []
    assert summary["cells"] > 10
    assert summary["shift"] < 0.25


@pytest.mark.parametrize(("name", "fault"), SEEN)
def test_a_planted_fault_is_seen(plans, name, fault):
    case, rng = CASES[name], np.random.default_rng(2)
    plan = FAULTS[fault].plant(plans[name], PLANTED[fault], rng)
    summary, found = BENCHMARK["audit_plan"](case, plan, rng)
    assert FAULTS[fault].figure in BENCHMARK["list_alarms"](summary)
    if FAULTS[fault].found:
        assert FAULTS[fault].found(found, plan) > 0.8


def test_a_shift_is_named_with_its_direction(plans):
    case, rng = CASES["nuclei-2d"], np.random.default_rng(3)
    summary, _ = BENCHMARK["audit_plan"](case, plans["nuclei-2d"]._replace(shift=(0, 2)), rng)
    assert summary["shift_x"] == pytest.approx(2, abs=0.5)
    assert any("to the right of their masks" in sentence for sentence in summary["warnings"])


def discs(shape, centres, radius, brightness=1.0):
    """Labels of discs, the first that reaches a pixel has it, and an image of them on a background of 0."""
    labels, grid = np.zeros(shape, int), np.indices(shape)
    for number, centre in enumerate(centres, start=1):
        far = sum((places - middle) ** 2 for places, middle in zip(grid, centre, strict=True)) > radius**2
        labels[~far & (labels == 0)] = number
    return labels, brightness * (labels > 0) + np.random.default_rng(1).normal(0, 0.02, shape)


def audited(image, labels, **options):
    return audit.audit_pair(image, labels, (1.0,) * labels.ndim, **{"touching": False, "min_contrast": 3.0} | options)


CENTRES = [(20, 20), (20, 60), (60, 20), (60, 60)]


def test_a_nucleus_without_a_mask_counts_unless_it_lies_in_the_rim():
    labels, image = discs((80, 80), CENTRES, 10)
    assert audited(image, labels).image["unlabelled"] == 0
    missing = np.where(labels == 2, 0, labels)
    assert audited(image, missing).image["unlabelled"] == 1
    assert audited(image, missing, border=18).image["unlabelled"] == 1
    assert audited(image, missing, border=22).image["unlabelled"] == 0
    assert audited(image, np.zeros_like(labels)).image["unlabelled"] == 0, "nothing to compare with"


def test_neither_specks_nor_rings_nor_a_slope_are_cells():
    _, image = discs((80, 80), CENTRES, 10)
    image[39:42, 39:42] += 1.0
    image += np.linspace(0, 0.4, 80)
    inner = discs((80, 80), CENTRES, 8)[0]
    assert audited(image, inner).image["unlabelled"] == 0


def test_a_cell_closed_by_membranes_counts_unless_the_image_cuts_it():
    labels = np.kron(np.arange(1, 10).reshape(3, 3), np.ones((20, 20), int))
    edges = np.zeros(labels.shape)
    for places in (19, 20, 39, 40):
        edges[places], edges[:, places] = 1, 1
    image = edges + np.random.default_rng(1).normal(0, 0.02, labels.shape)
    cells = audited(image, labels, touching=True).cells
    counts = [
        count_unlabelled(image, np.where(labels == gone, 0, labels), (1.0, 1.0), cells, touching=True)
        for gone in (5, 1)
    ]
    assert counts == [1, 0]


def test_height_of_a_valley_is_its_share_of_the_contrast():
    labels = np.zeros((40, 60), int)
    labels[10:30, 10:30], labels[10:30, 30:50] = 1, 2
    image = np.where(labels == 1, 1.0, np.where(labels == 2, 0.5, 0.0))
    image[10:30, 29:31] = 0.3
    borders = audited(image + np.random.default_rng(1).normal(0, 0.01, image.shape), labels).borders
    assert borders["height"].tolist() == pytest.approx([1 - 0.3 / 0.75], abs=0.02)
    assert not borders["hidden"].any()
    assert borders["voxels"].tolist() == [2 * (20 - 2 * 2)], "away from the background"


def test_a_border_is_hidden_where_noise_may_make_the_valley():
    labels = np.zeros((40, 60), int)
    labels[10:30, 10:30], labels[10:30, 30:50] = 1, 2
    cells = pd.DataFrame({"label": [1, 2], "inside": 1.0, "contrast": 1.0, "lost": False})
    image = (labels > 0) * 1.0
    image[10:30, 29:31] = 0.75
    for noise, hidden in ((0.1, False), (1.0, True)):
        noisy = image + noise * np.where(np.indices(image.shape).sum(axis=0) % 2, 1.0, -1.0)
        borders = audit_borders(noisy, labels, (1.0, 1.0), cells, touching=False)
        assert borders["height"].tolist() == pytest.approx([0.25], abs=1e-9)
        assert borders["error"].iloc[0] == pytest.approx(noise / np.sqrt(31), rel=1e-9)
        assert borders["hidden"].tolist() == [hidden]


def test_borders_across_coarse_slices_are_not_looked_at():
    labels = np.ones((4, 6, 6), int)
    labels[2:] = 2
    assert len(find_contacts(labels, (1.0, 1.0, 1.0)).own) == 2 * 36
    assert len(find_contacts(labels, (5.0, 1.0, 1.0)).own) == 0


def test_borders_count_for_both_cells():
    labels, image = discs((60, 100), [(30, 30), (30, 48), (30, 80)], 10)
    found = audited(image, labels)
    assert found.cells["borders"].tolist() == [1, 1, 0]
    assert found.cells["hidden_borders"].tolist() == [1, 1, 0]
    assert found.image == {"cells": 3, "unlabelled": 0, "borders": 1, "hidden_borders": 1}


def test_a_mask_is_split_by_a_valley_and_not_by_a_hole():
    cell = np.ones((20, 40), bool)
    image = np.ones(cell.shape)
    image[:, 19:21] = 0.4
    assert is_split(image, cell, 1.0, 0.0)
    image[:5, 19:21] = 1.0
    assert not is_split(image, cell, 1.0, 0.0), "the two parts are joined"
    assert not is_split(np.ones(cell.shape), cell, 1.0, 1.0)
