import json

import pandas as pd
import pytest
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
