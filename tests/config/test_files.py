import os

import pytest
from sketchscope.config.files import find_file, match_files
from sketchscope.errors import InputError


def make(folder, *names):
    for name in names:
        path = os.path.join(os.fsencode(folder), os.fsencode(name))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(os.fsencode(name))


def refuse(patterns):
    with pytest.raises(InputError) as caught:
        match_files(patterns, "key")
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.fixture
def empty(tmp_path, monkeypatch):
    """An empty working directory, of which variables and ~ know the parts."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DAY", "day1")
    monkeypatch.delenv("NIGHT", raising=False)
    return tmp_path


def test_globs_cross_folders_and_absent_ones_stay_absent(folder):
    assert match_files("**/t2.tif", "key") == ["data/t2.tif"]
    assert match_files(None, "key") is None


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("data/t0.tif", "$DAY/../data/*.tif"),
        ("day1/t0.tif", "$DAY/*.tif"),
        ("day1/t0.tif", "${DAY}/t0.tif"),
        ("data/t0.tiff", "data/*.{tif,tiff}"),
        ("b2/t0.tif", "{a,b{1,2}}/*.tif"),
        ("data/a{g}.tif", "data/*.tif"),
        ("data/a{g}.tif", "data/a{g}.tif"),
        ("data/a{b,c}.tif", "data/a{b,c}.tif"),
        ("data/5²3.tif", "data/*.tif"),
        ("data [1]/t0.tif", "data [1]/t0.tif"),
        ("data [1]/t0.tif", "data [[]1]/*.tif"),
        ("$DAY.tif", "$DAY.tif"),
        ("data/t0.tif", "./data//*.tif"),
    ],
)
def test_files_are_found_under_odd_names_and_patterns(empty, name, pattern):
    make(empty, name, "day1/other.txt")
    (found,) = match_files(pattern, "key")
    assert os.path.samefile(found, name)
    assert not found.startswith("./")


def test_home_is_filled_in(empty):
    make(empty, "home/t0.tif")
    assert match_files("~/*.tif", "key") == match_files("$HOME/*.tif", "key") == [str(empty / "home/t0.tif")]


def test_numbers_decide_the_order_and_names_where_numbers_are_equal(empty):
    make(empty, "t10.tif", "t9.tif", "t09.tif", "5²3.tif", "²5.tif", "5.tif")
    assert match_files("*.tif", "key") == ["5.tif", "5²3.tif", "t09.tif", "t9.tif", "t10.tif", "²5.tif"]


def test_a_file_is_listed_once_whatever_its_names(empty):
    make(empty, "data/t0.tif", "data/t1.tif")
    (empty / "link").symlink_to("data")
    (empty / "data/t2.tif").symlink_to("t0.tif")
    os.link("data/t1.tif", "data/t3.tif")
    expected = ["data/t0.tif", "data/t1.tif"]
    for patterns in ("data/*.tif", ["data/*.tif", "./data/t*.tif"], ["data/*.tif", "link/*.tif"], "data/{t,t}*.tif"):
        assert match_files(patterns, "key") == expected
    assert match_files([str(empty / "data/t0.tif"), "data/*.tif"], "key")[1:] == expected[1:]


@pytest.mark.parametrize(
    ("name", "pattern", "reason"),
    [
        ("data/t0.TIF", "data/*.tif", "upper and lower case are not the same: data/t0.TIF is there"),
        ("Data/t0.tif", "data/*.tif", "upper and lower case are not the same: Data/t0.tif is there"),
        (
            "data [1]/t0.tif",
            "data [1]/*.tif",
            "[ ] in a pattern stand for one letter; write [[] for [: 'data [[]1]/*.tif' would match data [1]/t0.tif",
        ),
        ("data/t0.tif", "data/*.tif ", "'data/*.tif' without blanks around it would match data/t0.tif"),
        ("data/t0.tif", r"data\*.tif", r"write / in place of \: data/t0.tif is there"),
        ("data/t0.tif", "$NIGHT/*.tif", "the variable $NIGHT is not set"),
        ("data/t0.tif", "~nobody-here/*.tif", "there is no home folder ~nobody-here"),
        ("data/t0.tiff", "data/*.tif", "the folder data holds t0.tiff"),
        ("data/a/t0.tif", "date/*/*.tif", "there is no folder date"),
        ("data/a/t0.tif", "data/b/*.tif", "there is no folder data/b"),
        ("data/.hidden", "data/*.tif", "the folder data holds no visible file"),
        ("data/a/t0.tif", "data/*", "it matches folders only, such as data/a"),
        ("data/t0.TIFF", "data", "it is a folder, add a pattern: data/*.TIFF"),
        ("a.ome.zarr/0", "a.ome.zarr", "a.ome.zarr is an OME-Zarr, which is not read; save its images as TIFF"),
        ("a.ome.zarr/0", "*.zarr", "a.ome.zarr is an OME-Zarr, which is not read; save its images as TIFF"),
    ],
)
def test_a_glob_that_finds_nothing_says_why(empty, name, pattern, reason):
    make(empty, name)
    message = refuse(pattern)
    assert message.startswith(f"key: found no file that matches '{pattern}'")
    assert message.endswith(f" in {empty}; {reason}")


def test_what_a_pattern_was_read_as_is_told(empty):
    make(empty, "day1/t0.jpg")
    assert refuse("$DAY/*.tif").startswith("key: found no file that matches '$DAY/*.tif' (day1/*.tif) in ")


@pytest.mark.parametrize(
    ("name", "shown"),
    [(b"data/5\xb5m.tif", r"data/5\xb5m.tif"), (b"d\xe4ta/t.tif", r"d\xe4ta/t.tif"), (b"a/t\n1.tif", r"a/t\x0a1.tif")],
)
def test_names_that_no_table_can_hold_are_refused(empty, name, shown):
    make(empty, name, "data/t1.tif")
    assert refuse("*/*.tif") == (
        f"key: the name of {shown} holds what is no UTF-8 or no printable letter; rename the file"
    )


def test_a_link_that_leads_nowhere_is_refused(empty):
    make(empty, "t1.tif")
    (empty / "t0.tif").symlink_to("gone/t0.tif")
    assert refuse("*.tif") == "key: t0.tif is a link to gone/t0.tif, which does not exist"


def test_a_single_file_is_no_pattern(empty):
    make(empty, "home/epoch=[9].ckpt", "a{b}.ckpt")
    assert find_file("~/epoch=[9].ckpt", "key") == str(empty / "home/epoch=[9].ckpt")
    with pytest.raises(InputError) as caught:
        find_file("epoch=[8].ckpt", "key", "a file or m")
    assert str(caught.value) == f"key: found 'epoch=[8].ckpt', no file in {empty}; allowed is a file or m"
    with pytest.raises(InputError, match=r"holds \{, which Snakemake takes for a wildcard; rename it"):
        find_file("a{b}.ckpt", "key")
