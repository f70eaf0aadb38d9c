"""Every preset: its masks and sketches in small, and the configuration of the whole paper."""

from pathlib import Path

import numpy as np
import pytest
from running import REPOSITORY
from scipy import ndimage
from sketchscope.configuration import organism_settings, read_yaml, resolve, simulation_settings
from sketchscope.simulate import simulate_nuclei
from sketchscope.sketch import draw
from sketchscope.tissue import simulate_tissue

PRESETS = sorted(path.stem for path in (REPOSITORY / "resources/organisms").glob("*.yaml"))
SIMULATORS = {"nuclei": simulate_nuclei, "membranes": simulate_tissue}


def settings_of(preset, scale):
    return organism_settings("mine", {"preset": preset, "images": __file__}, scale, REPOSITORY)


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
        **settings["sketch"],
    )
    assert sketch.shape == labels.shape
    assert -1 <= sketch.min() < -0.8
    assert sketch.max() > -0.3


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
        organism_settings("zebrafish-nuclei", {}, "demo", REPOSITORY)
