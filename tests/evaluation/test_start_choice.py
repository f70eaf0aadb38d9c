import json

import numpy as np
import pandas as pd
import pytest
from sketchscope.errors import InputError
from sketchscope.evaluation import start_choice

LIMITS = start_choice.Limits(max_divergence=0.001, max_spectrum=0.3, max_lost=0.02)


def scored_grid(**columns):
    """Two blurs, three starts each, and before them the sketches themselves, which have the best of all scores."""
    rows = pd.DataFrame({"t_start": [0, 100, 200, 300] * 2, "sigma": [0.0] * 4 + [1.0] * 4, "sampler": "ddim"})
    rows = rows.assign(pixels=5000, cells=100, psnr=[30.0, 20, 21, 22, 31, 20, 21, 22], zncc=[0.9, 0.8, 0.8, 0.8] * 2)
    values = {"divergence": [0.0] * 6, "spectrum": [1.0] * 6, "lost": [0] * 6} | columns
    at = rows.index[rows["t_start"] > 0]
    for name, column in values.items():
        rows[name] = 0.0
        rows.loc[at, name] = np.asarray(column, float)
    return rows


def draws_about(scores, scatter=0.0, common=0.0, seed=0):
    """Draws about the scores: `scatter` by point, `common` to all points of a draw."""
    rng, shape = np.random.default_rng(seed), (len(scores), 1000)
    return start_choice.Draws(
        *(
            scores[name].to_numpy()[:, None] + rng.normal(0, scatter, shape) + rng.normal(0, common, (1, 1000))
            for name in ("divergence", "spectrum")
        ),
        windows=np.full(len(scores), 40),
    )


@pytest.mark.parametrize(
    ("columns", "fixed", "chosen"),
    [
        ({}, {}, (100, 0)),
        ({"divergence": [9, 9, 0, 9, 0, 0]}, {}, (200, 1)),  # the earliest start comes before the smallest blur
        ({"divergence": [9, 0, 0, 9, 0, 0]}, {}, (200, 0)),
        ({"spectrum": [3, 2, 1.2, 3, 2, 1]}, {}, (300, 0)),
        ({"spectrum": [0, 2, 1.2, 3, 2, 1], "divergence": [9, 0, 0, 0, 0, 0]}, {}, (300, 0)),  # the best of those left
        ({"divergence": [9, 0, 0, 9, 0, 0], "lost": [3, 6, 9, 4, 5, 6]}, {}, (200, 1)),  # those that lose more are out
        ({"lost": [6, 6, 6, 6, 6, 5]}, {}, (100, 0)),
        ({"divergence": [9, 8, 7, 9, 8, 6]}, {}, (300, 1)),  # none is good enough: the nearest
        ({"divergence": [0, 0, 0, 9, 9, 0]}, {"sigma": 1}, (300, 1)),
        ({"divergence": [9, 9, 0, 0, 0, 0]}, {"t_start": 300}, (300, 0)),
        ({}, {"t_start": 200, "sigma": 1}, (200, 1)),
    ],
)
def test_choice_without_any_scatter(columns, fixed, chosen):
    scores = scored_grid(**columns)
    choice = start_choice.choose_start(scores, draws_about(scores), LIMITS, **fixed)
    assert (choice["t_start"], choice["sigma"]) == chosen
    assert set(choice) == {*scores.columns, "sketch_psnr", "sketch_zncc"}
    assert (choice["sketch_psnr"], choice["sketch_zncc"]) == ({0: 30.0, 1: 31.0}[choice["sigma"]], 0.9)
    json.dumps(choice)


def test_chance_of_two_hundredths_of_a_decibel_decides_nothing():
    """The estimate of the first start lies beyond the tolerance by that much, the interval of the difference not."""
    scores = scored_grid(spectrum=[1.32, 1.0, 1.0, 1.32, 1.0, 1.0])
    assert start_choice.choose_start(scores, draws_about(scores), LIMITS)["t_start"] == 200
    assert start_choice.choose_start(scores, draws_about(scores, scatter=0.1), LIMITS)["t_start"] == 100


