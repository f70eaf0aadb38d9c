import pytest
from sketchscope.errors import InputError
from sketchscope.images.pairing import is_named_like_mask, pair_labels


def numbered(pattern, numbers):
    return [pattern.format(number) for number in numbers]


@pytest.mark.parametrize(
    ("image", "label"),
    [
        ("data/t{:03d}.tif", "truth/man_seg{:03d}.tif"),
        ("data/t{}.tif", "truth/t{}.tif"),
        ("data/t{}.tif", "truth/t{:05d}_masks.png"),
        ("data/a{}.ome.tif", "data/a{}_cp_masks.png"),
        ("img_{}.tif", "labels_{}.tif"),
        ("img{}.tif", "mask{}.tif"),
        ("t{}_ch1.tif", "t{}_labels.tif"),
        ("t{}.tif", "t{}_nuclei_masks.tif"),
        ("20230101_t{}.tif", "seg{}.tif"),
        ("exp7_t{}_raw.tif", "exp7_{}_gt.tif"),
        ("day1_cell{}.tif", "cell{}_day1.tif"),
        ("sample (copy {}).tif", "Sample (copy {})-Label.tif"),
        ("a{{{}}}.tif", "a{{{}}}_masks.tif"),
    ],
)
def test_names_that_share_numbers_are_paired(image, label):
    images = numbered(image, range(8, 12))
    for numbers in (range(8, 12), [11, 9, 8, 10], [9, 11], [10]):
        pairs, by_order = pair_labels(images, numbered(label, numbers), "key")
        assert pairs == {image.format(number): label.format(number) for number in sorted(numbers)}
        assert list(pairs) == numbered(image, sorted(numbers)), "in the order of the images"
        assert not by_order


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        (["alpha.tif", "beta.tif"], ["beta_labels.tif", "alpha_masks.tif"]),
        (["wt1.tif", "ko1.tif"], ["ko1_mask.tif", "wt1_mask.tif"]),
        (["day1_cell2.tif", "day2_cell1.tif"], ["cell1_day2.tif", "cell2_day1.tif"]),
    ],
)
def test_words_decide_and_not_the_order(images, labels):
    assert pair_labels(images, labels, "key") == (dict(zip(images, labels[::-1], strict=True)), False)


def test_folders_decide_where_names_are_the_same():
    images = ["data/01/t000.tif", "data/01/t001.tif", "data/02/t000.tif", "data/02/t001.tif"]
    labels = ["data/02_GT/SEG/man_seg001.tif", "data/01_GT/SEG/man_seg000.tif"]
    assert pair_labels(images, labels, "key")[0] == {images[0]: labels[1], images[3]: labels[0]}
    images, labels = ["a/images/t.tif", "b/images/t.tif"], ["b/masks/t.tif"]
    assert pair_labels(images, labels, "key")[0] == {images[1]: labels[0]}


@pytest.mark.parametrize(
    ("images", "labels", "reason"),
    [
        (numbered("t{:03d}.tif", range(5)), numbered("man_seg{:03d}.tif", range(1, 6)), "man_seg005.tif fits none of"),
        (numbered("t{}.tif", range(5)), numbered("seg{}.tif", range(5, 10)), "seg5.tif fits none of them by its name"),
        (numbered("t{}.tif", range(3)), numbered("t{}_masks.tif", range(4)), "t3_masks.tif fits none of them by its"),
        (["a.tif", "b.tif"], ["a_masks.tif", "c_masks.tif"], "c_masks.tif fits none of them by its name or number"),
        (["wt1.tif", "wt2.tif", "ko1.tif"], ["ko2_mask.tif"], "ko2_mask.tif fits none of them by its name or number"),
        (["1_5.tif", "2_6.tif"], ["3_5.tif", "3_6.tif"], "3_5.tif fits none of them by its name or number"),
        (
            ["t5_ch1.tif", "t5_ch2.tif", "t6_ch1.tif"],
            ["t5_mask.tif"],
            "t5_mask.tif fits both t5_ch1.tif and t5_ch2.tif",
        ),
        (["01/t0.tif", "02/t0.tif"], ["truth/t0.tif"], "truth/t0.tif fits both 01/t0.tif and 02/t0.tif"),
        (["t0.tif"], ["t0_seg.npy", "t0_masks.tif"], "both t0_seg.npy and t0_masks.tif fit t0.tif"),
        (["alpha.tif", "beta.tif", "gamma.tif"], ["one.tif", "two.tif"], "one.tif fits none of them by its name"),
    ],
)
def test_names_that_contradict_each_other_are_refused(images, labels, reason):
    with pytest.raises(InputError) as caught:
        pair_labels(images, labels, "key")
    message = str(caught.value)
    assert message.startswith(f"key: found {len(labels)} files for {len(images)} image files, but {reason}")
    stem = images[0].rpartition("/")[2].removesuffix(".tif")
    assert message.endswith(f"; name label files after their images, such as {stem}_labels.tif for {stem}.tif")


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        (["alpha.tif", "beta.tif"], ["first.tif", "second.tif"]),
        (["t1.tif", "t2.tif"], ["first.tif", "second.tif"]),
        (["stack_2023.tif"], ["truth_v2.tif"]),
        (["img.tif"], ["mask.tif"]),
    ],
)
def test_names_that_share_nothing_keep_their_order_and_that_is_told(images, labels):
    assert pair_labels(images, labels, "key") == (dict(zip(images, labels, strict=True)), True)


def test_many_files_are_paired():
    images, labels = numbered("s1_t{}.tif", range(3000)), numbered("{}_mask.tif", range(3000))
    assert pair_labels(images, labels, "key") == (dict(zip(images, labels, strict=True)), False)


@pytest.mark.parametrize(
    "name",
    [
        *("t0_masks.tif", "t0_mask.ome.tif", "t0_seg.npy", "t0_cp_masks.png", "t0_labels.tif", "t0-Label.TIFF"),
        *("t0 mask.tif", "man_seg000.tif", "mask_t0.tif", "mask000.tif", "labels_t0.tif", "t0_cp_outlines.txt"),
        *("t0_flows.tif", "masks.tif", "man_track001.tif", "0.5um_masks.tif"),
    ],
)
def test_names_of_masks(name):
    assert is_named_like_mask(name)
    assert is_named_like_mask(f"some/folder/{name}", 2)


@pytest.mark.parametrize("name", ["t0.tif", "unmasked.tif", "label-free_t0.tif", "segment3.tif", "flask.tif", "gt.tif"])
def test_names_of_images(name):
    assert not is_named_like_mask(name)
    assert not is_named_like_mask(f"masks/{name}"), "a folder that is named on purpose counts for nothing"
    assert not is_named_like_mask(f"masks/{name}", 1)


@pytest.mark.parametrize("folder", ["masks", "Labels", "01_GT/SEG", "ground_truth", "02_ST"])
def test_folders_of_masks_that_a_glob_has_reached(folder):
    assert is_named_like_mask(f"data/{folder}/t0.tif", 1)
