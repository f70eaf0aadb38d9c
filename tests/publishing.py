"""Data sets and weights as they are published, in their true layout, with small images that sketches stand in for."""

import io
import mmap
import os
import shutil
import zipfile

import numpy as np
import tifffile
import yaml
from running import REPOSITORY
from serving import sha256
from simulating import mask_of, sketch_of

SOURCES = yaml.safe_load((REPOSITORY / "resources/datasets.yaml").read_text(encoding="utf-8"))["datasets"]

FRAMES = range(3)  # of a sequence of which all are fetched, or those with gold labels
ARCHIVE_OF_WILLIS = "https://www.repository.cam.ac.uk"
LAST = 64  # frame of Fluo-N3DL-TRIC
WHOLE = (5 << 30) + 12345  # bytes of it here, of the challenge's 22 GB

SHAPES = {"arabidopsis": (40, 96, 96), "cho": (5, 200, 200), "tribolium": (13, 80, 80)}  # what does for most does not


def geometry(preset, settings):
    """Voxels of an image of a few cells."""
    voxel_size = np.array(settings["voxel_size"] or ([1.0, 0.5, 0.5] if settings["dimensions"] == 3 else [0.5, 0.5]))
    wanted = {2: [6, 6], 3: [2.5, 4, 4]}[len(voxel_size)] * np.array(settings["cell_diameter"])
    limits = {2: [[48, 48], [350, 350]], 3: [[6, 48, 48], [24, 80, 80]]}[len(voxel_size)]
    fitting = np.clip(np.rint(wanted / voxel_size), *limits).astype(int).tolist()
    return SHAPES.get(preset, tuple(fitting)), tuple(voxel_size.tolist())


def draw_image(preset, settings, seed, shape=None):
    """An image that a sketch of the preset's own stands in for, and its labels."""
    rng = np.random.default_rng(seed)
    fitting, voxel_size = geometry(preset, settings)
    shape = shape or fitting
    labels = mask_of(settings, shape, voxel_size, rng)
    image = sketch_of(settings, labels, voxel_size, np.full(1, 0.5), rng, sigma=1.0, decay_um=50.0)
    return (1000 * (image + rng.normal(0, 0.05, shape) + 2)).astype(np.uint16), labels


def tiff(array):
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, array, photometric="minisblack")
    return buffer.getvalue()


def wanted_frames(entry):
    """Frames of each sequence that are in an archive and fetched from it."""
    frames = entry.get("frames", FRAMES)
    return FRAMES if frames == "gold" else frames


def challenge_members(preset, settings, entry, frames, shape):
    """Members of a training archive, with labels as the data set has them."""
    for number, sequence in enumerate(("01", "02")):
        for frame in frames:
            image, labels = draw_image(preset, settings, [number, frame], shape)
            yield f"{entry['name']}/{sequence}/t{frame:03d}.tif", tiff(image)
            yield f"{entry['name']}/{sequence}_GT/TRA/man_track{frame:03d}.tif", tiff(labels)
            if entry["truth"] == "silver":
                yield f"{entry['name']}/{sequence}_ST/SEG/man_seg{frame:03d}.tif", tiff(labels)
            if entry.get("sparse"):
                planes = np.argsort([-np.count_nonzero(plane) for plane in labels])[:2]  # those with most of the cells
                for plane in planes:
                    some = np.where(labels[plane] % 3 > 0, labels[plane], 0)
                    yield f"{entry['name']}/{sequence}_GT/SEG/man_seg_{frame:03d}_{plane:03d}.tif", tiff(some)
        if entry.get("sparse"):
            yield f"{entry['name']}/{sequence}/t{frame + 1:03d}.tif", b"no frame with labels, which nobody reads"


def willis_members(preset, settings, stacks, shape):
    for plant, hour in stacks:
        image, labels = draw_image(preset, settings, [plant, hour], shape)
        stem = f"{hour}hrs_plant{plant}_trim-acylYFP"
        yield f"PNAS/plant{plant}/processed_tiffs/{stem}.tif", tiff(image)
        yield f"PNAS/plant{plant}/segmentation_tiffs/{stem}_hmin_2_asf_1_s_1.50_clean_3.tif", tiff(labels + 1)


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


def make_weights(folder):
    """A file as published models are; its network has learnt nothing."""
    from cellpose.models import CellposeModel

    path = folder / "cyto3"
    CellposeModel(pretrained_model=False).net.save_model(str(path))
    return path.read_bytes()


def copy_of_the_workflow(folder, digests, diam_mean=30.0):
    """The workflow with the sha256 of the archives that are served in place of the published ones.

    `diam_mean` is the diameter of a cell in pixels that cyto3 is given; the smaller, the sooner it is done.
    """
    ignored = shutil.ignore_patterns("downloads", "__pycache__")
    for name in ("workflow", "resources", "envs", "profiles"):
        shutil.copytree(REPOSITORY / name, folder / name, ignore=ignored)
    shutil.copy(REPOSITORY / "Snakefile", folder)
    path = folder / "resources/datasets.yaml"
    sources = yaml.safe_load(path.read_text(encoding="utf-8"))
    for dataset, digest in digests.items():
        if sources["datasets"][dataset].get("sha256"):
            sources["datasets"][dataset]["sha256"] = digest
    sources["models"]["cyto3"]["diam_mean"] = diam_mean
    path.write_text(yaml.safe_dump(sources), encoding="utf-8")
    return folder


PLANTS = ((1, 0), (1, 4), (2, 0), (2, 4), (4, 0))  # number and hours


def serve_dataset(server, tmp_path, preset, settings, dataset, *, frames=None, plants=PLANTS, shape=None):
    """Serve the data set under the path of its published address; connections are cut. Return where, and the sha256."""
    entry = SOURCES[dataset]
    if entry["kind"] == "http":
        members, address = willis_members(preset, settings, plants, shape), entry["url"].removeprefix(ARCHIVE_OF_WILLIS)
    else:
        members = challenge_members(preset, settings, entry, frames or wanted_frames(entry), shape)
        address = f"/training-datasets/{entry['name']}.zip"
    filler = f"{entry['name']}/02/t{LAST:03d}.tif" if dataset == "Fluo-N3DL-TRIC" else None
    body = write_archive(tmp_path / f"{dataset}.zip", members, filler)
    server.files[address], server.etags[address] = body, '"1"'
    server.faults[address] = "cut parts once" if entry.get("frames") else "cut once"
    return address, None if filler else sha256(body)
