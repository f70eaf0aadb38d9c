"""Every preset: its masks and sketches in small, and the configuration of the whole paper."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from running import REPOSITORY, run_script
from scipy import ndimage
from simulating import mask_of, sketch_of
from sketchscope.config.resolve import resolve, resolve_organism
from sketchscope.config.views import simulation_settings
from sketchscope.config.yaml_files import read_yaml
from sketchscope.errors import InputError
from sketchscope.images.prepare import Preparation, Target, prepare_images
from sketchscope.images.raw_files import RawImages
from sketchscope.io.images import list_image_files, read_image
from sketchscope.sketches.draw import find_nearest_other

PRESETS = sorted(path.stem for path in (REPOSITORY / "resources/organisms").glob("*.yaml"))


def settings_of(preset, scale):
    return resolve_organism("mine", {"preset": preset, "images": __file__}, scale, REPOSITORY)


def small_geometry(settings):
    """A volume of a few cells along each axis."""
    voxel_size = np.array(settings["voxel_size"] or [0.5] * settings["dimensions"])
    wanted = np.array([5, 5, 5])[-len(voxel_size) :] * settings["cell_diameter"]
    shape = np.clip(np.rint(wanted / voxel_size), 3, 200).astype(int)
    if settings["simulation"].get("layer_um") and settings["volume_shape"]:
        shape[0] = settings["volume_shape"][0]  # the density of a layer is that of a stack of this height
    return shape, voxel_size


@pytest.mark.parametrize("preset", PRESETS)
def test_mask_and_sketch(preset):
    settings = settings_of(preset, "demo")
    shape, voxel_size = small_geometry(settings)
    labels = mask_of(settings, shape, voxel_size, np.random.default_rng(1))
    assert labels.shape == tuple(shape)
    assert labels.max() >= 2
    assert list(np.unique(labels[labels > 0])) == list(range(1, labels.max() + 1))
    for label, box in enumerate(ndimage.find_objects(labels), start=1):
        assert ndimage.label(labels[box] == label, np.ones((3,) * labels.ndim))[1] == 1
    grey, rng = np.linspace(-0.5, 0.9, 50), np.random.default_rng(1)
    sketch = sketch_of(settings, labels, voxel_size, grey, rng, sigma=1.0, decay_um=50.0)
    assert sketch.shape == labels.shape
    assert -1 <= sketch.min() < -0.7
    assert sketch.max() > -0.3


@pytest.mark.parametrize("preset", ["nuclei-2d", "nuclei-3d", "membranes-2d", "membranes-3d"])
def test_scripts(tmp_path, preset):
    """From images that the preset's own sketches stand in for, to masks and sketches."""
    settings = settings_of(preset, "demo")
    shape, voxel_size = small_geometry(settings)
    for frame in range(2):
        rng = np.random.default_rng(frame)
        labels = mask_of(settings, shape, voxel_size, rng)
        sketch = sketch_of(settings, labels, voxel_size, np.full(1, 0.5), rng, decay_um=50.0)
        image = sketch + rng.normal(0, 0.02, shape)
        tifffile.imwrite(tmp_path / f"{frame}.tif", (1000 * (image + 2)).astype(np.uint16), photometric="minisblack")
    images, manifest, cells = tmp_path / "images", tmp_path / "manifest.csv", tmp_path / "rough/cells.csv"
    depth, rough = tmp_path / "rough/depth.json", tmp_path / "rough/labels"
    files, dimensions = [tmp_path / "0.tif", tmp_path / "1.tif"], settings["dimensions"]
    raw, preparation = RawImages(files, "auto", voxel_size), Preparation(None, None, (0.1, 99.9), 1.0, None)
    prepare_images(raw, Target(images, tmp_path / "labels", manifest), dimensions, preparation)
    common = {"stain": settings["stain"], "cell_diameter": settings["cell_diameter"], "seed": 1}
    volumes = {"volume_shape": None, "volume_format": "tiff", "volumes": {"volume_0000": 0, "volume_0001": 1}}
    run_script(
        "segment_classical",
        tmp_path,
        inputs={"images": images, "manifest": manifest},
        outputs={"predictions": rough},
        params=common | {"settings": settings["classical"], "split": "typical"},
    )
    run_script(
        "measure_cells",
        tmp_path,
        inputs={"images": images, "manifest": manifest, "rough": rough},
        outputs={"cells": cells, "depth": depth},
        params=common | {"membrane_um": settings["sketch"].get("membrane_um")},
    )
    found = pd.read_csv(cells)
    assert found["grey"].median() > found["background"].mean() + 0.5
    run_script(
        "simulate_masks",
        tmp_path,
        inputs={"manifest": manifest, "fit": []},
        outputs={"masks": tmp_path / "masks", "census": tmp_path / "census.json"},
        params=common
        | volumes
        | {"settings": simulation_settings(settings), "simulator": settings["simulation"]["simulator"]},
    )
    run_script(
        "draw_sketches",
        tmp_path,
        inputs={"masks": tmp_path / "masks", "manifest": manifest, "cells": cells, "depth": depth, "choice": []},
        outputs={"sketches": tmp_path / "drawn"},
        params=common | volumes | {"settings": settings["sketch"]},
    )
    masks = [read_image(path) for path in list_image_files(tmp_path / "masks").values()]
    sketches = [read_image(path) for path in list_image_files(tmp_path / "drawn").values()]
    assert [mask.shape for mask in masks] == [sketch.shape for sketch in sketches] == [tuple(shape)] * 2
    assert (masks[0] != masks[1]).any()
    for mask, sketch in zip(masks, sketches, strict=True):
        stained = mask > 0 if settings["stain"] == "nuclei" else find_nearest_other(mask, 0.1, voxel_size) != mask
        assert sketch[stained].mean() > sketch[~stained].mean() + 0.3


