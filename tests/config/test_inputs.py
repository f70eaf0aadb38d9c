import pytest
from configuring import resolve_one
from sketchscope.config.inputs import match_files
from sketchscope.errors import InputError


def test_globs_cross_folders_and_absent_ones_stay_absent(folder):
    assert match_files("**/t2.tif", "key") == ["data/t2.tif"]
    assert match_files(None, "key") is None


def test_a_checkpoint_that_does_not_exist_is_named(folder, own):
    with pytest.raises(InputError, match=r"^organisms\.mine\.diffusion\.checkpoint: found no file"):
        resolve_one(own | {"diffusion": {"checkpoint": "no[1].ckpt"}})
    (folder / "epoch=[9].ckpt").touch()
    settings = resolve_one(own | {"diffusion": {"checkpoint": "epoch=[9].ckpt"}})
    assert settings["diffusion"]["checkpoint"] == "epoch=[9].ckpt"


@pytest.mark.parametrize("groups", [None, r"(t)\d", ["one", "two", "two"]])
def test_groups_may_be_a_pattern_or_a_name_for_each_file(folder, own, groups):
    assert resolve_one(own | {"groups": groups})["groups"] == groups


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ("t1", "'t1' with 0 capture groups"),
        (r"(t1)", "fits 2 of 3 image files, not data/t2.tif"),
        (["a"], "1 names for 3"),
    ],
)
def test_groups_that_do_not_fit_the_files_are_refused_before_any_job(folder, own, groups, message):
    with pytest.raises(InputError, match=r"^organisms\.mine\.groups: ") as caught:
        resolve_one(own | {"groups": groups})
    assert message in str(caught.value)
