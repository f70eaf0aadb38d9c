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
