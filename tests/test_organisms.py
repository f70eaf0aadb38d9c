"""Every preset: its masks and sketches in small, and the configuration of the whole paper."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from running import REPOSITORY, run_script
from scipy import ndimage
from sketchscope.config.layers import read_yaml
from sketchscope.config.resolve import resolve, resolve_organism
from sketchscope.config.views import simulation_settings
from sketchscope.images.prepare import Preparation, Target, prepare_images
from sketchscope.images.raw_files import RawImages
from sketchscope.io.images import image_files, read_image
from sketchscope.masks.nuclei import simulate_nuclei
from sketchscope.masks.tissue import simulate_tissue
from sketchscope.sketches.draw import draw, nearest_other

PRESETS = sorted(path.stem for path in (REPOSITORY / "resources/organisms").glob("*.yaml"))
SIMULATORS = {"nuclei": simulate_nuclei, "membranes": simulate_tissue}


def settings_of(preset, scale):
    return resolve_organism("mine", {"preset": preset, "images": __file__}, scale, REPOSITORY)


def small_geometry(settings):
    """A volume of a few cells along each axis."""
    voxel_size = np.array(settings["voxel_size"] or [0.5] * settings["dimensions"])
    wanted = np.array([5, 5, 5])[-len(voxel_size) :] * settings["cell_diameter"]
    return np.clip(np.rint(wanted / voxel_size), 3, 200).astype(int), voxel_size


@pytest.mark.parametrize("preset", PRESETS)
def test_mask_and_sketch(preset):
    settings = settings_of(preset, "demo")
    shape, voxel_size = small_geometry(settings)
    labels = SIMULATORS[settings["stain"]](
        shape,
        voxel_size,
        diameter=settings["cell_diameter"],
        rng=np.random.default_rng(1),
        **simulation_settings(settings),
    )
    assert labels.shape == tuple(shape)
    assert labels.max() >= 2
    assert list(np.unique(labels[labels > 0])) == list(range(1, labels.max() + 1))
    for label, box in enumerate(ndimage.find_objects(labels), start=1):
        assert ndimage.label(labels[box] == label, np.ones((3,) * labels.ndim))[1] == 1
    measured = np.linspace(-0.5, 0.9, 50)
    sketch = draw(
        labels,
        voxel_size,
        stain=settings["stain"],
        measured=measured,
        measured_background=-0.9,
        rng=np.random.default_rng(1),
        **settings["sketch"] | {"sigma": 1.0, "decay_um": 50.0},
    )
    assert sketch.shape == labels.shape
    assert -1 <= sketch.min() < -0.8
    assert sketch.max() > -0.3


@pytest.mark.parametrize("preset", ["nuclei-2d", "nuclei-3d", "membranes-2d", "membranes-3d"])
def test_scripts(tmp_path, preset):
    """From images that the preset's own sketches stand in for, to masks and sketches."""
    settings = settings_of(preset, "demo")
    shape, voxel_size = small_geometry(settings)
    simulate, simulation = SIMULATORS[settings["stain"]], simulation_settings(settings)
    for frame in range(2):
        rng = np.random.default_rng(frame)
        labels = simulate(shape, voxel_size, diameter=settings["cell_diameter"], rng=rng, **simulation)
        drawn = {"stain": settings["stain"], "measured": np.full(1, 0.5), "measured_background": -0.8}
        drawn |= settings["sketch"] | {"decay_um": 50.0}
        image = draw(labels, voxel_size, rng=rng, **drawn) + rng.normal(0, 0.02, shape)
        tifffile.imwrite(tmp_path / f"{frame}.tif", (1000 * (image + 2)).astype(np.uint16), photometric="minisblack")
    images, manifest, cells = tmp_path / "images", tmp_path / "manifest.csv", tmp_path / "sketches/cells.csv"
    depth = tmp_path / "sketches/depth.json"
    files, dimensions = [tmp_path / "0.tif", tmp_path / "1.tif"], settings["dimensions"]
    raw, preparation = RawImages(files, "auto", voxel_size), Preparation(None, None, (0.1, 99.9), 1.0, None)
    prepare_images(raw, Target(images, tmp_path / "labels", manifest), dimensions, preparation)
    common = {"stain": settings["stain"], "cell_diameter": settings["cell_diameter"], "seed": 1}
    volumes = {"volume_shape": None, "volume_format": "tiff", "volumes": {"volume_0000": 0, "volume_0001": 1}}
    measured = {"settings": settings["classical"], "membrane_um": settings["sketch"]["membrane_um"]}
    run_script(
        "measure_cells",
        tmp_path,
        inputs={"images": images, "manifest": manifest},
        outputs={"cells": cells, "depth": depth},
        params=common | measured,
    )
    found = pd.read_csv(cells)
    assert found["grey"].median() > found["background_mean"].mean() + 0.5
    run_script(
        "simulate_masks",
        tmp_path,
        inputs={"manifest": manifest, "fit": []},
        outputs={"masks": tmp_path / "masks"},
        params=common | volumes | {"settings": simulation},
    )
    run_script(
        "draw_sketches",
        tmp_path,
        inputs={"masks": tmp_path / "masks", "manifest": manifest, "cells": cells, "depth": depth, "choice": []},
        outputs={"sketches": tmp_path / "drawn"},
        params=common | volumes | {"settings": settings["sketch"]},
    )
    masks = [read_image(path) for path in image_files(tmp_path / "masks").values()]
    sketches = [read_image(path) for path in image_files(tmp_path / "drawn").values()]
    assert [mask.shape for mask in masks] == [sketch.shape for sketch in sketches] == [tuple(shape)] * 2
    assert (masks[0] != masks[1]).any()
    for mask, sketch in zip(masks, sketches, strict=True):
        stained = mask > 0 if settings["stain"] == "nuclei" else nearest_other(mask, 0.1, voxel_size) != mask
        assert sketch[stained].mean() > sketch[~stained].mean() + 0.3


def test_the_paper(tmp_path, monkeypatch):
    """Seven organisms, T = 1000, t_start = 400, sigma = 1, 200 volumes each."""
    monkeypatch.chdir(tmp_path)
    paper = read_yaml(REPOSITORY / "resources/paper.yaml")
    for section in paper["organisms"].values():
        if "images" in section:
            file = Path(section["images"].replace("*", "t000"))
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
    organisms = resolve(paper, REPOSITORY)["organisms"]
    assert len(organisms) == 7
    for organism in organisms.values():
        assert organism["volumes"] == 200
        assert organism["sketch"]["sigma"] == 1
        assert organism["diffusion"]["timesteps"] == 1000
        assert organism["generation"]["t_start"] == 400
        assert organism["generation"]["sampler"] == "ddpm"


def test_zebrafish_without_images_is_one_sentence():
    with pytest.raises(Exception, match=r"organisms\.zebrafish-nuclei: found neither of images \(your files\)"):
        resolve_organism("zebrafish-nuclei", {}, "demo", REPOSITORY)
