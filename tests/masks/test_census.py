import pytest
from sketchscope.errors import InputError
from sketchscope.masks.census import Census, check_census, describe, summarise_census


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


def test_volumes_without_a_cell_are_refused_where_none_was_to_be_expected():
    empty = [Census(0.4, 10_000.0, 0, 0)._asdict()] * 2
    with pytest.raises(InputError) as caught:
        check_census(empty, 2)
    assert str(caught.value) == (
        "simulation.density: at 0.4 0.8 cells are expected in 2 volumes together, and none is there;"
        " raise simulation.density or volume_shape"
    )
    check_census(empty * 2, 2)  # none by chance where 1.6 are expected
    check_census([*empty[:1], Census(0.4, 10_000.0, 1, 1)._asdict()], 2)
    check_census([], 2)
