import json

import pandas as pd
import pytest
from sketchscope.config.auto import settle
from sketchscope.evaluation import start_sweep


def table(**columns):
    rows = pd.DataFrame({"t_start": [100, 200, 300, 100, 200, 300], "sigma": [0.0] * 3 + [1.0] * 3})
    return rows.assign(**{"divergence": 0.0, "spectrum": 1.0} | columns)


@pytest.mark.parametrize(
    ("columns", "fixed", "chosen"),
    [
        ({}, {}, (100, 0)),
        ({"divergence": [9, 9, 0, 9, 0, 0]}, {}, (200, 1)),  # the earliest start comes before the smallest blur
        ({"divergence": [9, 0, 0, 9, 0, 0]}, {}, (200, 0)),
        ({"spectrum": [3, 2, 1.2, 3, 2, 1]}, {}, (300, 0)),
        ({"spectrum": [0, 2, 1.2, 3, 2, 1], "divergence": [9, 0, 0, 0, 0, 0]}, {}, (300, 0)),  # the best of those left
        ({"divergence": [9, 8, 7, 9, 8, 6]}, {}, (300, 1)),  # none is good enough: the nearest
        ({"divergence": [0, 0, 0, 9, 9, 0]}, {"sigma": 1}, (300, 1)),
        ({"divergence": [9, 9, 0, 0, 0, 0]}, {"t_start": 300}, (300, 0)),
        ({}, {"t_start": 200, "sigma": 1}, (200, 1)),
    ],
)
def test_choice(columns, fixed, chosen):
    choice = start_sweep.choose_start(table(**columns), 0.001, 0.3, **fixed)
    assert (choice["t_start"], choice["sigma"]) == chosen
    assert set(choice) == {"t_start", "sigma", "divergence", "spectrum"}
    json.dumps(choice)


def test_settings_are_settled(tmp_path):
    (tmp_path / "choice.json").write_text('{"t_start": 300, "sigma": 0.5, "psnr": 20.0}')
    (tmp_path / "depth.json").write_text('{"decay_um": null}')
    settings = {"t_start": "auto", "steps": 10}
    assert settle(settings, [tmp_path / "choice.json"]) == {"t_start": 300, "steps": 10}
    assert settle({"t_start": 400}, []) == {"t_start": 400}
    found = settle({"sigma": "auto", "decay_um": "auto"}, [tmp_path / "choice.json", tmp_path / "depth.json"])
    assert found == {"sigma": 0.5, "decay_um": None}
