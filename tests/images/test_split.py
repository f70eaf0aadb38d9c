import pytest
from sketchscope.errors import InputError
from sketchscope.images.split import parse_ordinals, split_images


def split_alone(count, train_images, test_images):
    """Split images each of which is a group of its own."""
    return split_images([f"{ordinal}.tif" for ordinal in range(count)], train_images, test_images)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0", [0]), ("0-3", [0, 1, 2, 3]), (" 7, 2 ,0-1 ", [0, 1, 2, 7]), ("2-3,3", [2, 3]), (4, [4])],
)
def test_ordinals(text, expected):
    assert parse_ordinals(text, 8, "train_images") == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", 'train_images: found "", allowed are ordinals from 0 such as 0-11'),
        ("a", "allowed are ordinals"),
        ("1,,2", "allowed are ordinals"),
        ("-1", "allowed are ordinals"),
        ("1-", "allowed are ordinals"),
        ("1-2-3", "allowed are ordinals"),
        ("1.5", "allowed are ordinals"),
        ("3-1", "from its lower to its upper end"),
        ("5-8", 'train_images: found "5-8", but there are 8 images, 0 to 7'),
    ],
)
def test_bad_ordinals(text, message):
    with pytest.raises(InputError, match=message):
        parse_ordinals(text, 8, "train_images")


@pytest.mark.parametrize(
    ("count", "train", "test", "expected"),
    [
        (1, None, None, ["both"]),
        (1, "0", "0", ["both"]),
        (2, None, None, ["train", "test"]),
        (10, None, None, ["train"] * 8 + ["test"] * 2),
        (4, None, "0", ["test", "train", "train", "train"]),
        (4, "1", "2-3", [None, "train", "test", "test"]),
        (4, "0", None, ["train", None, None, "test"]),
    ],
)
def test_split(count, train, test, expected):
    assert split_alone(count, train, test) == expected


def test_split_that_mixes_or_starves_is_refused():
    with pytest.raises(InputError, match="train_images and test_images: share 2, 3 of 5 images"):
        split_alone(5, "0-3", "2-4")
    with pytest.raises(InputError, match=r"share 4 of 5 images; .* null means the last fifth"):
        split_alone(5, "0-4", None)
    with pytest.raises(InputError, match="test_images: takes all 5 images"):
        split_alone(5, None, "0-4")


@pytest.mark.parametrize(
    ("count", "kept"),
    [(2, 1), (3, 1), (4, 1), (5, 1), (9, 1), (10, 2), (14, 2), (15, 3), (19, 3), (20, 4), (24, 4), (100, 20)],
)
def test_the_last_fifth_is_tested_on_and_at_least_one(count, kept):
    assert split_alone(count, None, None) == ["train"] * (count - kept) + ["test"] * kept
    assert split_alone(count, "0", None) == ["train"] + [None] * (count - kept - 1) + ["test"] * kept


@pytest.mark.parametrize("count", [2, 5, 10, 24])
def test_images_of_one_group_are_split_like_groups(count):
    assert split_images(["movie.tif"] * count, None, None) == split_alone(count, None, None)


def test_split_is_between_groups_where_there_are_several():
    """Two sequences of 92 frames: half of the images, and not the last fifth, which would cut the second one."""
    assert split_images(["01"] * 92 + ["02"] * 92, None, None) == ["train"] * 92 + ["test"] * 92
    groups = [f"{number:02d}" for number in range(11) for _ in range(3)]
    assert split_images(groups, None, None) == ["train"] * 27 + ["test"] * 6
    mixed = ["b", "a", "b", "a", "c"]  # in the order in which they come
    assert split_images(mixed, None, None) == ["train"] * 4 + ["test"]
    assert split_images(["a", "b", "a"], None, None) == ["train", "test", "train"]


def test_positions_win_over_groups():
    assert split_images(["a", "a", "b"], None, "1") == ["train", "test", "train"]
    assert split_images(["a", "a", "b"], "0", None) == ["train", None, "test"]