@pytest.mark.parametrize("seed", range(5))
def test_what_is_clearly_worse_goes_whatever_the_scatter(seed):
    scores = scored_grid(spectrum=[2.5, 1.0, 1.0, 2.5, 1.0, 1.0])
    assert start_choice.choose_start(scores, draws_about(scores, scatter=0.2, seed=seed), LIMITS)["t_start"] == 200


def test_differences_are_those_of_the_same_windows():
    """Windows that are hard for every point widen every interval, but not that of a difference."""
    scores = scored_grid(spectrum=[2.0, 1.0, 1.0, 2.0, 1.0, 1.0])
    assert start_choice.choose_start(scores, draws_about(scores, common=2.0), LIMITS)["t_start"] == 200


def test_likeness_has_to_be_shown():
    """An estimate within the limit whose interval is not is no evidence."""
    scores = scored_grid(divergence=[0.0009, 0.0001, 0, 0.0009, 0.0001, 0])
    assert start_choice.choose_start(scores, draws_about(scores), LIMITS)["t_start"] == 100
    assert start_choice.choose_start(scores, draws_about(scores, scatter=0.0002), LIMITS)["t_start"] == 200


def test_where_none_is_alike_those_stay_that_may_be_the_nearest():
    scores = scored_grid(divergence=[0.9, 0.52, 0.5, 0.9, 0.52, 0.5])
    assert start_choice.choose_start(scores, draws_about(scores, scatter=0.05), LIMITS)["t_start"] == 200
    assert start_choice.choose_start(scores, draws_about(scores, scatter=0.001), LIMITS)["t_start"] == 300


@pytest.mark.parametrize(("pixels", "windows"), [(4, 1), (999, 8)])
def test_too_few_cells_decide_nothing(pixels, windows):
    """One cell of four pixels had an interval of no width, so its divergence counted as shown."""
    scores = scored_grid().assign(pixels=pixels)
    draws = draws_about(scores)._replace(windows=np.full(len(scores), windows))
    with pytest.raises(InputError, match=f"sweep: found {pixels} voxels of cells in {windows} windows of training"):
        start_choice.choose_start(scores, draws, LIMITS, sigma=1)
    assert start_choice.choose_start(scores, draws, LIMITS, t_start=200, sigma=1)["t_start"] == 200


@pytest.mark.parametrize("windows", [start_choice.FEWEST_WINDOWS, 8, 20])
def test_intervals_of_few_windows_hold_the_truth_in_95_of_100(windows):
    """The plain percentile interval of eight did so in 88."""
    rng = np.random.default_rng(windows)
    held = [
        low <= 0 <= high
        for values in rng.normal(0, 1, (500, windows))
        for low, high in [
            start_choice.find_interval(rng.choice(values, (1000, windows)).mean(1), windows),
        ]
    ]
    assert 0.92 <= np.mean(held) <= 0.99


def test_a_single_window_decides_by_its_estimates_and_says_so(capsys):
    scores = scored_grid(divergence=[9, 0, 0, 9, 0, 0], spectrum=[1, 3, 1, 1, 3, 1])
    draws = draws_about(scores)._replace(windows=np.ones(len(scores), int))
    assert start_choice.choose_start(scores, draws, LIMITS)["t_start"] == 300
    assert "the intervals rest on 1 windows" in capsys.readouterr().out


def test_narrow_intervals_are_told(capsys):
    scores = scored_grid()
    for windows in (start_choice.FEWEST_WINDOWS - 1, start_choice.FEWEST_WINDOWS):
        start_choice.choose_start(scores, draws_about(scores)._replace(windows=np.full(len(scores), windows)), LIMITS)
    assert capsys.readouterr().out == "warning: the intervals rest on 5 windows and are too narrow; give 6 or more\n"


def test_a_missing_score_is_none():
    scores = scored_grid().assign(psnr=np.nan)
    choice = start_choice.choose_start(scores, draws_about(scores), LIMITS)
    assert choice["psnr"] is None
    assert choice["sketch_psnr"] is None
    assert start_choice.tell_choice(choice) == "t_start 100, sigma 0, scored with ddim"
