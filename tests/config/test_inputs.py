import pytest
from configuring import resolve_one
from sketchscope.errors import InputError


def test_a_checkpoint_that_does_not_exist_is_named(folder, own):
    with pytest.raises(InputError, match=r"^organisms\.mine\.diffusion\.checkpoint: found 'no\[1\]\.ckpt', no file"):
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


def refuse(section):
    with pytest.raises(InputError) as caught:
        resolve_one(section)
    return str(caught.value)


def test_files_that_are_named_like_masks_are_no_images(folder, own):
    for name in ("t1_masks.tif", "t2_seg.npy", "t2_cp_masks.png", "t10-label.tif"):
        (folder / "data" / name).touch()
    settings = resolve_one(own | {"images": "data/t[0-9]*"})
    assert settings["images"] == ["data/t1.tif", "data/t2.tif", "data/t10.tif"]
    assert settings["file_warnings"] == [
        "left out of the images, because named like masks: data/t1_masks.tif, data/t2_cp_masks.png, data/t2_seg.npy and"
        " 1 more"
    ]
    settings = resolve_one(own | {"labels": ["data/*_masks.tif", "data/*label.tif"]})
    assert settings["labels"] == {"data/t1.tif": "data/t1_masks.tif", "data/t10.tif": "data/t10-label.tif"}
    for pattern in ("data/*_masks.tif", "data/t1_masks.tif"):
        assert refuse(own | {"images": ["data/t?.tif", pattern]}) == (
            f"organisms.mine.images: '{pattern}' matches data/t1_masks.tif, named like masks and not like images;"
            " rename what is an image"
        )


def test_folders_of_masks_that_a_glob_reaches_hold_no_images(folder, own):
    for name in ("masks/t1.tif", "01_GT/SEG/t2.tif"):
        (folder / "data" / name).parent.mkdir(parents=True)
        (folder / "data" / name).touch()
    assert resolve_one(own | {"images": "data/**/*.tif"})["images"] == ["data/t1.tif", "data/t2.tif", "data/t10.tif"]
    assert resolve_one(own | {"images": "data/masks/*.tif"})["images"] == ["data/masks/t1.tif"], "named on purpose"


def test_an_image_under_two_names_is_one_image(folder, own):
    (folder / "data/z.tif").symlink_to("t1.tif")
    settings = resolve_one(own | {"images": ["data/*.tif", "./data/t*.tif"]})
    assert settings["images"] == ["data/t1.tif", "data/t2.tif", "data/t10.tif"]
    assert settings["file_warnings"] == ["data/z.tif is the same file as data/t1.tif, which is taken once"]


def test_images_are_no_labels(folder, own):
    (folder / "truth").symlink_to("data")
    for key, section in (("labels", {}), ("masks.labels", {"masks": {"source": "files", "labels": "data/t2.tif"}})):
        section = section or {"labels": "data/t2.tif"}
        assert refuse(own | section) == (
            f"organisms.mine.{key}: data/t2.tif is one of the images; labels are other files, with one number for each"
            " cell"
        )
    assert refuse(own | {"labels": "truth/t2.tif"}) == (
        "organisms.mine.labels: truth/t2.tif is the same file as the image data/t2.tif; labels are other files, with"
        " one number for each cell"
    )


def test_labels_that_are_paired_by_order_alone_are_told_of(folder, own):
    for name in ("one.tif", "two.tif"):
        (folder / name).touch()
    settings = resolve_one(own | {"images": ["data/t1.tif", "data/t2.tif"], "labels": ["two.tif", "one.tif"]})
    assert settings["labels"] == {"data/t1.tif": "two.tif", "data/t2.tif": "one.tif"}
    assert settings["file_warnings"] == [
        "images and labels are paired in their order, because their names share nothing: two.tif with data/t1.tif, and"
        " so on"
    ]


def test_names_of_models_are_filled_in(folder, own, monkeypatch):
    monkeypatch.setenv("MODELS", "models")
    (folder / "models").mkdir()
    for name in ("ours", "theirs.ckpt"):
        (folder / "models" / name).touch()
    section = {"masks": {"source": "cellpose", "model": "$MODELS/ours"}}
    settings = resolve_one(own | section | {"diffusion": {"checkpoint": "$MODELS/theirs.ckpt"}})
    assert settings["masks"]["model"] == "models/ours"
    assert settings["diffusion"]["checkpoint"] == "models/theirs.ckpt"
