import pytest
from sketchscope.masks.census import Census, describe, summarise_census


def test_summary_over_volumes():
    """By hand: 10 + 30 nuclei of 50 in 20,000 + 60,000 um^2."""
    table = [Census(5.0, 20_000.0, 10, 10)._asdict(), Census(7.0, 60_000.0, 40, 30)._asdict()]
    found = summarise_census(table, 2)
    assert found["asked"] == pytest.approx(6.5)
    assert found["reached"] == pytest.approx(5.0)
    assert found["share"] == pytest.approx(0.8)
    assert not found["enough"]
    assert found["unit"] == "nuclei per 10⁴ µm²"
    assert summarise_census(table[:1], 3)["enough"]


def test_nothing_was_asked():
    assert summarise_census([], 2) is None
    assert describe(None) == "no density asked"
    assert summarise_census([Census(1.0, 10.0, 0, 0)._asdict()], 3)["share"] == 1
