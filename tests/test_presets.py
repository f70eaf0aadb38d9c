"""Every preset from its data set, served with its true layout, to its report, in a few minutes of small numbers."""

import io
import json
import mmap
import os
import shutil
import zipfile

import numpy as np
import pandas as pd
import pytest
import tifffile
import yaml
from running import REPOSITORY, snakemake
from serving import sha256
from simulating import mask_of, sketch_of
from sketchscope.config.resolve import resolve_organism

pytestmark = pytest.mark.workflow

PRESETS = sorted(path.stem for path in (REPOSITORY / "resources/organisms").glob("*.yaml"))
SOURCES = yaml.safe_load((REPOSITORY / "resources/datasets.yaml").read_text(encoding="utf-8"))["datasets"]

# what is fetched; the others are the user's own files
PUBLISHED = {
    "arabidopsis": "willis-2016",
    "cho": "Fluo-N3DH-CHO",
    "elegans": "Fluo-N3DH-CE-frames",
    "gowt1": "Fluo-N2DH-GOWT1",
    "hela": "Fluo-N2DL-HeLa",
    "tribolium": "Fluo-N3DL-TRIC",
}
FRAMES = range(3)  # of a sequence of which all are fetched
LAST = 64  # frame of Fluo-N3DL-TRIC
WHOLE = (5 << 30) + 12345  # bytes of it here, of the challenge's 22 GB

TINY = {
    **{"volumes": 2, "volumes_per_job": 2, "train_images": None, "test_images": None},
    "diffusion": {"channels": [8, 16], "steps": 20, "report_every": 10, "batch_size": 2},
    "generation": {"steps": 4},
    "sweep": {"images": 2},
    "cellpose": {"epochs": 3, "images_per_epoch": 2, "batch_size": 2, "crop": 32},
    "evaluation": {"border": 0},
}


SHAPES = {"arabidopsis": (40, 96, 96), "cho": (5, 200, 200), "tribolium": (13, 80, 80)}  # what does for most does not


def geometry(preset, settings):
    """Voxels of an image of a few cells."""
    voxel_size = np.array(settings["voxel_size"] or ([1.0, 0.5, 0.5] if settings["dimensions"] == 3 else [0.5, 0.5]))
    wanted = {2: [6, 6], 3: [2.5, 4, 4]}[len(voxel_size)] * np.array(settings["cell_diameter"])
    limits = {2: [[48, 48], [350, 350]], 3: [[6, 48, 48], [24, 80, 80]]}[len(voxel_size)]
    fitting = np.clip(np.rint(wanted / voxel_size), *limits).astype(int).tolist()
    return SHAPES.get(preset, tuple(fitting)), tuple(voxel_size.tolist())


def draw_image(preset, settings, seed):
    """An image that a sketch of the preset's own stands in for, and its labels."""
    rng = np.random.default_rng(seed)
    shape, voxel_size = geometry(preset, settings)
    labels = mask_of(settings, shape, voxel_size, rng)
    image = sketch_of(settings, labels, voxel_size, np.full(1, 0.5), rng, sigma=1.0, decay_um=50.0)
    return (1000 * (image + rng.normal(0, 0.05, shape) + 2)).astype(np.uint16), labels


def tiff(array):
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, array, photometric="minisblack")
    return buffer.getvalue()


def challenge_members(preset, settings, entry):
    """Members of a training archive, with silver labels where the data set has them."""
    for number, sequence in enumerate(("01", "02")):
        for frame in entry.get("frames") or FRAMES:
            image, labels = draw_image(preset, settings, [number, frame])
            yield f"{entry['name']}/{sequence}/t{frame:03d}.tif", tiff(image)
            yield f"{entry['name']}/{sequence}_GT/TRA/man_track{frame:03d}.tif", tiff(labels)
            if entry["truth"] == "silver":
                yield f"{entry['name']}/{sequence}_ST/SEG/man_seg{frame:03d}.tif", tiff(labels)


def willis_members(preset, settings):
    for plant, hour in ((1, 0), (1, 4), (2, 0), (2, 4), (4, 0)):
        image, labels = draw_image(preset, settings, [plant, hour])
        stem = f"{hour}hrs_plant{plant}_trim-acylYFP"
        yield f"PNAS/plant{plant}/processed_tiffs/{stem}.tif", tiff(image)
        yield f"PNAS/plant{plant}/segmentation_tiffs/{stem}_hmin_2_asf_1_s_1.50_clean_3.tif", tiff(labels + 1)


# figures and report of these are those of other presets: hela, cho, arabidopsis
LIKE_OTHERS = ("nuclei-2d", "nuclei-3d", "membranes-3d", "zebrafish-nuclei", "zebrafish-membranes")

ZEROS = bytes(1 << 24)


class Sparse(io.FileIO):
    """A file in which ZEROS take no room."""

    def write(self, data):
        return self.seek(len(data), os.SEEK_CUR) and len(data) if data is ZEROS else super().write(data)


