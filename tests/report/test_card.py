import os
import subprocess

import numpy as np
import pandas as pd
import pytest
import yaml
from reporting import SHAPES, VOXEL_SIZES, labels_of, settings_of, write_card, write_set
from sketchscope.io.images import read_image, write_image
from sketchscope.report import card


@pytest.fixture(params=[(2, ".ome.tif"), (3, ".ome.tif"), (3, ".ome.zarr")], ids=["2d", "3d", "3d-zarr"])
def made(request, tmp_path):
    dimensions, suffix = request.param
    write_set(tmp_path, dimensions, suffix=suffix)
    return write_card(tmp_path, dimensions), dimensions, suffix


def front_matter(text):
    opening, block, body = text.split("---\n", 2)
    assert opening == ""
    return yaml.safe_load(block), body


def check(folder):
    return subprocess.run(["sha256sum", "--check", "checksums.sha256"], cwd=folder, capture_output=True, text=True)


def test_table_pairs_images_and_masks(made):
    folder, dimensions, suffix = made
    table = pd.read_csv(folder / "metadata.csv")
    assert table.columns.tolist() == ["file_name", "mask_file_name", "cells"]
    assert table["file_name"].tolist() == [f"batch_00{i // 2}/volume_000{i}{suffix}" for i in range(4)]
    assert table["mask_file_name"].tolist() == [f"masks/{name}" for name in table["file_name"]]
    assert table["cells"].tolist() == [2, 1, 2, 1]
    mask = read_image(folder / table["mask_file_name"][0])
    np.testing.assert_array_equal(mask, labels_of(SHAPES[dimensions]))


def test_checksums_hold_and_tell_a_change(made):
    folder = made[0]
    done = check(folder)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert all(line.endswith(": OK") for line in lines)
    listed = {line.removesuffix(": OK") for line in lines}
    beside = {"README.md", "metadata.csv", "checksums.sha256"}
    there = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert {name for name in there - beside if ".snakemake_timestamp" not in name} == listed
    assert len(listed) >= 8
    victim = folder / sorted(listed)[0]
    victim.write_bytes(victim.read_bytes()[:-1] + b"?")
    assert check(folder).returncode == 1


def test_masks_are_linked_where_they_can_be(made, monkeypatch):
    folder, _, suffix = made
    member = card.list_members(folder / f"masks/batch_000/volume_0000{suffix}")[0]
    assert member.stat().st_nlink == 2
    assert member.samefile(folder.parent / member.relative_to(folder))

    def refuse(*_):
        raise OSError

    monkeypatch.setattr(os, "link", refuse)
    card.link_folders([folder.parent / "masks/batch_000"], folder / "copied")
    copied = folder / "copied" / member.relative_to(folder / "masks")
    assert copied.read_bytes() == member.read_bytes()
    assert copied.stat().st_nlink == 1


def test_a_second_run_replaces_what_is_there(made):
    folder, dimensions, _ = made
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    (folder / "masks/batch_009").mkdir()
    (folder / "masks/.snakemake_timestamp").touch()
    write_card(folder.parent, dimensions)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert not (folder / "masks/batch_009").exists()


def test_front_matter_is_what_hugging_face_reads(made):
    folder, dimensions, _ = made
    matter, _ = front_matter((folder / "README.md").read_text(encoding="utf-8"))
    assert matter["license"] == "other"
    assert matter["license_name"] == "terms-of-fluo-x"
    assert matter["license_link"] == "https://data.example/terms"
    assert matter["task_categories"] == ["image-segmentation"]
    assert matter["size_categories"] == ["n<1K"]
    assert {"synthetic", "nuclei", f"{dimensions}d"} <= set(matter["tags"])
    assert "hela" in matter["pretty_name"]


def test_card_names_the_start_that_was_chosen(tmp_path):
    write_set(tmp_path, 2)
    generation = {"t_start": "auto", "steps": 10, "sampler": "ddim"}
    auto = {"generation": generation, "sketch": {"sigma": "auto", "decay_um": "auto"}}
    text = (write_card(tmp_path, 2, **auto) / "README.md").read_text(encoding="utf-8")
    assert "step 300 of" in text
    assert "sigma: 0.5" in text
    assert "decay_um: 12.5" in text
    assert "auto" not in text.partition("axes: auto")[0]