def resolve_file(name, *, monkeypatch, folder):
    """The organisms of a file in resources, with empty files where it wants the user's."""
    monkeypatch.chdir(folder)
    content = read_yaml(REPOSITORY / "resources" / name)
    for section in filter(None, content["organisms"].values()):
        if "images" in section:
            file = Path(section["images"].replace("*", "t000"))
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
    return resolve(content, REPOSITORY)["organisms"]


def test_the_paper(tmp_path, monkeypatch):
    """Seven organisms, drawn and generated by the published recipe, beside a generalist and the classical method."""
    organisms = resolve_file("paper.yaml", monkeypatch=monkeypatch, folder=tmp_path)
    assert len(organisms) == 7
    for organism in organisms.values():
        assert organism["volumes"] == 200
        assert organism["diffusion"]["timesteps"] == 1000
        recipe = {"t_start": 400, "sampler": "ddpm", "steps": None, "clip": False}
        assert recipe.items() <= organism["generation"].items()
        assert {"sigma": 1, "sigma_unit": "voxel", "background": -1}.items() <= organism["sketch"].items()
        assert organism["sketch"].get("grey") == ("uniform" if organism["stain"] == "nuclei" else None)
        assert organism["gamma"] == 1
        assert organism["baselines"] == ["classical", "cyto3"]
        assert organism["train_images"] is organism["test_images"] is None, "split by sequence"
    sources = {name: organism["masks"]["source"] for name, organism in organisms.items()}
    segmented = {"zebrafish-nuclei": "classical", "zebrafish-membranes": "cellpose"}
    assert sources == dict.fromkeys(organisms, "simulated") | segmented
    borders = {name: organism["evaluation"]["border"] for name, organism in organisms.items()}
    assert borders == dict.fromkeys(organisms, 0) | {"elegans": 50, "gowt1": 50, "hela": 25}


def test_the_experiment_with_segmented_images(tmp_path, monkeypatch):
    organisms = resolve_file("paper-segmented.yaml", monkeypatch=monkeypatch, folder=tmp_path)
    sources = {name.removesuffix("-segmented"): organism["masks"]["source"] for name, organism in organisms.items()}
    assert sources == {
        **dict.fromkeys(("elegans", "gowt1", "hela"), "silver"),
        **{"zebrafish-nuclei": "classical", "zebrafish-membranes": "cellpose"},
    }
    for organism in organisms.values():
        assert (organism["generation"]["t_start"], organism["sketch"]["sigma"]) == ("auto", "auto"), "the whole grid"
        assert organism["sweep"]["t_start"] == list(range(100, 1000, 100))
        assert organism["sweep"]["sigma"] == [0, 1, 2]
        assert organism["sweep"]["masks"] == ("silver" if organism["masks"]["source"] == "silver" else "rough")
        assert organism["generation"]["sampler"] == "ddpm"
        assert organism["generation"]["clip"] is False
        assert organism["gamma"] == 1, "PSNR of other intensities is no PSNR of the paper"
        assert organism["sketch"]["sigma_unit"] == "voxel"
        assert organism["train_images"] is organism["test_images"] is None


def test_zebrafish_without_images_is_one_sentence():
    with pytest.raises(InputError, match=r"organisms\.zebrafish-nuclei: found neither of images \(your files\)"):
        resolve_organism("zebrafish-nuclei", {}, "demo", REPOSITORY)