def write_archive(path, members, filler=None):
    """Write the members, and one of this name that makes it a ZIP64 archive of WHOLE bytes; return what to serve."""
    with Sparse(path, "w") as file, zipfile.ZipFile(file, "w") as archive:
        for name, data in members:
            archive.writestr(name, data)
        if filler:
            with archive.open(filler, "w", force_zip64=True) as member:
                for _ in range(WHOLE // len(ZEROS)):
                    member.write(ZEROS)
    if not filler:
        return path.read_bytes()
    with open(path, "rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A file as published models are; its network has learnt nothing."""
    from cellpose.models import CellposeModel

    path = tmp_path_factory.mktemp("weights") / "cyto3"
    CellposeModel(pretrained_model=False).net.save_model(str(path))
    return path.read_bytes()


def copy_of_the_workflow(folder, dataset, digest):
    """The workflow with the sha256 of the archive that is served in place of the published one."""
    ignored = shutil.ignore_patterns("downloads", "__pycache__")
    for name in ("workflow", "resources", "envs", "profiles"):
        shutil.copytree(REPOSITORY / name, folder / name, ignore=ignored)
    shutil.copy(REPOSITORY / "Snakefile", folder)
    path = folder / "resources/datasets.yaml"
    sources = yaml.safe_load(path.read_text(encoding="utf-8"))
    if sources["datasets"][dataset].get("sha256"):
        sources["datasets"][dataset]["sha256"] = digest
    path.write_text(yaml.safe_dump(sources), encoding="utf-8")
    return folder


def serve_dataset(server, tmp_path, preset, settings, dataset):
    """Serve the data set under the path of its published address; connections are cut. Return where, and the sha256."""
    entry = SOURCES[dataset]
    members = (
        willis_members(preset, settings) if entry["kind"] == "http" else challenge_members(preset, settings, entry)
    )
    filler = f"{entry['name']}/02/t{LAST:03d}.tif" if dataset == "Fluo-N3DL-TRIC" else None
    body = write_archive(tmp_path / "archive.zip", members, filler)
    if entry["kind"] == "http":
        address = entry["url"].removeprefix("https://www.repository.cam.ac.uk")
    else:
        address = f"/training-datasets/{entry['name']}.zip"
    server.files[address], server.etags[address] = body, '"1"'
    server.faults[address] = "cut parts once" if entry.get("frames") else "cut once"
    return address, None if filler else sha256(body)


@pytest.mark.parametrize("preset", PRESETS)
def test_preset_from_data_to_report(server, weights, tmp_path, preset):
    settings = resolve_organism(preset, {"preset": preset, "images": __file__}, "demo", REPOSITORY)
    shape, voxel_size = geometry(preset, settings)
    tiny = TINY | {"volume_shape": list(shape)}
    patch = [min(sizes) for sizes in zip(shape, (4, 32, 32)[-len(shape) :], strict=True)]
    tiny["diffusion"] = TINY["diffusion"] | {"patch_shape": patch}
    repository, address = REPOSITORY, None
    if preset in PUBLISHED:
        address, digest = serve_dataset(server, tmp_path, preset, settings, PUBLISHED[preset])
        repository = copy_of_the_workflow(tmp_path / "clone", PUBLISHED[preset], digest)
        tiny["dataset"] = PUBLISHED[preset]
    else:
        (tmp_path / "data").mkdir()
        for frame in range(5):
            image = draw_image(preset, settings, frame)[0]
            tifffile.imwrite(tmp_path / f"data/t{frame:03d}_ch00.tif", image, photometric="minisblack")
        tiny |= {"images": "data/*_ch00.tif", "voxel_size": list(voxel_size)}
    server.files["/models/cyto3"] = weights
    downloads = {"folder": str(tmp_path / "downloads"), "mirror": server.url}
    config = {"seed": 3, "device": "cpu", "downloads": downloads, "organisms": {preset: tiny}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    results = tmp_path / "results" / preset
    if preset in LIKE_OTHERS:
        wanted = [results / name for name in ("evaluation/statistics.csv", "audit/summary.csv", "synthetic/README.md")]
        done = snakemake(
            tmp_path, "--cores", 1, *(path.relative_to(tmp_path) for path in wanted), repository=repository
        )
        assert done.returncode == 0, done.stdout[-8000:]
        assert pd.read_csv(wanted[1], index_col="labels").loc["synthetic", "cells"] > 0
        assert len(list((results / "synthetic").glob("batch_*/*.ome.tif"))) == 2
        return
    done = snakemake(tmp_path, "--cores", 1, repository=repository)
    assert done.returncode == 0, done.stdout[-8000:]
    summary = json.loads((results / "evaluation/summary.json").read_text())
    truth = SOURCES[PUBLISHED[preset]]["truth"] if preset in PUBLISHED else "none"
    assert (summary["n_cells"] > 0) == (truth != "none")
    assert summary["audit"]["synthetic"]["cells"] > 0
    assert len(list((results / "synthetic").glob("batch_*/*.ome.tif"))) == 2
    assert (results / "report.html").stat().st_size > 10_000
    assert (tmp_path / "results/contact.png").stat().st_size > 5000
    if preset in PUBLISHED:
        record = json.loads((tmp_path / "downloads" / PUBLISHED[preset] / "dataset.json").read_text())
        frames = SOURCES[PUBLISHED[preset]].get("frames", FRAMES)
        assert len(record["images"]) == (5 if preset == "arabidopsis" else 2 * len(frames))
        cut = [asked for path, asked, _ in server.requests if path == address]
        assert len(cut) > len(set(cut)) or any(asked and not asked.startswith("bytes=0-") for asked in cut), "resumed"
    if preset == "tribolium":
        assert len(server.files[address]) > 1 << 32, "a ZIP64 archive"
        assert server.sent < 0.02 * len(server.files[address])