TRAINED_FOR = "Training of the model: 2,500 steps in 6 min 12 s on cpu (Some CPU, fast at bf16), bfloat16."
PUBLISHED = "Training of the model: not trained in this run: a published network, epoch=9.ckpt."


@pytest.mark.parametrize(("checkpoint", "sentence"), [(None, TRAINED_FOR), ("/data/mine/epoch=9.ckpt", PUBLISHED)])
def test_card_says_how_the_model_was_trained(tmp_path, checkpoint, sentence):
    write_set(tmp_path, 2)
    diffusion = settings_of(2)["diffusion"] | {"checkpoint": checkpoint}
    assert sentence in (write_card(tmp_path, 2, diffusion=diffusion) / "README.md").read_text(encoding="utf-8")


def test_card_says_what_the_files_say(made):
    folder, dimensions, suffix = made
    _, body = front_matter((folder / "README.md").read_text(encoding="utf-8"))
    shape, size = "x".join(map(str, SHAPES[dimensions])), " x ".join(map(str, VOXEL_SIZES[dimensions]))
    form = {".ome.tif": "OME-TIFF", ".ome.zarr": "OME-Zarr"}[suffix]
    for words in (
        *("4 synthetic images of nuclei", "6 cells in all", "learnt from 3 real images", f"4, uint16, {form}"),
        *(f"| {'ZYX'[-dimensions:]}, {shape} |", f"| {size} micrometres |", "| 6, 1 to 2 per image |", "seed 5"),
        *("step 400 of 1000", "10 steps of the sampler dpm-solver++", "Somebody, Cells & <nuclei> (2020)"),
        *("The terms of Fluo-X: Cite; see https://data.example/terms", "numpy 2.0.2"),
    ):
        assert " ".join(words.split()) in " ".join(body.split())
    settings = yaml.safe_load(body.partition("```yaml\n")[2].partition("```")[0])
    assert settings["generation"]["t_start"] == 400
    assert settings.keys().isdisjoint({"cellpose", "evaluation", "images", "labels"})


def test_code_in_the_card_reads_the_images(made):
    folder = made[0]
    body = (folder / "README.md").read_text(encoding="utf-8")
    code = body.partition("```python\n")[2].partition("```")[0]
    check_pairs = "    assert image.shape == mask.shape; assert len(set(mask.flat) - {0}) == pair.cells\n"
    check_pairs += "    read.append(image)\n"
    read = []
    before = os.getcwd()
    os.chdir(folder)
    try:
        exec(code + check_pairs, {"read": read})
    finally:
        os.chdir(before)
    assert len(read) == 4


def test_images_of_ones_own_and_masks_from_files(tmp_path):
    write_set(tmp_path, 2)
    masks = {"source": "files", "labels": ["/home/me/secret.tif"], "shuffle": 0.0, "elastic": 0.0, "min_size": 1}
    text = (write_card(tmp_path, 2, source={}, masks=masks, images=["/home/me/a.tif"]) / "README.md").read_text()
    matter, body = front_matter(text)
    assert matter["license_name"] == "terms-of-the-real-images"
    assert matter["license_link"] == "#before-you-publish-this"
    assert "## Before you publish this" in body
    assert "the masks are made of segmented images (`masks.source: files`)" in body
    assert "and the masks from images that were segmented" in body
    assert "ask whoever holds the rights" in body
    assert "/home/me" not in text


@pytest.mark.parametrize(
    ("count", "category"),
    [
        (1, "n<1K"),
        (999, "n<1K"),
        (1000, "1K<n<10K"),
        (10_000, "10K<n<100K"),
        (999_999, "100K<n<1M"),
        (1_000_000, "n>1M"),
    ],
)
def test_size_category(count, category):
    matter = card.make_front_matter("a", "nuclei", {"images": count, "axes": "YX"}, {})
    assert matter["size_categories"] == [category]


@pytest.mark.parametrize("shape", [(300, 200), (9, 130, 300)])
@pytest.mark.parametrize("suffix", [".ome.tif", ".ome.zarr"])
def test_cells_are_counted_over_all_parts(tmp_path, shape, suffix):
    labels = np.random.default_rng(0).choice([0, 3, 5, 70, 1000], size=shape).astype(np.uint16)
    labels[..., -1, -1] = 9
    write_image(tmp_path / f"a{suffix}", labels, (1.0,) * len(shape))
    assert card.count_cells(card.open_image(tmp_path / f"a{suffix}")) == 5
    assert card.count_cells(np.zeros(shape, np.uint16)) == 0
