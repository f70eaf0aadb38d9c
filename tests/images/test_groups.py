import pytest
from sketchscope.errors import InputError
from sketchscope.images.groups import group_files

FILES = ["day1/a_t0.tif", "day1/a_t1.tif", "day2/b_t0.tif"]


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        (None, FILES),
        (r"(day\d)/", ["day1", "day1", "day2"]),
        (r"/([ab])_", ["a", "a", "b"]),
        (["x", "y", "x"], ["x", "y", "x"]),
    ],
)
def test_groups_of_files(groups, expected):
    assert group_files(FILES, groups) == expected


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ("(day", "mine: found '(day', which is no regular expression (missing ), unterminated subpattern"),
        ("day1", "mine: found 'day1' with 0 capture groups; allowed is one, such as (day[0-9]+)"),
        ("(day)(1)", "mine: found '(day)(1)' with 2 capture groups; allowed is one"),
        ("(day1)", "mine: '(day1)' fits 2 of 3 image files, not day2/b_t0.tif; it must fit all"),
        ("(week)", "mine: '(week)' fits 0 of 3 image files, not day1/a_t0.tif; it must fit all"),
        ("day1/a|(day2)", "fits 1 of 3 image files"),
        (["a", "b"], "mine: found 2 names for 3 image files; allowed is one for each file"),
    ],
)
def test_groups_that_do_not_fit_are_refused_in_one_sentence(groups, message):
    with pytest.raises(InputError) as caught:
        group_files(FILES, groups, "mine")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
